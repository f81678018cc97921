"""Feedback by its time: at the start a server reads the overrides that can still count, and no older ones."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The index."""
    op.create_index("feedback_by_time", "feedback", ["received_at"])
