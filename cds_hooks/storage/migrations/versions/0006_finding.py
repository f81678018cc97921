"""Indexes by which decisions are found: time, patient, and the call of a hook."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The indexes; a record of a million decisions takes some seconds, in which nothing is written."""
    op.create_index("decisions_by_time", "decisions", ["decided_at"])
    op.create_index("decisions_by_patient", "decisions", ["patient", "decided_at"])
    op.create_index("decisions_by_hook_instance", "decisions", ["hook_instance"])
