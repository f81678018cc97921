"""The book of counts: an SQLite file beside the record that goes on where it stopped reading.

It is derived from the record and holds counts only; deleted, it is made again. Each decision and each piece of feedback
is read once: a report over a month of a million decisions reads some hundred rows of counts.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from time import time
from typing import Any, Final

import msgspec
from sqlalchemy import Select, select

from cds_hooks.monitor.counting import count_decision, count_feedback
from cds_hooks.storage.database import database_error_reason, parse_url
from cds_hooks.storage.decision import Decision, RecordUnavailable
from cds_hooks.storage.queries import read_rows, rules_by_card
from cds_hooks.storage.tables import decisions, feedback
from models_onnx.monitoring.day import DayCounts
from models_onnx.monitoring.judging import Compared

AT_ONCE: Final = 2000
_VERSION: Final = 2
_ANSWERED_AT_ONCE: Final = 100
_SETTLED_SECONDS: Final = 10.0
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
"""
Place = tuple[str, str, str]
_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(DayCounts).decode


class CountBook:
    """The counts of one record.

    Raises:
        RecordUnavailable: the file cannot be made, is no such book, or is of a newer version.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        with self.open() as connection:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version in range(1, _VERSION):  # counted again, because more is counted now
                connection.executescript("DROP TABLE days; DROP TABLE read_to;")
            elif version not in (0, _VERSION):
                raise RecordUnavailable(f"{file.name} was written by another version; delete it, and it is made again.")
            connection.executescript(_TABLES)
            connection.execute(f"PRAGMA user_version = {_VERSION}")

    def read(self, url: str, progress: Callable[[int], None] = lambda _: None) -> int:
        """Counts what came to the record since the last reading, and returns how many decisions these were.

        Raises:
            RecordUnavailable: the record or the book cannot be read.
        """
        found = 0
        for after, batch in self._batches(url, "decisions", _settled(url), decisions.c.sequence):
            days: dict[Place, DayCounts] = {}
            for row in batch:
                decision = Decision(*row[1:])
                place = (day_of(decision.decided_at), decision.client, decision.service)
                count_decision(days.setdefault(place, DayCounts()), decision)
            self._add("decisions", days, after, batch[-1].sequence)
            found += len(batch)
            progress(found)
        answers = feedback.c
        query = select(
            answers.sequence, answers.received_at, answers.client, answers.service, answers.outcome,
            answers.override_reason_code, answers.decision, answers.card,
        )  # fmt: skip
        for after, batch in self._batches(url, "feedback", query, answers.sequence):
            days, on_cards = {}, _rules_on(url, {row.decision for row in batch if row.decision})
            for row in batch:
                place = (day_of(row.received_at), row.client, row.service)
                rules = on_cards.get(row.card, set())
                count_feedback(days.setdefault(place, DayCounts()), row.outcome, row.override_reason_code, rules)
            self._add("feedback", days, after, batch[-1].sequence)
        return found

    def compared(self, until: date, days: int, before: int) -> list[Compared]:
        """Each client's calls to each service: `days` up to and with `until`, and the `before` days before."""
        begin, end = until - timedelta(days=days + before - 1), until
        window_from = until - timedelta(days=days - 1)
        found: dict[tuple[str, str], Compared] = {}
        with self.open() as connection:
            query = "SELECT day, client, service, counts FROM days WHERE day BETWEEN ? AND ? ORDER BY 2, 3, 1"
            for day, client, service, counts in connection.execute(query, (begin.isoformat(), end.isoformat())):
                at = date.fromisoformat(day)
                one = found.setdefault((client, service), Compared(client, service, {}, {}))
                (one.window if at >= window_from else one.reference)[at] = _decode(counts)
        for one in found.values():  # a day on which nobody called is a day of the window, too
            for place in range(days):
                one.window.setdefault(window_from + timedelta(days=place), DayCounts())
        return list(found.values())

    def open_incidents(self) -> set[tuple[str, str]]:
        """Client and family of the incidents that others were told of, and not yet that they ended."""
        with self.open() as connection:
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

    def _batches(self, url: str, kind: str, query: Select[Any], sequence: Any) -> Iterator[tuple[int, Sequence[Any]]]:
        """The rows that were not read yet, in parts, each behind the number of the last row before it."""
        with self.open() as connection:
            after = read_to(connection, kind)
        while batch := read_rows(url, query.where(sequence > after).order_by(sequence).limit(AT_ONCE)):
            yield after, batch
            after = batch[-1].sequence

    def _add(self, kind: str, days: dict[Place, DayCounts], after: int, last: int) -> None:
        """Adds the counts and says how far was read in one transaction, so that nothing is counted twice."""
        with self.advance({kind: after}, last) as connection:
            for place, counts in days.items():
                add_to_day(connection, place, counts)

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
    def open(self) -> Iterator[sqlite3.Connection]:
        """One transaction on the file; RecordUnavailable where it cannot be used."""
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self.file.touch(mode=0o600)
            with closing(sqlite3.connect(self.file, timeout=30)) as connection, connection:
                connection.execute("BEGIN IMMEDIATE")
                yield connection
        except (OSError, sqlite3.Error) as error:
            reason = database_error_reason(error)
            raise RecordUnavailable(f"the book of counts {self.file} cannot be used: {reason}") from error


def add_to_day(connection: sqlite3.Connection, place: Place, counts: DayCounts) -> None:
    """Adds counts to those of a day, a client and a service."""
    query = "SELECT counts FROM days WHERE day = ? AND client = ? AND service = ?"
    row = connection.execute(query, place).fetchone()
    if row is not None:
        kept = _decode(row[0])
        kept.add(counts)
        counts = kept
    connection.execute("REPLACE INTO days VALUES (?, ?, ?, ?)", (*place, _encode(counts)))


def read_to(connection: sqlite3.Connection, kind: str) -> int:
    """The number of the last row that was read of a kind; 0 before the first."""
    row = connection.execute("SELECT sequence FROM read_to WHERE kind = ?", (kind,)).fetchone()
    return 0 if row is None else int(row[0])


def _settled(url: str) -> Select[Any]:
    """The decisions; in PostgreSQL without those of the last ten seconds, as one with a lower number may still come."""
    query = select(decisions.c.sequence, *(decisions.c[each.name] for each in msgspec.structs.fields(Decision)))
    if parse_url(url).get_backend_name() != "postgresql":
        return query
    return query.where(decisions.c.decided_at < (time() - _SETTLED_SECONDS) * 1e6)


def _rules_on(url: str, ids: set[str]) -> dict[str, set[str]]:
    """By the uuid of a card of these decisions the rules whose findings it shows."""
    found: dict[str, set[str]] = {}
    several = sorted(ids)
    for start in range(0, len(several), _ANSWERED_AT_ONCE):
        some = several[start : start + _ANSWERED_AT_ONCE]
        for row in read_rows(url, select(decisions.c.response).where(decisions.c.id.in_(some))):
            found |= rules_by_card(row.response)
    return found


def day_of(microseconds: int) -> str:
    """The day in UTC of microseconds since 1970, as 2026-11-20."""
    return datetime.fromtimestamp(microseconds / 1e6, UTC).date().isoformat()
