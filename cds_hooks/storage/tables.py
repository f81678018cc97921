"""The tables of the record for SQLite and PostgreSQL; every change needs a new file in `migrations/versions`."""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, Table, Text, UniqueConstraint

from cds_hooks.storage.content import StoredContent, StoredText

SCHEMA_VERSION = "0007"
"""The newest migration; a database that is at this version is not migrated at the start."""

metadata = MetaData()

# SQLite appends fastest to a table whose key is the row number, and only INTEGER can be that
_row_number = BigInteger().with_variant(Integer(), "sqlite")

decisions = Table(
    "decisions",
    metadata,
    Column("sequence", _row_number, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    Column("chain", Text, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("decided_at", BigInteger, nullable=False),
    Column("hook", Text, nullable=False),
    Column("service", Text, nullable=False),
    Column("hook_instance", Text, nullable=False),
    Column("client", Text, nullable=False),
    Column("patient", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("input_digest", Text, nullable=False),
    Column("previous", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    # the large columns come last, so that a list can read the others without them
    Column("models", StoredContent, nullable=False),
    Column("response", StoredContent, nullable=False),
    Column("basis", StoredContent, nullable=False),
    # added by version 0004; NULL in the rows from before it
    Column("user_id", Text),
    # added by version 0007; NULL where no facts are kept
    Column("facts", StoredContent),
    # by which decisions are found (version 0006)
    Index("decisions_by_time", "decided_at"),
    Index("decisions_by_patient", "patient", "decided_at"),
    Index("decisions_by_hook_instance", "hook_instance"),
)

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
    # the chain over feedback (version 0004)
    Column("position", BigInteger),
    Column("previous", LargeBinary),
    Column("hash", LargeBinary),
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
"""Actions of people on the record and its rules: approvals, legal holds, archives."""

removals = Table(
    "removals",
    metadata,
    Column("sequence", _row_number, primary_key=True, autoincrement=True),
    Column("chain", Text, nullable=False),
    Column("first_position", BigInteger, nullable=False),
    Column("last_position", BigInteger, nullable=False),
    Column("previous", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("archive", Text, nullable=False),
    Index("removals_by_chain", "chain", "first_position"),
)
"""The rows that were moved into an archive: only these can be deleted. `feedback` and `outcomes` are those chains."""

COLUMNS = [column.name for column in decisions.columns if column.name != "sequence"]
"""The columns that a writer fills, in the order of `chain.Row`; the database assigns `sequence`."""

NEWEST_HASH = "SELECT hash FROM decisions ORDER BY sequence DESC LIMIT 1"
