"""The counts of the record by day, client and service, and the places of decisions by what they say (postings.py).

They are tables of its views: a report over a month of a million decisions reads some hundred rows of counts.

Counts a decision and a piece of feedback: what monitoring keeps of them.
"""

import sqlite3
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from time import time
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

import msgspec
from msgspec import Struct

from cds_hooks.decision_views.file import Views
from cds_hooks.decision_views.follow import Batch, Projection
from cds_hooks.monitor.postings import TABLES, Postings, callers, known_names, names_of, plain_subject
from cds_hooks.storage.decision import Decision, RecordUnavailable, is_trial
from cds_hooks.storage.queries import cards_of, rules_by_card, severities_of
from models_onnx.monitoring.day import DIFFER_BY_SEX, DayCounts, count, count_need, groups_of, sketch_value
from models_onnx.monitoring.sketch import bucket_of, log_odds_bucket

if TYPE_CHECKING:
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


_DAY_SECONDS: Final = 86_400.0
_SECOND: Final = 1_000_000
_REPEATED_SECONDS: Final = 5
"""Two calls about one patient within so many seconds are one that came twice, whatever their hook instance."""
_APART_SECONDS: Final = 300
"""So far the clocks of machines may differ; as for values that are dated in the future."""
_MOST_CALLS: Final = 20_000
_STRATUM: Final = 25
"""Buckets of log-odds in a stratum of the label-choice audit: half a unit of log-odds."""
Evidence = tuple[float, str | None, str | None]


class _Basis(Struct):
    as_of: str = ""
    features: dict[str, Evidence] = {}
    missing: dict[str, str] = {}
    timings: dict[str, float] = {}
    prefetch: dict[str, Any] = {}
    """The state of each key: a word, or an object with the reason beside it (docs/operations/evidence.md)."""
    scores: dict[str, Any] = {}
    groups: tuple[str, ...] = ()
    silence: list[tuple[str, str, str]] = []


_basis: Final = msgspec.json.Decoder(_Basis)


def count_decision(day: DayCounts, decision: Decision) -> set[str]:
    """Add a decision to its day, and return the names under which it is found (postings.py).

    Where its basis is not readable as one, only the call is counted, and that it could not be counted further.
    """
    day.calls += 1
    day.with_cards += decision.outcome == "cards"
    day.errors += decision.outcome == "error"
    hour = decision.decided_at // 3_600_000_000 % 24
    day.hours[hour] = day.hours.get(hour, 0) + 1
    if decision.outcome == "error":
        day.hour_errors[hour] = day.hour_errors.get(hour, 0) + 1
    plain = (decision.service, decision.client, decision.outcome)
    try:
        basis = _basis.decode(decision.basis)
        cards = cards_of(decision)
    except msgspec.DecodeError:
        day.uncounted += 1
        return names_of(*plain, (), ())
    silences = {(plain_subject(subject), reason) for subject, reason, _ in basis.silence}
    for subject, reason in silences:
        count(day.silences, f"{subject} {reason}")
        if decision.outcome == "error":
            count(day.classes, reason)
    for key, state in basis.prefetch.items():
        count(day.keys, f"{key} {state['state'] if isinstance(state, dict) else state}")
    _count_times(day, hour, basis.timings)
    _count_inputs(day, basis)
    rules = {rule for card in cards for rule in card}
    day.cards += len(cards)
    for rule in rules:
        count(day.rules, rule)
    return names_of(*plain, rules, silences, severities_of(decision))


class CallOrder:
    """Counts what shows only beside the decisions before: calls that came twice, and clocks that disagree.

    It keeps who called about whom for one reading of the record, in memory, and nothing of it is written.
    """

    def __init__(self) -> None:
        self._latest = 0
        self._calls: OrderedDict[int, int] = OrderedDict()  # by hash, so that no long id takes more memory

    def note(self, day: DayCounts, decision: Decision) -> None:
        """Take the next decision in the order of the record."""
        at, caller = decision.decided_at, (decision.client, decision.service)
        day.behind += at < self._latest - _APART_SECONDS * _SECOND
        self._latest = max(self._latest, at)
        same_call, about = hash((*caller, decision.hook_instance)), hash((*caller, "", decision.patient))
        before = self._calls.get(about)
        is_soon = before is not None and abs(at - before) <= _REPEATED_SECONDS * _SECOND
        day.repeated += is_soon or (bool(decision.hook_instance) and same_call in self._calls)
        for key in (same_call, about):
            self._calls.pop(key, None)
            self._calls[key] = at
        while len(self._calls) > _MOST_CALLS:
            self._calls.popitem(last=False)


