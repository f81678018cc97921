"""The tables of the record for SQLite and PostgreSQL, append-only by trigger.

A new record is made from them; a record with other tables is refused. A row of decisions, feedback or outcomes can be
deleted only where `removals` names its table and position, a chart only where no decision names it.
"""

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
)

from cds_hooks.evidence.storage.content import StoredContent, StoredText

SCHEMA_VERSION = "0002"
"""Raised with every change of a table: a record of another version is refused."""

metadata = MetaData()

# SQLite appends fastest to a table whose key is the row number, and only INTEGER can be that
_row_number = BigInteger().with_variant(Integer(), "sqlite")

decisions = Table(
    "decisions",
    metadata,
    Column("sequence", _row_number, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    # unique: no two processes can link a row to the same one before
    Column("position", BigInteger, nullable=False, unique=True),
    Column("decided_at", BigInteger, nullable=False),
    Column("hook", Text, nullable=False),
    Column("service", Text, nullable=False),
    Column("hook_instance", Text, nullable=False),
    Column("client", Text, nullable=False),
    Column("patient", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("input_digest", Text, nullable=False),
    Column("previous", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    # NULL where no chart was recorded
    Column("chart", LargeBinary),
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
    Column("sequence", _row_number, primary_key=True, autoincrement=True),
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
    Column("position", BigInteger, nullable=False),
    Column("previous", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    UniqueConstraint("card", "outcome", "outcome_timestamp", "accepted_suggestions", name="feedback_once"),
    Index("feedback_by_decision", "decision"),
    # the overrides that still apply are read by their time at the start
    Index("feedback_by_time", "received_at"),
)

outcomes = Table(
    "outcomes",
    metadata,
    Column("sequence", _row_number, primary_key=True, autoincrement=True),
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
    Column("position", BigInteger, nullable=False),
    Column("previous", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    UniqueConstraint("decision", "kind", "subject", "version", name="outcomes_once"),
)
"""What happened after a decision (`storage/outcomes.py`); a correction is a row of its own with the next version."""

events = Table(
    "events",
    metadata,
    Column("sequence", _row_number, primary_key=True, autoincrement=True),
    Column("at", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("previous", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
)
"""Actions of people on the record and its rules: approvals, legal holds, retention runs."""

removals = Table(
    "removals",
    metadata,
    Column("sequence", _row_number, primary_key=True, autoincrement=True),
    Column("of_table", Text, nullable=False),
    Column("first_position", BigInteger, nullable=False),
    Column("last_position", BigInteger, nullable=False),
    Column("previous", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("run", Text, nullable=False),
    Index("removals_by_table", "of_table", "first_position"),
)
"""The rows that a retention run takes out: only these can be deleted."""

_REMOVABLE = ("decisions", "feedback", "outcomes")
"""The tables of which rows can be removed."""

_IS_BETWEEN = "OLD.position BETWEEN first_position AND last_position"
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
        removed = f"EXISTS (SELECT 1 FROM removals WHERE of_table = '{table}' AND {_IS_BETWEEN})"  # noqa: S608
    return {"sqlite": _triggers_of_sqlite(table, removed), "postgresql": _triggers_of_postgres(table, removed)}


def _make_append_only(table: Table) -> None:
    """Add these triggers to what makes the tables."""
    for dialect, statements in triggers_of(table.name).items():
        for statement in statements:
            event.listen(metadata, "after_create", DDL(statement).execute_if(dialect=dialect))  # type: ignore[no-untyped-call]


for _table in metadata.sorted_tables:
    _make_append_only(_table)

COLUMNS = [column.name for column in decisions.columns if column.name != "sequence"]
"""The columns that a writer fills, in the order of `chain.linked`; the database assigns `sequence`."""

NEWEST_ROW = "SELECT position, hash FROM decisions ORDER BY sequence DESC LIMIT 1"
