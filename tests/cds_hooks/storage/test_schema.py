"""The tables of the record and of the accounts, whole, as the statements that make them in SQLite."""

from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from cds_hooks.access import store
from cds_hooks.storage import tables
from tests.conftest import ROOT

PINNED = ROOT / "tests" / "cases" / "schema.sql"


def test_the_columns_are_those_of_the_list() -> None:
    """A change needs a migration (the record) or a column that may be empty (the accounts), and then this file."""
    statements: list[CreateTable | CreateIndex] = []
    for metadata in (tables.metadata, store.metadata):
        for table in metadata.sorted_tables:
            statements += [CreateTable(table)]
            statements += [CreateIndex(index) for index in sorted(table.indexes, key=lambda index: index.name or "")]
    texts = [str(statement.compile(dialect=sqlite.dialect())).strip() + ";\n" for statement in statements]
    assert "\n".join(texts) == PINNED.read_text(encoding="utf-8")
