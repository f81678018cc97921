"""Reports what people do with decisions: answers to cards and release acts of the record go into the outbox.

The record is read every few seconds from where it was read last, so that each worker's entries are reported, by one.
"""

import asyncio
import sqlite3
from collections.abc import Mapping
from typing import Any, Final

import orjson
from sqlalchemy import Table, select

from cds_hooks.events.inbox import Inbox
from cds_hooks.events.outbox import add_to_outbox
from cds_hooks.hold_back.acts import RELEASE_EVENT
from cds_hooks.logs import log
from cds_hooks.storage.decision import RecordUnavailable
from cds_hooks.storage.queries import read_rows, without_trials
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
        query = select(feedback.c.sequence, feedback.c.hash, feedback.c.received_at.label("at"), *names)
        joined = query.outerjoin(decisions, decisions.c.id == feedback.c.decision).where(without_trials(feedback))
        for row in self._new("record feedback", feedback, feedback.c.received_at, joined):
            data = {name: getattr(row, name) for name in ("decision", "card", "service", "outcome")}
            self._add("record feedback", row, "card-answered", row.patient or "", data)
        acts = select(*(events.c[name] for name in ("sequence", "hash", "at", "kind", "detail")))
        for row in self._new("record events", events, events.c.at, acts):
            act = _act(row.detail) if row.kind == RELEASE_EVENT else {}
            self._add("record events", row, "release-act" if act else "", "", act)

    def _new(self, name: str, table: Table, at: Any, query: Any) -> Any:
        """Return the rows after the last one that was reported; where that one was lost, those written after it."""
        marks = self._inbox.query("SELECT delivered, retry_at FROM deliveries WHERE webhook = ?", (name,))
        position = select(table.c.sequence, at.label("at"))
        if not marks:
            newest = read_rows(self._url, position.order_by(table.c.sequence.desc()).limit(1))
            with self._inbox.transaction() as connection:
                _note(connection, name, *(newest[0] if newest else (0, 0)))
            return []
        sequence, reported_at = marks[0]
        new = query.where(table.c.sequence > sequence)
        if reported_at:  # 0: noted by a version before 2026-11-23, or before the first row
            here = read_rows(
                self._url, position.where(table.c.sequence >= sequence).order_by(table.c.sequence).limit(1)
            )
            if not here or (here[0].sequence == sequence and here[0].at != reported_at):
                new = query.where(at > reported_at)
        return read_rows(self._url, new.order_by(table.c.sequence).limit(_AT_ONCE))

    def _add(self, name: str, row: Any, kind: str, subject: str, data: Mapping[str, Any]) -> None:
        with self._inbox.transaction() as connection:
            if kind:
                event_id = f"{kind}-{bytes(row.hash).hex()[:32]}"
                add_to_outbox(connection, event_id, kind, subject, row.at / _MICROSECONDS, data)
            _note(connection, name, row.sequence, row.at)


def _act(detail: str) -> dict[str, Any]:
    """Return what an act changes: ids and states, and not who did it or why."""
    body = orjson.loads(detail)
    return {name: body[name] for name in ("kind", "name", "version", "state") if name in body}


def _note(connection: sqlite3.Connection, name: str, sequence: int, at: int) -> None:
    """Note the last row that was reported as a delivery, whose next attempt is at the row's own time."""
    connection.execute(
        "INSERT OR REPLACE INTO deliveries (webhook, delivered, failures, retry_at) VALUES (?, ?, 0, ?)",
        (name, sequence, at),
    )
