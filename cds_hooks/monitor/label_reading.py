"""Counts mature predictions with their outcomes in the book, each once, and takes corrections over.

Two things are read: outcomes in the order in which they arrived, and decisions that have become mature since. An
outcome of a decision that was counted already moves it from one count to another; one of a decision that is not mature
yet waits until the decision is. No report looks at a prediction again.
"""

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from math import ceil
from typing import Any, Final

import msgspec
from msgspec import Struct
from sqlalchemy import select

from cds_hooks.monitor.book import CountBook, Key, add_to_day, day_of, read_to
from cds_hooks.outcomes.labels import DAY, Label, Labels
from cds_hooks.storage.outcomes import Outcome, newest_outcomes, outcomes_after, versions_of
from cds_hooks.storage.queries import read_rows, rules_by_card, without_trials
from cds_hooks.storage.tables import decisions
from models_onnx.monitoring.day import DayCounts, count, groups_of
from models_onnx.monitoring.label_judging import LabelWindow
from models_onnx.monitoring.labelled import (
    Happened,
    LabelCounts,
    PackedCells,
    pack,
    summed,
    unpack,
    unpack_cells,
    with_labels_assumed,
)

_OUTCOMES: Final = "outcomes"
_AT_ONCE: Final = 500


class _Scores(Struct):
    id: str = ""
    version: str = ""
    probability: float | None = None


class _Basis(Struct):
    features: dict[str, tuple[float, str | None, str | None]] = {}
    scores: dict[str, Any] | None = None
    groups: tuple[str, ...] = ()


_basis: Final = msgspec.json.Decoder(_Basis)


class _Predicted(Struct, frozen=True):
    """What is counted of one prediction."""

    key: Key
    model: str
    keys: tuple[str, ...]
    estimate: float
    with_card: bool


class LabelReader:
    """Reads labels of a record into a book; `now` is in microseconds since 1970-01-01 UTC."""

    def __init__(self, book: CountBook, url: str, labels: Labels, now: int) -> None:
        self._book = book
        self._url = url
        self._labels = labels
        self._now = now

    def read(self) -> None:
        """Count what came since the last reading.

        Raises:
            RecordUnavailable: The record or the book cannot be used, or another process is counting.
        """
        with self._book.open() as connection:
            matured = {model: read_to(connection, _matured(model)) for model in self._labels}
            after = read_to(connection, _OUTCOMES)
        while rows := outcomes_after(self._url, after, _AT_ONCE):
            self._take_outcomes(rows, after, matured)
            after = rows[-1][0]
        together: dict[tuple[int, int], list[str]] = {}
        for model, label in self._labels.items():
            together.setdefault((matured[model], label.wait), []).append(model)
        for (begin, wait), models in together.items():
            self._mature(models, begin, wait, after)

    # Outcomes

    def _take_outcomes(self, rows: Sequence[tuple[int, Outcome]], after: int, matured: dict[str, int]) -> None:
        ids = {item.decision for _, item in rows if item.decision is not None}
        outcomes = {row.id: row for row in self._decisions(ids)}
        versions = versions_of(self._url, ids)
        with self._book.advance({_OUTCOMES: after}, rows[-1][0]) as connection:
            for _, item in rows:
                before = versions.get(item.key, {}).get(item.version - 1)
                row = outcomes.get(item.decision or "")
                if item.kind == "complete":
                    values = (item.client, item.subject, item.value)
                    connection.execute("REPLACE INTO complete VALUES (?, ?, ?)", values)
                elif row is None:
                    continue  # taken out by a retention run
                elif item.kind == "order":
                    _count_order(connection, row, item, before)
                elif row.sequence <= matured.get(item.subject, 0) and (made := _prediction_of(row)) is not None:
                    change = LabelCounts()
                    _count(change, made, _happened(before), -1)
                    _count(change, made, _happened(item.value))
                    _add(connection, made.key, change)

    def _decisions(self, ids: Collection[str]) -> Iterable[Any]:
        columns = [decisions.c[name] for name in (*_COLUMNS, "response")]
        several = sorted(ids)
        for start in range(0, len(several), _AT_ONCE):
            some = several[start : start + _AT_ONCE]
            yield from read_rows(self._url, select(*columns).where(decisions.c.id.in_(some)))

    # Decisions that have become mature

    def _mature(self, models: list[str], after: int, wait: int, outcomes_to: int) -> None:
        d = decisions.c
        latest = self._now - wait
        while rows := read_rows(
            self._url, select(d.sequence, d.decided_at).where(d.sequence > after).order_by(d.sequence).limit(_AT_ONCE)
        ):
            # one that is dated later than now is of a server whose clock was ahead: the others do not wait for its time
            waits = (position for position, row in enumerate(rows) if latest < row.decided_at <= self._now)
            due = next(waits, len(rows))
            if not due:
                return
            self._count_matured(models, after, rows[due - 1].sequence, outcomes_to)
            after = rows[due - 1].sequence
            if due < len(rows):
                return

    def _count_matured(self, models: list[str], after: int, last: int, outcomes_to: int) -> None:
        columns = [decisions.c[name] for name in _COLUMNS]
        between = (decisions.c.sequence > after, decisions.c.sequence <= last, without_trials(decisions))
        read = {row.id: _prediction_of(row) for row in read_rows(self._url, select(*columns).where(*between))}
        made = {
            key: prediction for key, prediction in read.items() if prediction is not None and prediction.model in models
        }
        outcomes = newest_outcomes(self._url, made, outcomes_to)
        places: dict[Key, LabelCounts] = {}
        for key, prediction in made.items():
            outcome = outcomes.get((key, "event", prediction.model))
            _count(
                places.setdefault(prediction.key, LabelCounts()),
                prediction,
                _happened(outcome.value if outcome else None),
            )
        with self._book.advance({_matured(model): after for model in models}, last) as connection:
            for key, counts in places.items():
                _add(connection, key, counts)


