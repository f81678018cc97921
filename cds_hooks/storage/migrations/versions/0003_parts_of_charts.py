"""Charts that go on from another chart; those from before are whole."""

from alembic import op
from sqlalchemy import inspect

from cds_hooks.storage.tables import charts, triggers_of

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column and its index, and keep a chart from being deleted while another one goes on from it."""
    connection = op.get_bind()
    dialect = connection.dialect.name
    if any(column["name"] == "base" for column in inspect(connection).get_columns(charts.name)):
        return  # the revision before made the table as it is now
    connection.exec_driver_sql(f"ALTER TABLE charts ADD COLUMN base {'BLOB' if dialect == 'sqlite' else 'BYTEA'}")
    for index in charts.indexes:
        index.create(connection)
    for name in ("charts_refuse_update", "charts_refuse_delete") if dialect == "sqlite" else ():
        connection.exec_driver_sql(f"DROP TRIGGER {name}")
    for function in () if dialect == "sqlite" else ("charts_refuse", "charts_refuse_row"):
        connection.exec_driver_sql(f"DROP FUNCTION {function} CASCADE")
    for statement in triggers_of(charts.name)[dialect]:
        connection.exec_driver_sql(statement)
