"""Judges a model: on mature predictions by what happened, and on recent ones by what their estimates promise.

The limits are those of docs/operations/monitoring.md. Nothing is judged where too few events are counted, or where
more than 5 in 100 mature predictions have no outcome: what is missing is mostly what did not happen.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Final

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray
from statsmodels.stats.proportion import confint_proportions_2indep

from models_onnx.artifact.manifest import RiskBin
from models_onnx.monitoring.alerting import Deployed
from models_onnx.monitoring.figure import Family, Figure, State
from models_onnx.monitoring.intervals import Interval
from models_onnx.monitoring.performance import (
    Sample,
    area_under_curve,
    calibration_slope,
    calibrator,
    expected_performance,
    net_benefit,
    observed_to_expected,
)

EVENTS: Final = 50
"""The fewest events for observed to expected; for slope and area twice as many."""
_MANY_EVENTS: Final = 100
_GROUP: Final = 100
"""The fewest people of a group on whom a rate of it rests."""
_CARDS: Final = 50
_RECENT: Final = 200
_MOST_UNLABELLED: Final = 0.05
_ATTRIBUTES: Final[Mapping[str, tuple[str, ...]]] = {"sex": ("women", "men"), "age": ("under 65", "65 and over")}
UNSEEN: Final = (
    "before labels this sees other patients; it cannot see that the same patients have the event more or less often"
)


@dataclass(frozen=True, slots=True)
class Released:
    """What a model was released with: its area, and the bins of its cohort; and the threshold in force here."""

    area: float | None = None
    bins: Sequence[RiskBin] = ()
    sensitivity: float | None = None
    """That of the threshold in force, in the cohort of the release."""
    deployed: Deployed | None = None


@dataclass(frozen=True, slots=True)
class ModelWindow:
    """Predictions of one model, at one client and service. `words` says from which days the mature ones are.

    `now` are the mature predictions and `groups` says of each group which of them are of it; `before` are mature ones
    of the days before, `recent` the estimates whose outcome nobody can know yet.
    """

    client: str
    service: str
    model: str
    words: str
    now: Sample
    groups: Mapping[str, NDArray[np.bool_]]
    before: Sample
    recent: NDArray[np.float64]
    released: Released = field(default_factory=Released)

    def figures(self) -> Iterator[Figure]:
        """Yield all figures."""
        yield from self._before_labels()
        if not len(self.now.estimates):
            return
        labelled = self.now.labelled
        unlabelled, n = len(self.now.estimates) - len(labelled.estimates), len(self.now.estimates)
        if unlabelled > _MOST_UNLABELLED * n:
            text = f"{self.model}: {unlabelled:,} of {n:,} mature predictions have no outcome; the others say nothing"
            yield self._figure(
                "calibration", f"{self.model}, outcomes", n - unlabelled, n, None, None, "insufficient", text
            )
            return
        yield self._observed("calibration", f"{self.model}, observed to expected", labelled, 0.95)
        yield self._slope(labelled)
        yield self._area(labelled)
        yield from self._at_the_threshold(labelled)
        yield from self._net_benefit(labelled)
        yield from self._fairness()

    def _figure(
        self, family: Family, subject: str, n: int, minimum: int, value: float | None, before: float | None,
        state: State, text: str, words: str = "",
    ) -> Figure:  # fmt: skip
        text = f"{self.service}: {text} ({words or self.words})."
        about = f"{self.model}, {attribute_of(subject)}" if family == "fairness" else self.model
        return Figure(self.client, self.service, family, subject, state, n, minimum, value, before, text, about=about)

    def _too_few(self, family: Family, subject: str, n: int, minimum: int, of: str) -> Figure:
        text = f"{subject}: {n:,} {of} counted, {minimum:,} are needed"
        return self._figure(family, subject, n, minimum, None, None, "insufficient", text)

    # Before labels

    def _before_labels(self) -> Iterator[Figure]:
        """Yield what the recent estimates promise, beside the release; outside it is to be watched, never acted on."""
        made = calibrator(self.before.labelled, self.released.bins)
        if made is None:
            return
        calibrate, by = made
        deployed = self.released.deployed
        expected = expected_performance(self.recent, calibrate, deployed.estimate if deployed else None)
        if expected is None or len(self.recent) < _RECENT:
            subject = f"{self.model}, expected area under the curve"
            yield self._too_few("calibration", subject, len(self.recent), _RECENT, "recent estimates")
            return
        named: list[tuple[str, Interval | None, float | None, float]] = [
            ("area under the curve", expected.area, self.released.area, 0.03),
            ("events for each one estimated", expected.calibration, 1.0, 0.1),
            ("sensitivity", expected.sensitivity, self.released.sensitivity, 0.05),
        ]
        for name, value, reference, most in named:
            if value is None:
                continue
            is_outside = reference is not None and value.lies_outside(reference - most, reference + most)
            then = f", {reference:.2f} at its release" if reference is not None else ""
            text = f"{self.model}, expected {name}: {value.words}{then}; calibrated by {by}; {UNSEEN}"
            state: State = "watch" if is_outside else "good"
            yield self._figure("calibration", f"{self.model}, expected {name}", len(self.recent), _RECENT, value.value,
                               reference, state, text, "recent predictions")  # fmt: skip

    # Calibration and discrimination

    def _observed(self, family: Family, subject: str, sample: Sample, confidence: float) -> Figure:
        events, expected = sample.events, float(sample.estimates.sum())
        # without an event the ratio has no interval; that 50 were expected and none came is a ratio of 0
        if max(events, int(expected)) < EVENTS:
            return self._too_few(family, subject, events, EVENTS, "events")
        ratio = observed_to_expected(sample, confidence) or Interval(0.0, 0.0, 3 / expected)
        state: State = "act" if ratio.lies_outside(0.8, 1.25) else "watch" if ratio.lies_outside(0.9, 1.1) else "good"
        text = f"{subject}: {events:,} events came where {expected:,.0f} were expected, {ratio.words}"
        return self._figure(family, subject, events, EVENTS, ratio.value, 1.0, state, text)

    def _slope(self, sample: Sample) -> Figure:
        subject, slope = f"{self.model}, calibration slope", calibration_slope(sample)
        if sample.events < _MANY_EVENTS or slope is None:
            return self._too_few("calibration", subject, sample.events, _MANY_EVENTS, "events")
        state: State = "act" if slope.lies_outside(0.8, 1.2) else "watch" if slope.lies_outside(0.9, 1.1) else "good"
        text = f"{subject}: {slope.words}; 1 is right, below 1 the estimates are too extreme"
        return self._figure("calibration", subject, sample.events, _MANY_EVENTS, slope.value, 1.0, state, text)

    def _area(self, sample: Sample) -> Figure:
        subject, area, released = f"{self.model}, area under the curve", area_under_curve(sample), self.released.area
        if sample.events < _MANY_EVENTS or area is None:
            return self._too_few("calibration", subject, sample.events, _MANY_EVENTS, "events")
        state: State = "good"
        if released is not None and area.high < released - 0.03:
            state = "act"
        elif released is not None and area.high < released and area.value < released - 0.02:
            state = "watch"
        then = f", {released:.2f} at its release" if released is not None else ""
        text = f"{subject}: {area.words}{then}"
        return self._figure("calibration", subject, sample.events, _MANY_EVENTS, area.value, released, state, text)

    def _at_the_threshold(self, now: Sample) -> Iterator[Figure]:
        """Of those with a card how many had the event, and of those with the event how many had a card."""
        then = self.before.labelled
        shares = {
            "events among those with a card": (_with_card(now), _with_card(then), _CARDS),
            "cards among those with the event": (_with_event(now), _with_event(then), EVENTS),
        }
        for name, ((count, total), (count_then, total_then), minimum) in shares.items():
            subject = f"{self.model}, {name}"
            if min(total, total_then) < minimum or not count_then:
                yield self._too_few("calibration", subject, min(total, total_then), minimum, "mature predictions")
                continue
            share, before = count / total, count_then / total_then
            _, high = difference(count, total, count_then, total_then, 0.999)
            state: State = "good"
            if high < 0 and share < 0.8 * before:
                state = "act" if share < 0.65 * before else "watch"
            text = f"{subject}: {100 * share:.0f} in 100, {100 * before:.0f} before"
            yield self._figure("calibration", subject, total, minimum, share, before, state, text)

    def _net_benefit(self, sample: Sample) -> Iterator[Figure]:
        """Yield whether the cards are worth more than none, at the weight of a false card that the model declares."""
        deployed = self.released.deployed
        if deployed is None:
            return
        subject, benefit = f"{self.model}, net benefit", net_benefit(sample, deployed)
        alerted = int((sample.estimates >= deployed.estimate).sum())
        if alerted < _CARDS or benefit is None:
            yield self._too_few("calibration", subject, alerted, _CARDS, "estimates above the threshold")
            return
        state: State = "act" if benefit.high < 0 else "watch" if benefit.value <= 0 else "good"
        low, value, high = (1000 * limit for limit in (benefit.low, benefit.value, benefit.high))
        then = f", {1000 * deployed.released:.1f} at its release" if deployed.released is not None else ""
        text = (
            f"{subject}: {value:.1f} true cards in 1,000 predictions after false ones are taken off at their weight of "
            f"{deployed.odds:.2f} ({low:.1f} to {high:.1f}){then}; no card at all is worth 0"
        )
        yield self._figure("calibration", subject, alerted, _CARDS, benefit.value, deployed.released, state, text)

    # Fairness

    def _attributes(self) -> dict[str, tuple[str, ...]]:
        recorded = {
            name: tuple(sorted(group for group in self.groups if group.startswith(f"{name} ")))
            for name in ("race", "ethnicity")
        }
        attributes = {**_ATTRIBUTES, **recorded}
        return {name: tuple(g for g in of if g in self.groups) for name, of in attributes.items()}

    def _fairness(self) -> Iterator[Figure]:
        """Yield gaps between groups, and events to expected ones of each; a group that is wrong alone is the cause."""
        attributes = self._attributes()
        pairs = [(name, *pair) for name, of in attributes.items() for pair in combinations(of, 2)]
        for name, first, other in pairs:
            yield from self._gaps(name, first, other, 1 - 0.05 / (4 * len(pairs)))
        several = sum(map(len, attributes.values()))
        for of in attributes.values():
            subjects = [
                self._observed("fairness", f"{self.model}, {group}", self._of(group), 1 - 0.05 / several)
                for group in of
            ]
            is_apart = any(figure.state == "good" for figure in subjects)
            for figure in subjects:
                # where all groups of an attribute are wrong, the model is, and calibration says so
                yield figure if is_apart or figure.state != "act" else replace(figure, state="watch")

    def _of(self, group: str) -> Sample:
        return self.now.where(self.groups[group]).labelled

    def _gaps(self, name: str, group: str, other: str, confidence: float) -> Iterator[Figure]:
        first, second = self._of(group), self._of(other)
        kinds = {
            "cards among those with the event": (_with_event(first), _with_event(second)),
            "cards among those without it": (_without_event(first), _without_event(second)),
            "events among those with a card": (_with_card(first), _with_card(second)),
            "cards": (_cards(first), _cards(second)),
        }
        for kind, ((count, total), (count_other, total_other)) in kinds.items():
            subject = f"{self.model}, {name}, {kind}"
            if min(total, total_other) < _GROUP:
                yield self._too_few("fairness", subject, min(total, total_other), _GROUP, "of the smaller group")
                continue
            low, high = difference(count, total, count_other, total_other, confidence)
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


def attribute_of(subject: str) -> str:
    """Return the attribute that a figure of fairness is about: "model, group" or "model, attribute, …"."""
    name = subject.split(", ")[1]
    return next((attribute for attribute, groups in _ATTRIBUTES.items() if name in groups), name.partition(" ")[0])


def difference(count: int, total: int, before: int, total_before: int, confidence: float) -> tuple[float, float]:
    """Return the interval of the difference of two shares, now minus before (Newcombe 1998, method 10)."""
    low, high = confint_proportions_2indep(count, total, before, total_before, method="newcomb", alpha=1 - confidence)
    return float(low), float(high)


def _with_card(sample: Sample) -> tuple[int, int]:
    chosen = sample.where(sample.with_card)
    return chosen.events, len(chosen.estimates)


def _with_event(sample: Sample) -> tuple[int, int]:
    chosen = sample.where(sample.happened > 0)
    return int(chosen.with_card.sum()), len(chosen.estimates)


def _without_event(sample: Sample) -> tuple[int, int]:
    chosen = sample.where(sample.happened == 0)
    return int(chosen.with_card.sum()), len(chosen.estimates)


def _cards(sample: Sample) -> tuple[int, int]:
    return int(sample.with_card.sum()), len(sample.estimates)
