"""The tables of the record, once, for SQLite and PostgreSQL. A change here is a new file in `migrations/versions`."""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, Table, Text, UniqueConstraint

from cds_hooks.storage.content import StoredContent, StoredText

SCHEMA_VERSION = "0004"
"""The newest migration; a database that is there already is not migrated again at each start."""

metadata = MetaData()

# SQLite appends fastest to a table whose key is the row number; there only INTEGER is one
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
    # the large columns last: a list reads the others without touching them
    Column("models", StoredContent, nullable=False),
    Column("response", StoredContent, nullable=False),
    Column("basis", StoredContent, nullable=False),
    # added by version 0004; NULL in the rows from before it
    Column("user_id", Text),
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
    # the overrides that can still count are read by their time at the start
    Index("feedback_by_time", "received_at"),
)

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
"""What people did to the record and its rules: approvals, legal holds, archives."""

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
"""Which rows of which chain went into an archive: only these can be deleted. `feedback` is the chain of feedback."""

COLUMNS = [column.name for column in decisions.columns if column.name != "sequence"]
"""What a writer fills in, in the order of `chain.Row`; the database counts `sequence`."""

NEWEST_HASH = "SELECT hash FROM decisions ORDER BY sequence DESC LIMIT 1"
