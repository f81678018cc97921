"""What the server counts of its record by day, and what is remembered of reports: tables of the views.

The pages read them: which rules showed cards, what was answered, which prefetch keys came. What a count means is judged
by the command `monitor` (report.py), whose last report is kept here.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from time import time
from typing import Any, ClassVar, Final

import msgspec

from cds_hooks.evidence.decision_views.file import Views
from cds_hooks.evidence.decision_views.follow import Batch, Projection
from cds_hooks.evidence.monitor.search_index import TABLES, add_answer, add_decision, plain_subject
from cds_hooks.evidence.storage.decision import is_trial
from cds_hooks.evidence.storage.queries import DecisionRow
from models_onnx.monitoring.figure import Incident, Key

_TABLES: Final = """
CREATE TABLE daily (
    day TEXT, client TEXT, service TEXT, kind TEXT, name TEXT, n INTEGER NOT NULL,
    PRIMARY KEY (kind, day, client, service, name)
) WITHOUT ROWID;
"""
_encode: Final = msgspec.json.Encoder().encode
_Row = tuple[str, str, str, str, str]
"""Day, client, service, kind and name."""


class Verified(msgspec.Struct, frozen=True):
    """A verification of the record: when (epoch seconds), how many decisions were read, and the first fault, if any."""

    at: int
    decisions: int
    fault: str


class Counts(Projection):
    """The counts of each day, and what decisions can be searched by.

    Kinds of counts: `call` (outcome), `rule`, `silence` (subject and reason), `prefetch` (key and state), `answer` and
    `reason` (of a rule).
    """

    tables: ClassVar[str] = _TABLES + TABLES
    takes_trials: ClassVar[bool] = True

    def take(self, connection: sqlite3.Connection, batch: Batch) -> None:
        """Count decisions and answers; those of trial calls are not counted, but a search finds them."""
        counts = Counter[_Row]()
        for row in batch.decisions:
            counted = _take_decision(connection, row)
            if not is_trial(row.decision.client):
                of = (_day_of(row.decision.decided_at), row.decision.client, row.decision.service)
                counts.update((*of, *name) for name in counted)
        for answered in batch.answers:
            answer, about = answered.feedback, answered.decision
            cards = about.response.cards if about is not None else ()
            rules = set[str]().union(*(card.rules for card in cards if card.uuid == answer.card))
            if not is_trial(answer.client):
                of = (_day_of(answer.received_at), answer.client, answer.service)
                counts.update((*of, *name) for name in _answer(answer, rules))
            if about is not None:
                add_answer(connection, (about.decision.decided_at, about.sequence), answer)
        connection.executemany(
            "INSERT INTO daily VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET n = n + excluded.n",
            [(*key, n) for key, n in counts.items()],
        )


def _take_decision(connection: sqlite3.Connection, row: DecisionRow) -> list[tuple[str, str]]:
    """Let a decision be searched for, and return its counts as kind and name.

    Where its basis is not readable as one, only the call is counted.
    """
    decision, place = row.decision, (row.decision.decided_at, row.sequence)
    counts: list[tuple[str, str]] = [("call", decision.outcome)]
    try:
        basis, cards = row.basis, row.response.cards
    except msgspec.DecodeError:
        add_decision(connection, place, decision)
        return counts
    silences = {(plain_subject(subject), reason) for subject, reason, _ in basis.silence}
    rules = {rule for card in cards for rule in card.rules}
    counts += [("rule", rule) for rule in rules]
    counts += [("silence", f"{subject} {reason}") for subject, reason in silences]
    for key, state in basis.prefetch.items():
        counts.append(("prefetch", f"{key} {state['state'] if isinstance(state, dict) else state}"))
    add_decision(connection, place, decision, rules, silences, {card.indicator for card in cards})
    return counts


def _answer(answer: Any, rules: Iterable[str]) -> Iterator[tuple[str, str]]:
    for subject in rules:
        yield "answer", f"{subject} {answer.outcome}"
        if answer.outcome != "accepted":
            yield "reason", f"{subject} {answer.override_reason_code or 'no reason'}"


def _day_of(microseconds: int) -> str:
    """Return the day in UTC of microseconds since 1970, as 2026-11-20."""
    return datetime.fromtimestamp(microseconds / 1e6, UTC).date().isoformat()


class CountBook:
    """The counts of one record, as they are in its views, and what is remembered of reports."""

    def __init__(self, views: Views) -> None:
        self.views = views
        self.open = views.open

    def totals(self, kinds: Sequence[str], first: date, last: date, by: str) -> list[tuple[Any, ...]]:
        """Return the counts of these kinds in these days, both included: what `by` names, kind, name and number.

        `by` is a list of columns of the table, as "day" or "client, service".

        Raises:
            RecordUnavailable: The views cannot be read.
        """
        marks = ", ".join("?" * len(kinds))
        query = (
            f"SELECT {by}, kind, name, sum(n) FROM daily WHERE kind IN ({marks}) AND day BETWEEN ? AND ? "  # noqa: S608
            f"GROUP BY {by}, kind, name ORDER BY {by}, kind, name"
        )
        return [tuple(row) for row in self.views.read(query, *kinds, first.isoformat(), last.isoformat())]

    # What is remembered of reports

    def open_incidents(self) -> dict[str, tuple[str, str, bool]]:
        """Return client, family and whether others were told, by the key of each incident that is open."""
        with self.open(is_writing=False) as connection:
            rows = connection.execute("SELECT key, client, family, is_told FROM open_incidents").fetchall()
        return {key: (client, family, bool(is_told)) for key, client, family, is_told in rows}

    def frozen(self, since: date) -> dict[Key, date]:
        """Return the day before which the reference of each figure of an incident ends that was open since a day."""
        query = "SELECT figures, since FROM open_incidents UNION ALL SELECT figures, since FROM past_incidents"
        with self.open(is_writing=False) as connection:
            rows = connection.execute(f"{query} WHERE ended >= ? ORDER BY since DESC", (since.isoformat(),)).fetchall()
        return {
            figure: date.fromisoformat(begun)  # of several incidents of a figure that of the first, which comes last
            for figures, begun in rows
            for figure in msgspec.json.decode(figures, type=list[Key])
        }

    def usual(self) -> dict[str, date]:
        """Return by client the day from which on what came is usual, where a person said so."""
        with self.open(is_writing=False) as connection:
            rows = connection.execute("SELECT client, since FROM usual").fetchall()
        return {client: date.fromisoformat(since) for client, since in rows}

    def note_usual(self, client: str, since: date) -> None:
        """Remember that what a client sends since a day is usual: its incidents end and its reference begins anew."""
        with self.open() as connection:
            connection.execute("REPLACE INTO usual VALUES (?, ?)", (client, since.isoformat()))

    def note_open(self, incidents: Iterable[Incident], since: date) -> None:
        """Remember incidents that began in a window from `since` on; known ones keep their day and figures."""
        with self.open() as connection:
            known = dict(connection.execute("SELECT key, figures FROM open_incidents").fetchall())
            for incident in incidents:
                keys = {figure.key for figure in (*incident.causes, *incident.follows)}
                keys.update(msgspec.json.decode(known.get(incident.key, b"[]"), type=list[Key]))
                connection.execute(
                    "INSERT INTO open_incidents VALUES (?, ?, ?, 0, ?, ?) "
                    "ON CONFLICT DO UPDATE SET figures = excluded.figures",
                    (incident.key, incident.client, incident.family, since.isoformat(), _encode(sorted(keys))),
                )

    def note_told(self, key: str) -> None:
        """Remember that others were told that an incident began."""
        with self.open() as connection:
            connection.execute("UPDATE open_incidents SET is_told = 1 WHERE key = ?", (key,))

    def note_ended(self, key: str, last: date) -> None:
        """Remember that an incident ended in a window up to `last`, so that nothing is held against its days."""
        with self.open() as connection:
            connection.execute(
                "INSERT INTO past_incidents SELECT figures, since, ? FROM open_incidents WHERE key = ?",
                (last.isoformat(), key),
            )
            connection.execute("DELETE FROM open_incidents WHERE key = ?", (key,))

    def note_report(self, content: bytes) -> None:
        """Keep the newest report, for the pages."""
        with self.open() as connection:
            connection.execute("DELETE FROM reports")
            connection.execute("INSERT INTO reports VALUES (?, ?)", (time(), content))

    def last_report(self) -> tuple[float, bytes] | None:
        """Return when the newest report was made (epoch seconds), and its content; None where none was."""
        with self.open(is_writing=False) as connection:
            row = connection.execute("SELECT at, content FROM reports").fetchone()
        return (float(row[0]), bytes(row[1])) if row is not None else None

    def note_verification(self, decisions_read: int, fault: str) -> None:
        """Remembers that the chain of the record was verified on this machine, and its first fault; "" for none."""
        with self.open() as connection:
            connection.execute("INSERT INTO verifications VALUES (?, ?, ?)", (int(time()), decisions_read, fault))

    def last_verification(self) -> Verified | None:
        """Return the last one that was noted; None where none was."""
        with self.open(is_writing=False) as connection:
            row = connection.execute("SELECT * FROM verifications ORDER BY at DESC, rowid DESC LIMIT 1").fetchone()
        return Verified(*row) if row is not None else None
