"""Alembic's entry: runs the steps inside the transaction that `upgrade_schema` opened and locked."""

from alembic import context

from cds_hooks.storage.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
