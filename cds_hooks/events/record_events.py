"""Reports what people do with decisions: answers to cards and release acts of the record go into the outbox.

The record is read every few seconds from where it was read last, so that each worker's entries are reported, by one.
"""

import asyncio
import sqlite3
from collections.abc import Mapping
from typing import Any, Final

import orjson
from sqlalchemy import func, select

from cds_hooks.events.inbox import Inbox
from cds_hooks.events.outbox import add_to_outbox
from cds_hooks.hold_back.acts import RELEASE_EVENT
from cds_hooks.logs import log
from cds_hooks.storage.decision import RecordUnavailable
from cds_hooks.storage.queries import read_rows
from cds_hooks.storage.tables import decisions, events, feedback

_POLL_SECONDS: Final = 2.0
_AT_ONCE: Final = 500
_MICROSECONDS: Final = 1_000_000


class RecordEvents:
    """Puts answers and release acts into the outbox, each once."""

    def __init__(self, inbox: Inbox, record_url: str) -> None:
        self._inbox, self._url = inbox, record_url

    async def keep_reporting(self) -> None:
        """Report what is new in the record until cancelled."""
        while True:
            try:
                await asyncio.to_thread(self.report)
            except (RecordUnavailable, sqlite3.Error) as error:
                log().error("answers and release acts not reported", error_type=type(error).__name__)
            await asyncio.sleep(_POLL_SECONDS)

    def report(self) -> None:
        """Report what came to the record since the last time; the first time nothing, since it is not known when."""
        names = feedback.c.card, feedback.c.service, feedback.c.outcome, feedback.c.decision, decisions.c.patient
        query = select(feedback.c.sequence, feedback.c.received_at, *names)
        joined = query.outerjoin(decisions, decisions.c.id == feedback.c.decision)
        for row in self._new("record feedback", feedback, joined):
            data = {name: getattr(row, name) for name in ("decision", "card", "service", "outcome")}
            self._add("record feedback", row.sequence, "card-answered", row.patient or "", row.received_at, data)
        acts = select(events.c.sequence, events.c.at, events.c.kind, events.c.detail)
        for row in self._new("record events", events, acts):
            act = _act(row.detail) if row.kind == RELEASE_EVENT else {}
            self._add("record events", row.sequence, "release-act" if act else "", "", row.at, act)

    def _new(self, name: str, table: Any, query: Any) -> Any:
        rows = self._inbox.query("SELECT delivered FROM deliveries WHERE webhook = ?", (name,))
        if not rows:
            newest = read_rows(self._url, select(func.coalesce(func.max(table.c.sequence), 0)))[0][0]
            with self._inbox.transaction() as connection:
                _note(connection, name, newest)
            return []
        after = query.where(table.c.sequence > rows[0][0]).order_by(table.c.sequence).limit(_AT_ONCE)
        return read_rows(self._url, after)

    def _add(self, name: str, sequence: int, kind: str, subject: str, at: int, data: Mapping[str, Any]) -> None:
        with self._inbox.transaction() as connection:
            if kind:
                add_to_outbox(connection, f"{kind}-{sequence}", kind, subject, at / _MICROSECONDS, data)
            _note(connection, name, sequence)


def _act(detail: str) -> dict[str, Any]:
    """Return what an act changes: ids and states, and not who signed it or why."""
    body = orjson.loads(detail)["statement"]
    return {name: body[name] for name in ("kind", "name", "version", "state") if name in body}


def _note(connection: sqlite3.Connection, name: str, sequence: int) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO deliveries (webhook, delivered, failures, retry_at) VALUES (?, ?, 0, 0)",
        (name, sequence),
    )
