"""The record of release 1.0: the revision from which every later one goes on; a new record is made from `tables.py`."""

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Return without a change: there is no record from before this revision."""
