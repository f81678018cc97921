"""The shared scale of a row chart: where a value stands, in percent of the drawn column, and its ticks."""

import math
from dataclasses import dataclass

from cds_hooks.web.numbers import logit

_PEOPLE = (1, 2, 5, 10, 15, 20, 30, 40, 50, 60, 70, 80, 90, 95, 98, 99)
# Two labels closer than this, in percent of the column, would touch on a phone.
_APART = 9.0


@dataclass(frozen=True, slots=True)
class Tick:
    """One label of the axis and where it stands, in percent."""

    at: float
    label: str

    @property
    def anchor(self) -> str:
        """SVG's text-anchor; the outermost labels stay inside the column."""
        return "start" if self.at < 3 else "end" if self.at > 97 else "middle"


@dataclass(frozen=True, slots=True)
class Scale:
    """`low` stands at the left edge of the drawn column, `high` at the right."""

    low: float
    high: float
    ticks: tuple[Tick, ...] = ()
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """The place of a value in percent; what lies outside stands at the edge."""
        low, high = self.low, self.high
        if self.logarithmic:
            low, high, value = math.log(low), math.log(high), math.log(max(value, low))
        return round(min(100.0, max(0.0, 100 * (value - low) / (high - low))), 2)


def _with_ticks(bare: Scale, labels: dict[float, str]) -> Scale:
    ticks = tuple(Tick(bare.at(value), label) for value, label in labels.items())
    return Scale(bare.low, bare.high, ticks, bare.logarithmic)


PEOPLE = _with_ticks(Scale(0, 100), {value: f"{value}" for value in (0, 20, 40, 60, 80, 100)})
"""People in 100."""

HAPPENED = _with_ticks(Scale(0.5, 2, logarithmic=True), {value: f"{value * 100:g}" for value in (0.5, 0.7, 1, 1.4, 2)})
"""What happened for each 100 foretold; half as many and twice as many lie alike far from the middle."""


def log_odds_scale(margins: list[float]) -> Scale:
    """A scale of log-odds around these, its ticks labelled as people in 100, so that steps add up as drawn."""
    low, high = min(margins), max(margins)
    room = max(0.08 * (high - low), 0.15)
    bare = Scale(low - room, high + room)
    labels: dict[float, str] = {}
    last = -_APART
    for people in _PEOPLE:
        margin = logit(people / 100)
        if bare.low <= margin <= bare.high and bare.at(margin) - last >= _APART:
            labels[margin] = f"{people}"
            last = bare.at(margin)
    return _with_ticks(bare, labels)
