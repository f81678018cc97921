"""The book of counts: an SQLite file beside the record that goes on where it stopped reading.

It is derived from the record and holds counts, and places in the record (postings.py); deleted, it is made again. Each
decision and each piece of feedback is read once: a report over a month of a million decisions reads some hundred rows
of counts.
"""

import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
from sqlalchemy import Select, select

from cds_hooks.logs import log
from cds_hooks.monitor.counting import CallOrder, count_decision, count_feedback, seconds_under_way
from cds_hooks.monitor.postings import TABLES, Postings, callers, known_names
from cds_hooks.storage.database import database_error_reason
from cds_hooks.storage.decision import Decision, RecordUnavailable
from cds_hooks.storage.following import Mark, settled
from cds_hooks.storage.queries import LISTED, Place, read_rows, rules_by_card
from cds_hooks.storage.tables import decisions, events, feedback
from models_onnx.monitoring.day import DayCounts

if TYPE_CHECKING:  # who counts or finds decisions judges nothing, and the judging takes 100 ms to load
    from models_onnx.monitoring.judging import Compared

AT_ONCE: Final = 2000
_VERSION: Final = 8
_ANSWERED_AT_ONCE: Final = 100
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS days (
    day TEXT, client TEXT, service TEXT, counts BLOB NOT NULL, PRIMARY KEY (day, client, service)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS labels (
    day TEXT, client TEXT, service TEXT, counts BLOB NOT NULL, PRIMARY KEY (day, client, service)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS complete (client TEXT, event TEXT, day TEXT, PRIMARY KEY (client, event)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS incidents (client TEXT, family TEXT, PRIMARY KEY (client, family)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS read_to (kind TEXT PRIMARY KEY, sequence INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS record (first_event TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS newest (decision TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS stamps (day TEXT PRIMARY KEY, stamp INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS verifications (at INTEGER NOT NULL, decisions INTEGER NOT NULL, fault TEXT NOT NULL);
"""
_NEWEST: Final = next(part for part in _TABLES.split(";") if " newest " in part)
_STAMPS: Final = next(part for part in _TABLES.split(";") if " stamps " in part)
_MADE_AGAIN: Final = ("days", "stamps", "labels", "complete", "read_to", "record", "newest", "names", "places")
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


class CountBook:
    """The counts of one record.

    Raises:
        RecordUnavailable: the file cannot be made, is no such book, or is of a newer version.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        with self.open() as connection:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version > _VERSION:
                raise RecordUnavailable(f"{file.name} was written by a newer version; delete it, and it is made again.")
            if version != _VERSION:  # counted again, because more is counted now
                _make_tables(connection)
            connection.execute(_NEWEST)
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'stamps'").fetchone():
                connection.execute(_STAMPS)  # a book of before has none; its counts stay as they are
                connection.execute("INSERT INTO stamps SELECT day, random() FROM (SELECT DISTINCT day FROM days)")

    def read(
        self,
        url: str,
        progress: Callable[[int], None] = lambda _: None,
        at_once: int = AT_ONCE,
        most: int | None = None,
    ) -> int:
        """Counts what came to the record since the last reading, and returns how many decisions these were.

        Of another record than the book was made of, or one that lost decisions that were counted, everything is
        counted anew. `most` ends the reading after so many.

        Raises:
            RecordUnavailable: the record or the book cannot be read.
        """
        self._check_record(url)
        count, order = 0, CallOrder()
        query = select(decisions.c.sequence, *LISTED).where(decisions.c.sequence <= self._settled(url))
        for after, batch in self._batches(url, "decisions", query, decisions.c.sequence, at_once):
            days: dict[Key, DayCounts] = {}
            postings = Postings()
            for row in batch:
                decision = Decision(*row[1:])
                key = (day_of(decision.decided_at), decision.client, decision.service)
                day = days.setdefault(key, DayCounts())
                names = count_decision(day, decision)
                order.note(day, decision)
                postings.note(names, (decision.decided_at, row[0]))
            self._add("decisions", days, after, batch[-1].sequence, postings, batch[-1].id)
            count += len(batch)
            progress(count)
            if most is not None and count >= most:
                break
        answers = feedback.c
        query = select(
            answers.sequence, answers.received_at, answers.client, answers.service, answers.outcome,
            answers.override_reason_code, answers.decision, answers.card, answers.outcome_timestamp,
        )  # fmt: skip
        for after, batch in self._batches(url, "feedback", query, answers.sequence, AT_ONCE):
            days, postings = {}, Postings()
            on_cards, place_of = _answered(url, {row.decision for row in batch if row.decision})
            for row in batch:
                key = (day_of(row.received_at), row.client, row.service)
                rules = on_cards.get(row.card, set())
                seconds = seconds_under_way(row.outcome_timestamp, row.received_at)
                day = days.setdefault(key, DayCounts())
                count_feedback(day, row.outcome, row.override_reason_code, rules, seconds)
                if row.decision in place_of:
                    reason = [f"override {row.override_reason_code}"] if row.override_reason_code else []
                    postings.note([f"answer {row.outcome}", *reason], place_of[row.decision])
            self._add("feedback", days, after, batch[-1].sequence, postings)
        return count

    def _settled(self, url: str) -> int:
        return settled(url, Mark(self.counted_to())).sequence

    def counted_to(self) -> int:
        """Returns the number of the newest decision that was counted; 0 where none was."""
        with self.open(is_writing=False) as connection:
            return read_to(connection, "decisions")

    def days(
        self, first: date, last: date, decode: Callable[[bytes], _Counts]
    ) -> Iterator[tuple[date, str, str, _Counts]]:
        """Yields the counts of these days, both included, by day, client and service; `decode` reads them from JSON."""
        query = "SELECT day, client, service, counts FROM days WHERE day BETWEEN ? AND ? ORDER BY 1, 2, 3"
        with self.open(is_writing=False) as connection:
            rows = connection.execute(query, (first.isoformat(), last.isoformat())).fetchall()
        for day, client, service, counts in rows:
            yield date.fromisoformat(day), client, service, decode(counts)

    def days_of(
        self, wanted: Collection[date], decode: Callable[[bytes], _Counts]
    ) -> Iterator[tuple[date, str, str, _Counts]]:
        """Yields the counts of these days alone, as `days` gives them."""
        marks = ", ".join("?" * len(wanted))
        query = f"SELECT day, client, service, counts FROM days WHERE day IN ({marks}) ORDER BY 1, 2, 3"  # noqa: S608
        with self.open(is_writing=False) as connection:
            rows = connection.execute(query, [day.isoformat() for day in wanted]).fetchall()
        for day, client, service, counts in rows:
            yield date.fromisoformat(day), client, service, decode(counts)

    def stamps(self, first: date, last: date) -> dict[date, int]:
        """Returns a number for each of these days that is another one whenever something was counted into the day.

        Days into which nothing was counted are not there.
        """
        query = "SELECT day, stamp FROM stamps WHERE day BETWEEN ? AND ?"
        with self.open(is_writing=False) as connection:
            rows = connection.execute(query, (first.isoformat(), last.isoformat())).fetchall()
        return {date.fromisoformat(day): stamp for day, stamp in rows}

    def compared(self, until: date, days: int, before: int) -> "list[Compared]":
        """Returns each client's calls to each service: `days` up to and with `until`, and the `before` days before."""
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
        """Returns the last one that was noted; None where none was."""
        with self.open(is_writing=False) as connection:
            row = connection.execute("SELECT * FROM verifications ORDER BY at DESC, rowid DESC LIMIT 1").fetchone()
        return Verified(*row) if row is not None else None

    def names(self) -> dict[str, list[str]]:
        """Returns the clients and services that were ever counted."""
        with self.open(is_writing=False) as connection:
            return {kind: known_names(connection, kind) for kind in ("client", "service")}

    def callers(self, since: int) -> dict[str, tuple[int, int]]:
        """Returns when each client called last, and how often since an instant (both in microseconds since 1970)."""
        with self.open(is_writing=False) as connection:
            return callers(connection, since)

    def is_of(self, url: str) -> bool:
        """Returns whether the book was made of this record, or of none yet, and the record still has what was counted.

        Raises:
            RecordUnavailable: the record or the book cannot be read.
        """
        with self.open(is_writing=False) as connection:
            first = connection.execute("SELECT first_event FROM record").fetchone()
            newest = connection.execute("SELECT decision FROM newest").fetchone()
            counted_to = read_to(connection, "decisions")
        if first is not None and first[0] != _first_event(url):
            return False
        query = select(decisions.c.sequence, decisions.c.id).where(decisions.c.sequence >= counted_to)
        rows = read_rows(url, query.order_by(decisions.c.sequence).limit(1)) if counted_to else ()
        if not rows:  # the newest decision is never taken out
            return not counted_to
        return newest is None or rows[0].sequence != counted_to or rows[0].id == newest[0]

    def _check_record(self, url: str) -> None:
        """Empties the book where it was made of another record, which its first event tells, or of a longer one."""
        first, is_of_record = _first_event(url), self.is_of(url)
        if is_of_record and not first:
            return
        with self.open() as connection:
            if not is_of_record:
                log().error("the record is another one, or lost decisions: they are counted anew")
                _make_tables(connection)
            if first and connection.execute("SELECT first_event FROM record").fetchone() is None:
                connection.execute("INSERT INTO record VALUES (?)", (first,))

    def _batches(
        self, url: str, kind: str, query: Select[Any], sequence: Any, at_once: int
    ) -> Iterator[tuple[int, Sequence[Any]]]:
        """Yields the rows that were not read yet, in parts, each behind the number of the last row before it."""
        with self.open(is_writing=False) as connection:
            after = read_to(connection, kind)
        while batch := read_rows(url, query.where(sequence > after).order_by(sequence).limit(at_once)):
            yield after, batch
            after = batch[-1].sequence

    def _add(
        self, kind: str, days: dict[Key, DayCounts], after: int, last: int, postings: Postings, newest: str = ""
    ) -> None:
        """Adds the counts and says how far was read in one transaction, so that nothing is counted twice."""
        with self.advance({kind: after}, last) as connection:
            postings.write(connection)
            if newest:
                connection.execute("DELETE FROM newest")
                connection.execute("INSERT INTO newest VALUES (?)", (newest,))
            for key, counts in days.items():
                add_to_day(connection, key, counts)

    @contextmanager
    def advance(self, kinds: Mapping[str, int], last: int) -> Iterator[sqlite3.Connection]:
        """One transaction that says, for each of these kinds, that rows after the number given were read up to `last`.

        Raises:
            RecordUnavailable: Another process has read them meanwhile.
        """
        with self.open() as connection:
            for kind, after in kinds.items():
                if read_to(connection, kind) != after:
                    raise RecordUnavailable(f"another process is counting into {self.file.name}; let it finish.")
                connection.execute("REPLACE INTO read_to VALUES (?, ?)", (kind, last))
            yield connection

    @contextmanager
    def open(self, *, is_writing: bool = True) -> Iterator[sqlite3.Connection]:
        """Yields one transaction on the file; RecordUnavailable where it cannot be used."""
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self.file.touch(mode=0o600)
            with closing(sqlite3.connect(self.file, timeout=30)) as connection, connection:
                connection.execute("BEGIN IMMEDIATE" if is_writing else "BEGIN")
                yield connection
        except (OSError, sqlite3.Error) as error:
            reason = database_error_reason(error)
            raise RecordUnavailable(f"the book of counts {self.file} cannot be used: {reason}") from error


def _make_tables(connection: sqlite3.Connection) -> None:
    """Makes the tables anew, in the transaction of this connection; what others were told of incidents stays."""
    for name in _MADE_AGAIN:
        connection.execute(f"DROP TABLE IF EXISTS {name}")
    for statement in filter(str.strip, (_TABLES + TABLES).split(";")):
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {_VERSION}")


def _first_event(url: str) -> str:
    """Returns the hash of the first event of the record, which is never taken out; empty where there is none yet."""
    rows = read_rows(url, select(events.c.hash).order_by(events.c.sequence).limit(1))
    return bytes(rows[0][0]).hex() if rows else ""


def add_to_day(connection: sqlite3.Connection, key: Key, counts: DayCounts) -> None:
    """Adds counts to those of a day, a client and a service."""
    query = "SELECT counts FROM days WHERE day = ? AND client = ? AND service = ?"
    row = connection.execute(query, key).fetchone()
    if row is not None:
        kept = _decode(row[0])
        kept.add(counts)
        counts = kept
    connection.execute("REPLACE INTO days VALUES (?, ?, ?, ?)", (*key, _encode(counts)))
    connection.execute("REPLACE INTO stamps VALUES (?, random())", key[:1])


def read_to(connection: sqlite3.Connection, kind: str) -> int:
    """Returns the number of the last row that was read of a kind; 0 before the first."""
    row = connection.execute("SELECT sequence FROM read_to WHERE kind = ?", (kind,)).fetchone()
    return 0 if row is None else int(row[0])


def _answered(url: str, ids: set[str]) -> tuple[dict[str, set[str]], dict[str, Place]]:
    """Returns the rules on each card of these decisions by its uuid, and the places of the decisions by their id."""
    rules_on: dict[str, set[str]] = {}
    place_of: dict[str, Place] = {}
    query = select(decisions.c.id, decisions.c.decided_at, decisions.c.sequence, decisions.c.response)
    several = sorted(ids)
    for start in range(0, len(several), _ANSWERED_AT_ONCE):
        some = several[start : start + _ANSWERED_AT_ONCE]
        for row in read_rows(url, query.where(decisions.c.id.in_(some))):
            rules_on |= rules_by_card(row.response)
            place_of[row.id] = (row.decided_at, row.sequence)
    return rules_on, place_of


def day_of(microseconds: int) -> str:
    """Returns the day in UTC of microseconds since 1970, as 2026-11-20."""
    return datetime.fromtimestamp(microseconds / 1e6, UTC).date().isoformat()
