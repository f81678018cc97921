"""The scale of a chart that is drawn in the rows of a table, with its ticks."""

import math
from collections.abc import Mapping

from msgspec import Struct


class Tick(Struct, frozen=True):
    """One label of the axis and where it stands, in percent."""

    at: float
    label: str

    @property
    def anchor(self) -> str:
        """SVG's text-anchor; the outermost labels stay inside the column."""
        return "start" if self.at < 3 else "end" if self.at > 97 else "middle"


class Scale(Struct, frozen=True):
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


def with_ticks(bare: Scale, labels: Mapping[float, str]) -> Scale:
    """The scale with a label at each of these values."""
    ticks = tuple(Tick(bare.at(value), label) for value, label in labels.items())
    return Scale(bare.low, bare.high, ticks, bare.logarithmic)


PEOPLE = with_ticks(Scale(0, 100), {value: f"{value}" for value in (0, 20, 40, 60, 80, 100)})
"""People in 100."""

HAPPENED = with_ticks(Scale(0.5, 2, logarithmic=True), {value: f"{value * 100:g}" for value in (0.5, 0.7, 1, 1.4, 2)})
"""What happened for each 100 expected; half as many and twice as many lie alike far from the middle."""
