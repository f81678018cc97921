"""The charts with which decisions were made, each recorded once; decisions from before name none."""

from alembic import op

from cds_hooks.storage.tables import charts, decisions, triggers_of

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table, and the column and the index by which decisions name a chart."""
    connection = op.get_bind()
    charts.create(connection)
    kind = "BLOB" if connection.dialect.name == "sqlite" else "BYTEA"
    connection.exec_driver_sql(f"ALTER TABLE decisions ADD COLUMN chart {kind}")
    next(index for index in decisions.indexes if index.name == "decisions_by_chart").create(connection)
    for statement in triggers_of(charts.name)[connection.dialect.name]:
        connection.exec_driver_sql(statement)
