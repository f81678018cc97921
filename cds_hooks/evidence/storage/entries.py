"""Writes events: what people and commands did, as rows of the record."""

from collections.abc import Iterable, Mapping
from time import time_ns
from typing import Any, Final

import msgspec
from sqlalchemy import Connection

from cds_hooks.evidence.storage.chain import add_rows
from cds_hooks.evidence.storage.database import (
    DATABASE_ERRORS,
    database_error_reason,
    engine_for,
    parse_url,
    refuse_other_tables,
)
from cds_hooks.evidence.storage.decision import RecordUnavailable
from cds_hooks.evidence.storage.tables import events

Event = tuple[str, str, Mapping[str, Any]]
"""The kind of an event, who did it, and its detail."""

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
            add_rows(connection, events, rows)
    except DATABASE_ERRORS as error:
        refuse_other_tables(parse_url(url), error)
        raise RecordUnavailable(f"the event cannot be recorded: {database_error_reason(error)}") from error


def write_event(connection: Connection, kind: str, actor: str, detail: Mapping[str, Any]) -> None:
    """Add one event to the transaction of this connection."""
    add_rows(connection, events, [_event_row(kind, actor, detail)])


def _event_row(kind: str, actor: str, detail: Mapping[str, Any]) -> dict[str, Any]:
    return {"at": time_ns() // 1000, "kind": kind, "actor": actor, "detail": msgspec.json.encode(dict(detail)).decode()}
