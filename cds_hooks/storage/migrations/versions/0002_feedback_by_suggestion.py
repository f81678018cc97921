"""Feedback once for each card, outcome, time and suggestions: several suggestions of a card can be accepted at once."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The words of an override reason, the wider key, and the triggers that SQLite loses when a table is made anew."""
    with op.batch_alter_table("feedback") as feedback:
        feedback.add_column(sa.Column("override_reason_display", sa.Text))
        feedback.drop_constraint("feedback_once", type_="unique")
        feedback.create_unique_constraint(
            "feedback_once", ["card", "outcome", "outcome_timestamp", "accepted_suggestions"]
        )
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER feedback_refuse_{verb.lower()} BEFORE {verb} ON feedback "
                "BEGIN SELECT RAISE(ABORT, 'feedback is append-only'); END"
            )
