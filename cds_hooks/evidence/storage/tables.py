"""The tables of the record for SQLite and PostgreSQL, append-only by trigger.

A new record is made from them; a record with other tables is refused. The rows of decisions, feedback, outcomes and
events are numbered together, and each has its link in `chain`. A row of decisions, feedback or outcomes can be deleted
only where `removals` names its number, a chart only where no decision names it, a link never.
"""

from typing import Final

from sqlalchemy import (
    DDL,
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    event,
    text,
)

from cds_hooks.evidence.storage.content import StoredContent, StoredText

SCHEMA_VERSION = "0004"
"""Raised with every change of a table: a record of another version is refused."""

metadata = MetaData()

# SQLite appends fastest to a table whose key is the row number, and only INTEGER can be that
_row_number = BigInteger().with_variant(Integer(), "sqlite")


def _number_in_record() -> Column[int]:
    return Column("sequence", _row_number, primary_key=True, autoincrement=False)


chain = Table(
    "chain",
    metadata,
    # the key: no two processes can link a row to the same one before
    _number_in_record(),
    Column("of_table", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    # acts are read several times a second, and are few
    Index(
        "chain_of_events",
        "sequence",
        sqlite_where=text("of_table = 'events'"),
        postgresql_where=text("of_table = 'events'"),
    ),
)
"""The hash chain over the whole record (`storage/chain.py`), one link for each row."""

decisions = Table(
    "decisions",
    metadata,
    _number_in_record(),
    Column("id", Text, nullable=False, unique=True),
    Column("decided_at", BigInteger, nullable=False),
    Column("hook", Text, nullable=False),
    Column("service", Text, nullable=False),
    Column("hook_instance", Text, nullable=False),
    Column("client", Text, nullable=False),
    Column("patient", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("input_digest", Text, nullable=False),
    # NULL where no chart was recorded
    Column("chart", LargeBinary),
    # the models whose estimates of a risk can have outcomes, each between spaces
    Column("estimated_by", Text, nullable=False),
    # the large columns come last, so that a list can read the others without them
    Column("models", StoredContent, nullable=False),
    Column("response", StoredContent, nullable=False),
    Column("basis", StoredContent, nullable=False),
    # NULL where no facts are kept
    Column("facts", StoredContent),
    Index("decisions_by_time", "decided_at"),
    Index("decisions_by_patient", "patient", "decided_at"),
    Index("decisions_by_hook_instance", "hook_instance"),
    Index("decisions_by_chart", "chart"),
)

charts = Table(
    "charts",
    metadata,
    Column("sequence", _row_number, primary_key=True, autoincrement=True),
    Column("hash", LargeBinary, nullable=False, unique=True),
    Column("content", StoredContent, nullable=False),
)
"""The lean charts with which decisions were made, each once, by their names (`storage/decision.py`)."""

feedback = Table(
    "feedback",
    metadata,
    _number_in_record(),
    Column("card", Text, nullable=False),
    Column("decision", Text),
    Column("service", Text, nullable=False),
    Column("client", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("outcome_timestamp", Text, nullable=False),
    Column("accepted_suggestions", Text, nullable=False),
    Column("override_reason_code", Text),
    Column("override_reason_system", Text),
    Column("user_comment", StoredText),
    Column("received_at", BigInteger, nullable=False),
    Column("override_reason_display", Text),
    UniqueConstraint("card", "outcome", "outcome_timestamp", "accepted_suggestions", name="feedback_once"),
    Index("feedback_by_decision", "decision"),
    # the overrides that still apply are read by their time at the start
    Index("feedback_by_time", "received_at"),
)

outcomes = Table(
    "outcomes",
    metadata,
    _number_in_record(),
    Column("decision", Text),
    Column("service", Text, nullable=False),
    Column("client", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("happened", Text),
    Column("source", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    UniqueConstraint("decision", "kind", "subject", "version", name="outcomes_once"),
)
"""What happened after a decision (`storage/outcomes.py`); a correction is a row of its own with the next version."""

events = Table(
    "events",
    metadata,
    _number_in_record(),
    Column("at", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("detail", Text, nullable=False),
)
"""Actions of people on the record and its rules: approvals, legal holds, retention runs."""

removals = Table(
    "removals",
    metadata,
    Column("sequence", _row_number, primary_key=True, autoincrement=True),
    Column("first_number", BigInteger, nullable=False),
    Column("last_number", BigInteger, nullable=False),
    Column("run", Text, nullable=False),
    Index("removals_by_number", "first_number"),
)
"""The numbers of the rows that a retention run takes out: only these rows can be deleted."""

_REMOVABLE = ("decisions", "feedback", "outcomes")
"""The tables of which rows can be removed."""

_IS_REMOVED = "EXISTS (SELECT 1 FROM removals WHERE OLD.sequence BETWEEN first_number AND last_number)"
_NAMED_BY_NONE = "(NOT EXISTS (SELECT 1 FROM decisions WHERE decisions.chart = OLD.hash))"


def _triggers_of_sqlite(table: str, removed: str | None) -> list[str]:
    conditions = {"UPDATE": "", "DELETE": f"WHEN NOT {removed} " if removed else ""}
    return [
        f"CREATE TRIGGER {table}_refuse_{verb.lower()} BEFORE {verb} ON {table} {condition}"
        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        for verb, condition in conditions.items()
    ]


def _triggers_of_postgres(table: str, removed: str | None) -> list[str]:
    refusal = f"RAISE EXCEPTION '{table} is append-only'; END"
    statements = [
        f"CREATE FUNCTION {table}_refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN {refusal}$$",
        f"CREATE TRIGGER {table}_refuse BEFORE UPDATE OR TRUNCATE{'' if removed else ' OR DELETE'} ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_refuse()",
    ]
    if removed:
        body = f"BEGIN IF {removed} THEN RETURN OLD; END IF; {refusal}"
        statements += [
            f"CREATE FUNCTION {table}_refuse_row() RETURNS trigger LANGUAGE plpgsql AS $${body}$$",
            f"CREATE TRIGGER {table}_refuse_row BEFORE DELETE ON {table} "
            f"FOR EACH ROW EXECUTE FUNCTION {table}_refuse_row()",
        ]
    return statements


def triggers_of(table: str) -> dict[str, list[str]]:
    """Return by dialect the SQL that makes the triggers which refuse to change a row of the table, or take one out."""
    removed = _NAMED_BY_NONE if table == charts.name else None
    if table in _REMOVABLE:
        removed = _IS_REMOVED
    return {"sqlite": _triggers_of_sqlite(table, removed), "postgresql": _triggers_of_postgres(table, removed)}


def _make_append_only(table: Table) -> None:
    """Add these triggers to what makes the tables."""
    for dialect, statements in triggers_of(table.name).items():
        for statement in statements:
            event.listen(metadata, "after_create", DDL(statement).execute_if(dialect=dialect))  # type: ignore[no-untyped-call]


for _table in metadata.sorted_tables:
    _make_append_only(_table)

CHAINED: Final = (decisions, feedback, outcomes, events)
"""The tables whose rows are linked."""

COLUMNS: Final = {table.name: [column.name for column in table.columns][1:] for table in CHAINED}
"""By table what its writer fills, in the order in which it is hashed: all but the number."""


def plain_table(table: Table) -> Table:
    """Return the table with its values as they are stored: neither decrypted nor decompressed."""
    plain = table.to_metadata(MetaData())
    for column in plain.columns:
        if (impl := getattr(column.type, "impl_instance", None)) is not None:
            column.type = impl
    return plain
