"""Judges models on mature predictions: calibration, discrimination, fairness, and the choice of the label.

The limits are those of docs/operations/monitoring.md. Nothing is judged where too few events are counted, or where
more than 5 in 100 mature predictions have no outcome: what is missing is mostly what did not happen.

Counts of mature predictions by their estimate, their group, whether a card was shown, and what happened.

Estimates are counted in buckets of log-odds that are 0.02 wide, so an estimate is off by at most 1 % of its odds, and
calibration and discrimination can be computed from the counts alone.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, combinations
from typing import Final, Literal

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from models_onnx.monitoring import rates
from models_onnx.monitoring.day import DayCounts
from models_onnx.monitoring.figure import ATTRIBUTES, Family, Figure, State
from models_onnx.monitoring.performance import (
    Deployed,
    area_under_curve,
    calibration_slope,
    net_benefit,
    observed_to_expected,
    ratio_at_equal_estimate,
)
from models_onnx.monitoring.rates import Interval
from models_onnx.monitoring.sketch import WIDTH, log_odds_bucket

Happened = Literal["yes", "no", "unlabelled"]
_PLACE: Final[dict[Happened, int]] = {"yes": 0, "no": 1, "unlabelled": 2}
_SILENT: Final = 3


class LabelCounts(msgspec.Struct, kw_only=True):
    """By "model group" and bucket six counts: yes, no and unlabelled with a card, and the same three without one."""

    cells: dict[str, dict[int, list[int]]] = {}

    def count(self, key: str, estimate: float, happened: Happened, *, with_card: bool, times: int = 1) -> None:
        """Count a prediction; -1 times takes it out again."""
        buckets = self.cells.setdefault(key, {})
        counts = buckets.setdefault(log_odds_bucket(estimate), [0] * 6)
        counts[_PLACE[happened] + (0 if with_card else _SILENT)] += times

    def add(self, other: "LabelCounts") -> None:
        """Add what another counted."""
        for key, buckets in other.cells.items():
            mine = self.cells.setdefault(key, {})
            for bucket, counts in buckets.items():
                kept = mine.get(bucket)
                mine[bucket] = list(counts) if kept is None else [a + b for a, b in zip(kept, counts, strict=True)]


PackedCells = dict[str, NDArray[np.int32]]
"""By "model group" one row for each bucket: the bucket, and the six counts of `LabelCounts`. Shape (buckets, 7)."""
_STORED: Final = np.dtype("<i4")
_packed: Final = msgspec.msgpack.Decoder(dict[str, bytes])


def pack(counts: LabelCounts) -> bytes:
    """Pack the counts as they are kept: a report reads those of hundreds of days; JSON would take a second of it."""
    tables = {key: [[bucket, *row] for bucket, row in buckets.items()] for key, buckets in counts.cells.items()}
    return msgspec.msgpack.encode({key: np.array(rows, dtype=_STORED).tobytes() for key, rows in tables.items()})


def unpack_cells(content: bytes) -> PackedCells:
    """Return what `pack` wrote, as arrays.

    Raises:
        msgspec.DecodeError: It is something else.
    """
    return {key: np.frombuffer(rows, dtype=_STORED).reshape(-1, 7) for key, rows in _packed.decode(content).items()}


def unpack(content: bytes) -> LabelCounts:
    """Return what `pack` wrote, for counting on."""
    return summed([unpack_cells(content)])


def summed(parts: Iterable[PackedCells]) -> LabelCounts:
    """Return the counts of all parts together."""
    by_key: dict[str, list[NDArray[np.int32]]] = {}
    for part in parts:
        for key, rows in part.items():
            by_key.setdefault(key, []).append(rows)
    return LabelCounts(cells={key: _sum_of(tables) for key, tables in by_key.items()})


def _sum_of(tables: list[NDArray[np.int32]]) -> dict[int, list[int]]:
    rows = np.concatenate(tables)
    first = int(rows[:, 0].min(initial=0))
    places = rows[:, 0] - first  # log-odds are between -21 and 21, so these are at most some two thousand
    sums = [np.bincount(places, weights=rows[:, column]) for column in range(1, 7)]
    table = np.rint(np.column_stack(sums)).astype(np.int64)
    there = np.unique(places)
    return dict(zip((there + first).tolist(), table[there].tolist(), strict=True))


def with_labels_assumed(cells: PackedCells) -> PackedCells:
    """`no` for everything unlabelled: the client has sent every event up to the end of the horizon."""
    return {key: rows @ _UNLABELLED_ARE_NO for key, rows in cells.items()}


_UNLABELLED_ARE_NO: Final = np.eye(7, dtype=np.int32)
_UNLABELLED_ARE_NO[3] = [0, 0, 1, 0, 0, 0, 0]
_UNLABELLED_ARE_NO[6] = [0, 0, 0, 0, 0, 1, 0]


Numbers = NDArray[np.float64]


class Labelled(Struct, frozen=True):
    """The counts of one model and group as arrays over its buckets, in the order of their log-odds."""

    log_odds: Numbers
    counts: Numbers
    """Shape (buckets, 6), in the order of `LabelCounts`."""

    @property
    def estimates(self) -> Numbers:
        """The probability of each bucket."""
        numbers: Numbers = 1 / (1 + np.exp(-self.log_odds))
        return numbers

    @property
    def yes(self) -> Numbers:
        """How many of each bucket had the event."""
        counts: Numbers = self.counts[:, 0] + self.counts[:, _SILENT]
        return counts

    @property
    def no(self) -> Numbers:
        """How many of each bucket did not have it."""
        counts: Numbers = self.counts[:, 1] + self.counts[:, _SILENT + 1]
        return counts

    def total(self, happened: Happened, *, with_card: bool | None = None) -> int:
        """Return how many there are in all; with and without a card together where `with_card` is None."""
        places = {True: [0], False: [_SILENT], None: [0, _SILENT]}[with_card]
        return int(sum(self.counts[:, _PLACE[happened] + index].sum() for index in places))


def labelled(counts: LabelCounts, key: str) -> Labelled:
    """Return the arrays of one "model group"; empty where nothing was counted."""
    buckets = sorted(counts.cells.get(key, {}).items())
    odds = np.array([bucket * WIDTH for bucket, _ in buckets], dtype=np.float64)
    table = np.array([row for _, row in buckets], dtype=np.float64).reshape(len(buckets), 6)
    return Labelled(odds, table)


EVENTS: Final = 50
"""The fewest events for observed to expected; for slope and area twice as many."""
_MANY_EVENTS: Final = 100
_GROUP: Final = 100
"""The fewest people of a group on whom a rate of it rests."""
_CARDS: Final = 50
_NEEDS: Final = 500
_MOST_UNLABELLED: Final = 0.05


@dataclass(frozen=True, slots=True)
class LabelWindow:
    """Mature predictions of one client and service. `words` says from which days; `before` are those days' forerunners.

    `areas`: by model the area under the curve that its release was approved with.
    """

    client: str
    service: str
    words: str
    now: LabelCounts
    before: LabelCounts
    areas: Mapping[str, float] = field(default_factory=dict)
    deployed: Mapping[str, Deployed] = field(default_factory=dict)
    """By model the threshold in force; without one its net benefit is not told."""

    def models(self) -> list[str]:
        """Return the models, each "id@version", that were counted."""
        return sorted({key.partition(" ")[0] for key in self.now.cells})

    def groups(self, model: str) -> list[str]:
        """Return the groups of this model's predictions, without `all`."""
        names = (key.partition(" ") for key in self.now.cells)
        return sorted({group for name, _, group in names if name == model and group != "all"})

    def of(self, model: str, group: str = "all") -> Labelled:
        """Return the counts of a model and group."""
        return labelled(self.now, f"{model} {group}")

    def figures(self) -> Iterator[Figure]:
        """Yield all figures of all models."""
        for model in self.models():
            missing = self._too_many_unlabelled(model)
            if missing is not None:
                yield missing
                continue
            yield self._observed("calibration", f"{model}, observed to expected", self.of(model), 0.95)
            yield self._slope(model)
            yield self._area(model)
            yield from self._at_the_threshold(model)
            yield from self._net_benefit(model)
            yield from self._fairness(model)

    def _figure(
        self, family: Family, subject: str, n: int, minimum: int, value: float | None, before: float | None,
        state: State, text: str,
    ) -> Figure:  # fmt: skip
        words = f"{self.service}: {text} ({self.words})."
        return Figure(self.client, self.service, family, subject, state, n, minimum, value, before, words)

    def _too_few(self, family: Family, subject: str, n: int, minimum: int, of: str) -> Figure:
        text = f"{subject}: {n:,} {of} counted, {minimum:,} are needed"
        return self._figure(family, subject, n, minimum, None, None, "insufficient", text)

    def _too_many_unlabelled(self, model: str) -> Figure | None:
        labelled = self.of(model)
        unlabelled = labelled.total("unlabelled")
        n = unlabelled + labelled.total("yes") + labelled.total("no")
        if not n or unlabelled <= _MOST_UNLABELLED * n:
            return None
        text = f"{model}: {unlabelled:,} of {n:,} mature predictions have no outcome, so nothing is said of the others"
        return self._figure("calibration", f"{model}, outcomes", n - unlabelled, n, None, None, "insufficient", text)

    # Calibration and discrimination

    def _observed(self, family: Family, subject: str, labelled: Labelled, confidence: float) -> Figure:
        events = labelled.total("yes")
        ratio = observed_to_expected(labelled, confidence)
        # without an event the ratio has no interval; that 50 were expected and none came is a ratio of 0
        expected = float((labelled.estimates * (labelled.yes + labelled.no)).sum())
        if max(events, int(expected)) < EVENTS:
            return self._too_few(family, subject, events, EVENTS, "events")
        ratio = ratio or Interval(0.0, 0.0, 3 / expected)
        state: State = "act" if ratio.lies_outside(0.8, 1.25) else "watch" if ratio.lies_outside(0.9, 1.1) else "good"
        text = f"{subject}: {events:,} events came where {expected:,.0f} were expected, {ratio.words}"
        return self._figure(family, subject, events, EVENTS, ratio.value, 1.0, state, text)

    def _slope(self, model: str) -> Figure:
        subject, labelled = f"{model}, calibration slope", self.of(model)
        slope, events = calibration_slope(labelled), labelled.total("yes")
        if events < _MANY_EVENTS or slope is None:
            return self._too_few("calibration", subject, events, _MANY_EVENTS, "events")
        state: State = "act" if slope.lies_outside(0.8, 1.2) else "watch" if slope.lies_outside(0.9, 1.1) else "good"
        text = f"{subject}: {slope.words}; 1 is right, below 1 the estimates are too extreme"
        return self._figure("calibration", subject, events, _MANY_EVENTS, slope.value, 1.0, state, text)

    def _area(self, model: str) -> Figure:
        subject, labelled = f"{model}, area under the curve", self.of(model)
        area, events = area_under_curve(labelled), labelled.total("yes")
        if events < _MANY_EVENTS or area is None:
            return self._too_few("discrimination", subject, events, _MANY_EVENTS, "events")
        released = self.areas.get(model.partition("@")[0])
        state: State = "good"
        if released is not None and area.high < released - 0.03:
            state = "act"
        elif released is not None and area.high < released and area.value < released - 0.02:
            state = "watch"
        then = f", {released:.2f} at its release" if released is not None else ""
        text = f"{subject}: {area.words}{then}"
        return self._figure("discrimination", subject, events, _MANY_EVENTS, area.value, released, state, text)

    def _at_the_threshold(self, model: str) -> Iterator[Figure]:
        """Of those with a card how many had the event, and of those with the event how many had a card."""
        now, then = self.of(model), labelled(self.before, f"{model} all")
        shares = {
            "events among those with a card": (_with_card(now), _with_card(then), _CARDS),
            "cards among those with the event": (_with_event(now), _with_event(then), EVENTS),
        }
        for name, ((count, total), (count_then, total_then), minimum) in shares.items():
            subject = f"{model}, {name}"
            if min(total, total_then) < minimum or not count_then:
                yield self._too_few("discrimination", subject, min(total, total_then), minimum, "mature predictions")
                continue
            share, before = count / total, count_then / total_then
            _, high = rates.difference(count, total, count_then, total_then, 0.999)
            state: State = "good"
            if high < 0 and share < 0.8 * before:
                state = "act" if share < 0.65 * before else "watch"
            text = f"{subject}: {100 * share:.0f} in 100, {100 * before:.0f} before"
            yield self._figure("discrimination", subject, total, minimum, share, before, state, text)

    def _net_benefit(self, model: str) -> Iterator[Figure]:
        """Yield whether the cards are worth more than none, at the weight of a false card that the model declares."""
        deployed = self.deployed.get(model.partition("@")[0])
        if deployed is None:
            return
        subject, labelled = f"{model}, net benefit", self.of(model)
        above = labelled.estimates >= deployed.estimate
        alerted = int((labelled.yes + labelled.no)[above].sum())
        benefit = net_benefit(labelled, deployed)
        if alerted < _CARDS or benefit is None:
            yield self._too_few("discrimination", subject, alerted, _CARDS, "estimates above the threshold")
            return
        state: State = "act" if benefit.high < 0 else "watch" if benefit.value <= 0 else "good"
        low, value, high = (1000 * limit for limit in (benefit.low, benefit.value, benefit.high))
        then = f", {1000 * deployed.released:.1f} at its release" if deployed.released is not None else ""
        text = (
            f"{subject}: {value:.1f} true cards in 1,000 predictions after false ones are taken off at their weight of "
            f"{deployed.odds:.2f} ({low:.1f} to {high:.1f}){then}; no card at all is worth 0"
        )
        yield self._figure("discrimination", subject, alerted, _CARDS, benefit.value, deployed.released, state, text)

    # Fairness

    def _attributes(self, model: str) -> dict[str, tuple[str, ...]]:
        groups = self.groups(model)
        recorded = {
            name: tuple(group for group in groups if group.startswith(f"{name} ")) for name in ("race", "ethnicity")
        }
        attributes = {**ATTRIBUTES, **recorded}
        return {name: tuple(g for g in of if g in groups) for name, of in attributes.items() if set(of) & set(groups)}

    def _fairness(self, model: str) -> Iterator[Figure]:
        attributes = self._attributes(model)
        pairs = [(name, *pair) for name, of in attributes.items() for pair in combinations(of, 2)]
        confidence = 1 - 0.05 / max(1, 4 * len(pairs))
        for name, first, other in pairs:
            yield from self._gaps(model, name, first, other, confidence)
        groups = [group for of in attributes.values() for group in of]
        for group in groups:
            confidence = 1 - 0.05 / len(groups)
            yield self._observed("fairness", f"{model}, {group}", self.of(model, group), confidence)

    def _gaps(self, model: str, name: str, group: str, other: str, confidence: float) -> Iterator[Figure]:
        first, second = self.of(model, group), self.of(model, other)
        kinds = {
            "cards among those with the event": (_with_event(first), _with_event(second)),
            "cards among those without it": (_without_event(first), _without_event(second)),
            "events among those with a card": (_with_card(first), _with_card(second)),
            "cards": (_cards(first), _cards(second)),
        }
        for kind, ((count, total), (count_other, total_other)) in kinds.items():
            subject = f"{model}, {name}, {kind}"
            if min(total, total_other) < _GROUP:
                yield self._too_few("fairness", subject, min(total, total_other), _GROUP, "of the smaller group")
                continue
            low, high = rates.difference(count, total, count_other, total_other, confidence)
            gap, certain = count / total - count_other / total_other, low > 0 or high < 0
            state: State = "good"
            if certain and abs(gap) >= 0.05:
                # their risks explain who gets a card, and age explains most of a risk: that alone is no fault
                state = "act" if abs(gap) >= 0.10 and kind != "cards" and name != "age" else "watch"
            text = (
                f"{subject}: {100 * count / total:.1f} in 100 {group}, {100 * count_other / total_other:.1f} in 100 "
                f"{other}, a gap of {100 * low:.1f} to {100 * high:.1f} points"
            )
            yield self._figure("fairness", subject, min(total, total_other), _GROUP, gap, 0.0, state, text)


