"""The facts that an answer read, beside its decision; NULL in the rows that are there already."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The column; adding it touches no row."""
    op.add_column("decisions", sa.Column("facts", sa.LargeBinary))
