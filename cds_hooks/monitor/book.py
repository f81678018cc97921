"""The counts of the record by day, client and service, and the places of decisions by what they say (postings.py).

They are tables of its views: a report over a month of a million decisions reads some hundred rows of counts.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from time import time
from typing import TYPE_CHECKING, ClassVar, Final, TypeVar

import msgspec

from cds_hooks.decision_views.file import Views
from cds_hooks.decision_views.follow import Batch, Projection
from cds_hooks.monitor.counting import CallOrder, count_decision, count_feedback, seconds_under_way
from cds_hooks.monitor.postings import TABLES, Postings, callers, known_names
from cds_hooks.storage.decision import RecordUnavailable, is_trial
from cds_hooks.storage.queries import rules_by_card
from models_onnx.monitoring.day import DayCounts

if TYPE_CHECKING:  # who counts or finds decisions judges nothing, and the judging takes 100 ms to load
    from models_onnx.monitoring.judging import Compared

_TABLES: Final = """
CREATE TABLE days (
    day TEXT, client TEXT, service TEXT, counts BLOB NOT NULL, PRIMARY KEY (day, client, service)
) WITHOUT ROWID;
CREATE TABLE labels (
    day TEXT, client TEXT, service TEXT, counts BLOB NOT NULL, PRIMARY KEY (day, client, service)
) WITHOUT ROWID;
CREATE TABLE complete (client TEXT, event TEXT, day TEXT, PRIMARY KEY (client, event)) WITHOUT ROWID;
CREATE TABLE read_to (kind TEXT PRIMARY KEY, sequence INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE stamps (day TEXT PRIMARY KEY, stamp INTEGER NOT NULL) WITHOUT ROWID;
"""
_Counts = TypeVar("_Counts")
Key = tuple[str, str, str]
"""Day, client and service."""
_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(DayCounts).decode


class Verified(msgspec.Struct, frozen=True):
    """A verification of the record: when (epoch seconds), how many decisions were read, and the first fault, if any."""

    at: int
    decisions: int
    fault: str


class Counts(Projection):
    """The counts of each day and the places of decisions."""

    tables: ClassVar[str] = _TABLES + TABLES
    takes_trials: ClassVar[bool] = True

    def __init__(self) -> None:
        self._order = CallOrder()

    def take(self, connection: sqlite3.Connection, batch: Batch) -> None:
        """Count decisions and answers; those of trial calls have places alone, so that a search finds them."""
        days, postings = defaultdict[Key, DayCounts](DayCounts), Postings()
        for row in batch.decisions:
            decision = row.decision
            day = days[day_of(decision.decided_at), decision.client, decision.service]
            names = count_decision(day, decision)
            if not is_trial(decision.client):
                self._order.note(day, decision)
            postings.note(names, (decision.decided_at, row.sequence))
        for answered in batch.answers:
            answer, about = answered.feedback, answered.decision
            rules = rules_by_card(about.decision.response).get(answer.card, set()) if about is not None else set()
            seconds = seconds_under_way(answer.outcome_timestamp, answer.received_at)
            day = days[day_of(answer.received_at), answer.client, answer.service]
            count_feedback(day, answer.outcome, answer.override_reason_code, rules, seconds)
            if about is not None:
                reason = [f"override {answer.override_reason_code}"] if answer.override_reason_code else []
                postings.note([f"answer {answer.outcome}", *reason], (about.decision.decided_at, about.sequence))
        postings.write(connection)
        for key, counts in days.items():
            if not is_trial(key[1]):
                add_to_day(connection, key, counts)


class CountBook:
    """The counts of one record, as they are in its views."""

    def __init__(self, views: Views) -> None:
        self.views = views
        self.open = views.open

    def counted_to(self) -> int:
        """Return the number of the newest decision that was counted; 0 where none was.

        Raises:
            RecordUnavailable: The views cannot be read.
        """
        return self.views.mark("decisions").sequence

    def days(
        self, first: date, last: date, decode: Callable[[bytes], _Counts]
    ) -> Iterator[tuple[date, str, str, _Counts]]:
        """Yield the counts of these days, both included, by day, client and service; `decode` reads them from JSON."""
        query = "SELECT day, client, service, counts FROM days WHERE day BETWEEN ? AND ? ORDER BY 1, 2, 3"
        with self.open(is_writing=False) as connection:
            rows = connection.execute(query, (first.isoformat(), last.isoformat())).fetchall()
        for day, client, service, counts in rows:
            yield date.fromisoformat(day), client, service, decode(counts)

    def days_of(
        self, wanted: Collection[date], decode: Callable[[bytes], _Counts]
    ) -> Iterator[tuple[date, str, str, _Counts]]:
        """Yield the counts of these days alone, as `days` gives them."""
        marks = ", ".join("?" * len(wanted))
        query = f"SELECT day, client, service, counts FROM days WHERE day IN ({marks}) ORDER BY 1, 2, 3"  # noqa: S608
        with self.open(is_writing=False) as connection:
            rows = connection.execute(query, [day.isoformat() for day in wanted]).fetchall()
        for day, client, service, counts in rows:
            yield date.fromisoformat(day), client, service, decode(counts)

    def stamps(self, first: date, last: date) -> dict[date, int]:
        """Return a number for each of these days that is another one whenever something was counted into the day.

        Days into which nothing was counted are not there.
        """
        query = "SELECT day, stamp FROM stamps WHERE day BETWEEN ? AND ?"
        with self.open(is_writing=False) as connection:
            rows = connection.execute(query, (first.isoformat(), last.isoformat())).fetchall()
        return {date.fromisoformat(day): stamp for day, stamp in rows}

    def compared(self, until: date, days: int, before: int) -> "list[Compared]":
        """Return each client's calls to each service: `days` up to and with `until`, and the `before` days before."""
        from models_onnx.monitoring.judging import Compared

        begin, end = until - timedelta(days=days + before - 1), until
        window_from = until - timedelta(days=days - 1)
        comparisons: dict[tuple[str, str], Compared] = {}
        for at, client, service, counts in self.days(begin, end, _decode):
            entry = comparisons.setdefault((client, service), Compared(client, service, {}, {}))
            (entry.window if at >= window_from else entry.reference)[at] = counts
        for entry in comparisons.values():  # a day on which nobody called is a day of the window, too
            for day_number in range(days):
                entry.window.setdefault(window_from + timedelta(days=day_number), DayCounts())
        return [comparisons[key] for key in sorted(comparisons)]

    def open_incidents(self) -> set[tuple[str, str]]:
        """Client and family of the incidents that others were told of, and not yet that they ended."""
        with self.open(is_writing=False) as connection:
            return set(connection.execute("SELECT client, family FROM incidents").fetchall())

    def note_incident(self, client: str, family: str, *, is_open: bool) -> None:
        """Remembers that others were told that an incident began, or ended."""
        statement = (
            "REPLACE INTO incidents VALUES (?, ?)"
            if is_open
            else ("DELETE FROM incidents WHERE client = ? AND family = ?")
        )
        with self.open() as connection:
            connection.execute(statement, (client, family))

    def note_verification(self, decisions_read: int, fault: str) -> None:
        """Remembers that the chain of the record was verified on this machine, and its first fault; "" for none."""
        with self.open() as connection:
            connection.execute("INSERT INTO verifications VALUES (?, ?, ?)", (int(time()), decisions_read, fault))

    def last_verification(self) -> Verified | None:
        """Return the last one that was noted; None where none was."""
        with self.open(is_writing=False) as connection:
            row = connection.execute("SELECT * FROM verifications ORDER BY at DESC, rowid DESC LIMIT 1").fetchone()
        return Verified(*row) if row is not None else None

    def names(self) -> dict[str, list[str]]:
        """Return the clients and services that were ever counted."""
        with self.open(is_writing=False) as connection:
            return {kind: known_names(connection, kind) for kind in ("client", "service")}

    def callers(self, since: int) -> dict[str, tuple[int, int]]:
        """Return when each client called last, and how often since an instant (both in microseconds since 1970)."""
        with self.open(is_writing=False) as connection:
            return callers(connection, since)

    @contextmanager
    def advance(self, kinds: Mapping[str, int], last: int) -> Iterator[sqlite3.Connection]:
        """One transaction that says, for each of these kinds, that rows after the number given were read up to `last`.

        Raises:
            RecordUnavailable: Another process has read them meanwhile.
        """
        with self.open() as connection:
            for kind, after in kinds.items():
                if read_to(connection, kind) != after:
                    raise RecordUnavailable(f"another process is counting into {self.views.file.name}; let it finish.")
                connection.execute("REPLACE INTO read_to VALUES (?, ?)", (kind, last))
            yield connection


def add_to_day(connection: sqlite3.Connection, key: Key, counts: DayCounts) -> None:
    """Add counts to those of a day, a client and a service."""
    query = "SELECT counts FROM days WHERE day = ? AND client = ? AND service = ?"
    row = connection.execute(query, key).fetchone()
    if row is not None:
        kept = _decode(row[0])
        kept.add(counts)
        counts = kept
    connection.execute("REPLACE INTO days VALUES (?, ?, ?, ?)", (*key, _encode(counts)))
    connection.execute("REPLACE INTO stamps VALUES (?, random())", key[:1])


def read_to(connection: sqlite3.Connection, kind: str) -> int:
    """Return the number of the last row that was read of a kind; 0 before the first."""
    row = connection.execute("SELECT sequence FROM read_to WHERE kind = ?", (kind,)).fetchone()
    return 0 if row is None else int(row[0])


def day_of(microseconds: int) -> str:
    """Return the day in UTC of microseconds since 1970, as 2026-11-20."""
    return datetime.fromtimestamp(microseconds / 1e6, UTC).date().isoformat()
