"""Judges models on mature predictions: calibration, discrimination, fairness, and the choice of the label.

The limits are those of docs/operations/monitoring.md. Nothing is judged where too few events are counted, or where
more than 5 in 100 mature predictions have no outcome: what is missing is mostly what did not happen.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, combinations
from typing import Final

from models_onnx.monitoring import rates
from models_onnx.monitoring.day import DayCounts
from models_onnx.monitoring.figure import ATTRIBUTES, Family, Figure, State
from models_onnx.monitoring.labelled import LabelCounts, Labelled, labelled
from models_onnx.monitoring.performance import (
    Deployed,
    area_under_curve,
    calibration_slope,
    net_benefit,
    observed_to_expected,
    ratio_at_equal_estimate,
)
from models_onnx.monitoring.rates import Interval

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