def _count_times(day: DayCounts, hour: int, timings: dict[str, float]) -> None:
    if not timings:
        return
    bucket = bucket_of(sum(timings.values()))
    day.milliseconds[bucket] = day.milliseconds.get(bucket, 0) + 1
    in_hour = day.hour_milliseconds.setdefault(hour, {})
    in_hour[bucket] = in_hour.get(bucket, 0) + 1
    for stage, milliseconds in timings.items():
        sketch_value(day.stages, stage, milliseconds)


def _count_inputs(day: DayCounts, basis: _Basis) -> None:
    as_of = _instant(basis.as_of)
    values = {name: evidence[0] for name, evidence in basis.features.items()}
    for name, (value, effective, _) in basis.features.items():
        sketch_value(day.features, name, value)
        at = _instant(effective)
        if as_of is not None and at is not None:
            sketch_value(day.ages, name, max(0.0, (as_of - at).total_seconds() / _DAY_SECONDS))
    if (sex := values.get("sex_male")) is not None:
        for name in DIFFER_BY_SEX:
            if name in values:
                sketch_value(day.by_sex, f"{name} {'men' if sex else 'women'}", values[name])
    for name, reason in basis.missing.items():
        count(day.missing, f"{name} {reason}")
    for scores in basis.scores.get("advisors", {"": basis.scores}).values():
        _count_score(day, scores, values, groups_of(values, basis.groups))


def _count_score(day: DayCounts, scores: dict[str, Any], values: dict[str, float], groups: Iterable[str]) -> None:
    score = scores.get("probability", scores.get("value"))
    if not isinstance(score, int | float):
        return
    model = f"{scores.get('id', 'score')}@{scores.get('version', '')}"
    conditions = _conditions_of(values) if "probability" in scores else []
    for group in groups:
        sketch_value(day.scores, f"{model} {group}", float(score))
        if conditions:
            count_need(day.needs, f"{model} {group}", log_odds_bucket(float(score)) // _STRATUM, sum(conditions))


def _conditions_of(values: dict[str, float]) -> list[float]:
    """Return the inputs that say whether the patient has an illness: what the label-choice audit counts as need."""
    # imported with the first estimate that is counted: a report that counts nothing new need not load it
    from fhir.mapping.features.catalog import FEATURES
    from fhir.mapping.features.conditions import HasCondition
    from fhir.mapping.features.stays import StayDiagnosis

    return [value for name, value in values.items() if isinstance(FEATURES.get(name), HasCondition | StayDiagnosis)]


def count_feedback(
    day: DayCounts, outcome: str, reason: str | None, rules: Collection[str] = (), seconds: float | None = None
) -> None:
    """Add a clinician's answer, with the code of the reason where the card was overridden.

    `rules`: those whose findings the card shows, for which the answer is counted too. `seconds`: how long after it was
    given, by the client's clock, the answer arrived; None where the client named no instant.
    """
    if seconds is not None:
        bucket = bucket_of(seconds)
        day.answer_seconds[bucket] = day.answer_seconds.get(bucket, 0) + 1
    for rule in rules:
        count(day.answers, f"{rule} {outcome}")
        if outcome != "accepted":
            count(day.answer_reasons, f"{rule} {reason or 'no reason'}")
    if outcome == "accepted":
        day.accepted += 1
        return
    day.overridden += 1
    count(day.reasons, reason or "no reason")


def seconds_under_way(given: str, received: int) -> float | None:
    """Seconds from the instant that a client names to `received` (microseconds since 1970); None where it names none.

    A text without a time and its zone names no instant.
    """
    if "T" not in given:
        return None
    try:
        at = datetime.fromisoformat(given)
    except ValueError:
        return None
    return received / _SECOND - at.timestamp() if at.tzinfo is not None else None


def _instant(text: str | None) -> datetime | None:
    """Return the instant of an ISO 8601 text; of a day its beginning in UTC, None for a part of a date or no date."""
    try:
        instant = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return instant.replace(tzinfo=UTC) if instant is not None and instant.tzinfo is None else instant
