"""Decisions and feedback, append-only by trigger."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_row_number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Both tables, their indexes, and triggers that refuse to change or take out a row."""
    op.create_table(
        "decisions",
        sa.Column("sequence", _row_number, primary_key=True, autoincrement=True),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("chain", sa.Text, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("decided_at", sa.BigInteger, nullable=False),
        sa.Column("hook", sa.Text, nullable=False),
        sa.Column("service", sa.Text, nullable=False),
        sa.Column("hook_instance", sa.Text, nullable=False),
        sa.Column("client", sa.Text, nullable=False),
        sa.Column("patient", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("input_digest", sa.Text, nullable=False),
        sa.Column("previous", sa.LargeBinary, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("models", sa.LargeBinary, nullable=False),
        sa.Column("response", sa.LargeBinary, nullable=False),
        sa.Column("basis", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "feedback",
        sa.Column("sequence", _row_number, primary_key=True, autoincrement=True),
        sa.Column("card", sa.Text, nullable=False),
        sa.Column("decision", sa.Text),
        sa.Column("service", sa.Text, nullable=False),
        sa.Column("client", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("outcome_timestamp", sa.Text, nullable=False),
        sa.Column("accepted_suggestions", sa.Text, nullable=False),
        sa.Column("override_reason_code", sa.Text),
        sa.Column("override_reason_system", sa.Text),
        sa.Column("user_comment", sa.Text),
        sa.Column("received_at", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("card", "outcome", "outcome_timestamp", name="feedback_once"),
    )
    op.create_index("feedback_by_decision", "feedback", ["decision"])
    for table in ("decisions", "feedback"):
        _refuse_change(table)


def _refuse_change(table: str) -> None:
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_refuse_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
        return
    op.execute(
        f"CREATE FUNCTION {table}_refuse() RETURNS trigger LANGUAGE plpgsql "
        f"AS 'BEGIN RAISE EXCEPTION ''{table} is append-only''; END'"
    )
    op.execute(
        f"CREATE TRIGGER {table}_refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_refuse()"
    )
