"""The hash chains over feedback, outcomes and events: one each for the whole record, for all processes that write.

The hash of an entry is SHA-256 over the previous entry's hash (32 bytes, zero before the first) and a JSON array in
UTF-8 without white space: the name of the table, the position, and the columns in the order of `FEEDBACK_COLUMNS`,
`OUTCOME_COLUMNS` or `EVENT_COLUMNS` as they are stored.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from time import time_ns
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Table, insert, select, text

from cds_hooks.evidence.storage.database import DATABASE_ERRORS, database_error_reason, engine_for, parse_url
from cds_hooks.evidence.storage.decision import RecordUnavailable

NO_ENTRY_BEFORE: Final = bytes(32)
FEEDBACK_COLUMNS: Final = (
    "card", "decision", "service", "client", "outcome", "outcome_timestamp", "accepted_suggestions",
    "override_reason_code", "override_reason_system", "user_comment", "received_at", "override_reason_display",
)  # fmt: skip
OUTCOME_COLUMNS: Final = (
    "decision", "service", "client", "kind", "subject", "value", "happened", "source", "version", "received_at",
)  # fmt: skip
EVENT_COLUMNS: Final = ("at", "kind", "actor", "detail")

Event = tuple[str, str, Mapping[str, Any]]
"""The kind of an event, who did it, and its detail."""

_ENTRY_LOCK: Final = 0x6364_735F_656E_7472  # "cds_entr": PostgreSQL's writers of entries one after the other
_encode = msgspec.json.Encoder().encode


def feedback_hash(previous: bytes, position: int, row: Mapping[Any, Any]) -> bytes:
    """Return the hash of a row of feedback, whose columns are as they are stored."""
    return _entry_hash("feedback", previous, position, [row[name] for name in FEEDBACK_COLUMNS])


def outcome_hash(previous: bytes, position: int, row: Mapping[Any, Any]) -> bytes:
    """Return the hash of a row of outcomes."""
    return _entry_hash("outcomes", previous, position, [row[name] for name in OUTCOME_COLUMNS])


def event_hash(previous: bytes, position: int, row: Mapping[Any, Any]) -> bytes:
    """Return the hash of an event."""
    return _entry_hash("events", previous, position, [row[name] for name in EVENT_COLUMNS])


def _entry_hash(table: str, previous: bytes, position: int, values: list[Any]) -> bytes:
    return hashlib.sha256(previous + _encode([table, position, *values])).digest()


def newest_entry(connection: Connection, table: Table) -> tuple[int, bytes]:
    """Position and hash of the newest entry, for writing the next one in this transaction.

    In PostgreSQL it waits until no other transaction writes entries; SQLite has only one writer at a time.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _ENTRY_LOCK})
    query = select(table.c.position, table.c.hash).order_by(table.c.sequence.desc()).limit(1)
    row = connection.execute(query).first()
    if row is None:
        return 0, NO_ENTRY_BEFORE
    return row.position, bytes(row.hash)


EXPORT_EVENT: Final = "export"
"""The kind of the entries of the record that say who took data of patients out of it by a command."""


def add_event(url: str, kind: str, actor: str, detail: Mapping[str, Any]) -> None:
    """Commit one event.

    Raises:
        RecordUnavailable: it cannot be committed.
    """
    add_events(url, [(kind, actor, detail)])


def add_events(url: str, new_events: Iterable[Event]) -> None:
    """Commit events in one transaction: all of them or none.

    Raises:
        RecordUnavailable: they cannot be committed.
    """
    rows = [_event_row(*event) for event in new_events]  # before the write lock is taken
    try:
        with engine_for(parse_url(url)).begin() as connection:
            _write_events(connection, rows)
    except DATABASE_ERRORS as error:
        raise RecordUnavailable(f"the event cannot be recorded: {database_error_reason(error)}") from error


def write_event(connection: Connection, kind: str, actor: str, detail: Mapping[str, Any]) -> None:
    """Add one event to the transaction of this connection."""
    _write_events(connection, [_event_row(kind, actor, detail)])


def _event_row(kind: str, actor: str, detail: Mapping[str, Any]) -> dict[str, Any]:
    return {"at": time_ns() // 1000, "kind": kind, "actor": actor, "detail": _encode(dict(detail)).decode()}


def _write_events(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows in one statement: with one each a bulk approval of 2,000 rules held the write lock for seconds."""
    from cds_hooks.evidence.storage.tables import events

    if not rows:
        return
    position, previous = newest_entry(connection, events)
    for row in rows:
        position += 1
        digest = event_hash(previous, position, row)
        row |= {"position": position, "previous": previous, "hash": digest}
        previous = digest
    connection.execute(insert(events), rows)