_COLUMNS: Final = ("sequence", "id", "decided_at", "client", "service", "outcome", "basis")


def _matured(model: str) -> str:
    return f"matured {model}"


def _prediction_of(row: Any) -> _Predicted | None:
    """Return what is counted of a decision; None where no model estimated a risk in it."""
    try:
        basis = _basis.decode(row.basis)
        scores = msgspec.convert(basis.scores or {}, _Scores)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None
    if not scores.id or scores.probability is None:
        return None
    groups = groups_of({name: evidence[0] for name, evidence in basis.features.items()}, basis.groups)
    keys = tuple(f"{scores.id}@{scores.version} {group}" for group in groups)
    key = (day_of(row.decided_at), row.client, row.service)
    return _Predicted(key, scores.id, keys, scores.probability, row.outcome == "cards")


def _happened(value: str | None) -> Happened:
    return "yes" if value == "yes" else "no" if value == "no" else "unlabelled"


def _count(counts: LabelCounts, made: _Predicted, happened: Happened, times: int = 1) -> None:
    for key in made.keys:
        counts.count(key, made.estimate, happened, with_card=made.with_card, times=times)


def _count_order(connection: sqlite3.Connection, row: Any, item: Outcome, before: str | None) -> None:
    """Count what was done with an order, for each rule on its card; a correction takes the version before out."""
    day = DayCounts()
    for rule in rules_by_card(row.response).get(item.subject, ()):
        count(day.orders, f"{rule} {item.value}")
        if before is not None:
            count(day.orders, f"{rule} {before}", -1)
    add_to_day(connection, (day_of(row.decided_at), row.client, row.service), day)


def _add(connection: sqlite3.Connection, key: Key, counts: LabelCounts) -> None:
    query = "SELECT counts FROM labels WHERE day = ? AND client = ? AND service = ?"
    row = connection.execute(query, key).fetchone()
    if row is not None:
        kept = unpack(row[0])
        kept.add(counts)
        counts = kept
    connection.execute("REPLACE INTO labels VALUES (?, ?, ?, ?)", (*key, pack(counts)))


def label_windows(book: CountBook, labels: Labels, until: date, days: int) -> list[LabelWindow]:
    """Return the predictions of the last `days` days that were mature on `until`, and those of as many days before.

    Each model has its own days, because each has its own horizon. The counts of a day are read once for all models.

    Raises:
        RecordUnavailable: The book cannot be read.
    """
    gathering = [_Gathering.of(label, until, days) for label in labels.values()]
    by_day: dict[date, list[_Gathering]] = {}
    for gathered in gathering:
        for offset in range(2 * days):
            by_day.setdefault(gathered.last - timedelta(days=offset), []).append(gathered)
    with book.open(is_writing=False) as connection:
        complete = {(client, event): day for client, event, day in connection.execute("SELECT * FROM complete")}
        for day in sorted(by_day):
            wanted = {window.label.model: window for window in by_day[day]}
            query = "SELECT client, service, counts FROM labels WHERE day = ?"
            for client, service, content in connection.execute(query, (day.isoformat(),)):
                for model, cells in _by_model(content).items():
                    if model in wanted:
                        wanted[model].take(day, client, service, cells, complete)
    return [window for gathered in gathering for window in gathered.windows()]


def _by_model(content: bytes) -> dict[str, PackedCells]:
    cells_by_model: dict[str, PackedCells] = {}
    for key, rows in unpack_cells(content).items():
        cells_by_model.setdefault(key.partition("@")[0], {})[key] = rows
    return cells_by_model


@dataclass(frozen=True, slots=True)
class _Gathering:
    """The cells of one model, day by day, by client and service: those of the window and those before it."""

    label: Label
    first: date
    """The first day of the window."""
    last: date
    parts: dict[tuple[str, str], tuple[list[PackedCells], list[PackedCells]]]

    @classmethod
    def of(cls, label: Label, until: date, days: int) -> "_Gathering":
        last = until - timedelta(days=ceil(label.wait / DAY))
        return cls(label, last - timedelta(days=days - 1), last, {})

    def take(
        self, day: date, client: str, service: str, cells: PackedCells, complete: Mapping[tuple[str, str], str]
    ) -> None:
        """Add the cells of a day. `complete` has by client and event the day up to which all events were sent."""
        if _is_complete(complete.get((client, self.label.event or ""), ""), day, self.label):
            cells = with_labels_assumed(cells)
        now, before = self.parts.setdefault((client, service), ([], []))
        (now if day >= self.first else before).append(cells)

    def windows(self) -> list[LabelWindow]:
        """Return one for each client and service."""
        model, words = self.label.model, f"predictions of {self.first} to {self.last}"
        areas = {model: self.label.area} if self.label.area is not None else {}
        windows = []
        for (client, service), (now, before) in sorted(self.parts.items()):
            threshold = self.label.thresholds.at(service)
            deployed = {model: threshold} if threshold is not None else {}
            windows.append(LabelWindow(client, service, words, summed(now), summed(before), areas, deployed))
        return windows


def _is_complete(through: str, day: date, label: Label) -> bool:
    """Return whether the client has sent every event up to the end of the horizon of the day's last prediction."""
    return bool(through) and date.fromisoformat(through) >= day + timedelta(days=ceil(label.horizon_days) + 1)