def _with_card(labelled: Labelled) -> tuple[int, int]:
    events = labelled.total("yes", with_card=True)
    return events, events + labelled.total("no", with_card=True)


def _with_event(labelled: Labelled) -> tuple[int, int]:
    return labelled.total("yes", with_card=True), labelled.total("yes")


def _without_event(labelled: Labelled) -> tuple[int, int]:
    return labelled.total("no", with_card=True), labelled.total("no")


def _cards(labelled: Labelled) -> tuple[int, int]:
    return _with_card(labelled)[1], labelled.total("yes") + labelled.total("no")


def label_choice(client: str, service: str, counts: DayCounts) -> Iterator[Figure]:
    """Whether groups with the same estimate are as ill as each other, by the conditions among the recorded inputs.

    A score that stands for cost instead of need gives sicker people the same score where they get less care (Obermeyer
    et al., Science 2019). A difference is for people to judge, as age and sex explain some: it is never more than to be
    watched.
    """
    models = sorted({key.partition(" ")[0] for key in counts.needs})
    for model in models:
        groups = sorted({key.partition(" ")[2] for key in counts.needs if key.partition(" ")[0] == model})
        races, ethnicities = ([group for group in groups if group.startswith(name)] for name in ("race ", "ethnicity "))
        for first, other in chain.from_iterable(combinations(of, 2) for of in (("women", "men"), races, ethnicities)):
            subject = f"{model}, {first} and {other}"
            group, others = (counts.needs.get(f"{model} {group_name}", {}) for group_name in (first, other))
            n = int(min(sum(row[0] for row in of.values()) for of in (group, others)))
            ratio = ratio_at_equal_estimate(group, others)
            if n < _NEEDS or ratio is None:
                text = f"{service}, {subject}: {n:,} of the smaller group counted, {_NEEDS:,} are needed."
                yield Figure(client, service, "label choice", subject, "insufficient", n, _NEEDS, None, None, text)
                continue
            state: State = "watch" if ratio.lies_outside(0.9, 1.1) else "good"
            words = f"with the same estimate {first} have {ratio.words} times the conditions of {other}"
            text = f"{service}, {subject}: {words}."
            yield Figure(client, service, "label choice", subject, state, n, _NEEDS, ratio.value, 1.0, text)
