"""What is drawn in the rows of a table: scales with their ticks, and the stages of a call."""

import math
from collections.abc import Mapping
from itertools import accumulate
from typing import Final

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
        """Return the place of a value in percent; what lies outside stands at the edge."""
        low, high = self.low, self.high
        if self.logarithmic:
            low, high, value = math.log(low), math.log(high), math.log(max(value, low))
        return round(min(100.0, max(0.0, 100 * (value - low) / (high - low))), 2)


def with_ticks(bare: Scale, labels: Mapping[float, str]) -> Scale:
    """Return the scale with a label at each of these values."""
    ticks = tuple(Tick(bare.at(value), label) for value, label in labels.items())
    return Scale(bare.low, bare.high, ticks, bare.logarithmic)


PEOPLE = with_ticks(Scale(0, 100), {value: f"{value}" for value in (0, 20, 40, 60, 80, 100)})
"""People in 100."""

HAPPENED = with_ticks(Scale(0.5, 2, logarithmic=True), {value: f"{value * 100:g}" for value in (0.5, 0.7, 1, 1.4, 2)})
"""What happened for each 100 expected; half as many and twice as many lie alike far from the middle."""


def round_scale(most: float, unit: str = "") -> Scale:
    """Return a scale from 0 to a round number not below `most`, with a tick at each step; the last one has the unit.

    >>> [tick.label for tick in round_scale(1234).ticks], [tick.label for tick in round_scale(0.3, " ms").ticks]
    (['0', '500', '1,000', '1,500'], ['0', '0.1', '0.2', '0.3 ms'])
    """
    powers = range(-2 if unit else 0, 12)
    step = next(part * 10.0**power for power in powers for part in (1, 2, 5) if most <= 4 * part * 10.0**power)
    count = max(1, math.ceil(most / step - 1e-9))
    labels = {step * number: f"{step * number:,.10g}" for number in range(count + 1)}
    labels[step * count] += unit
    return with_ticks(Scale(0, step * count), labels)


_STAGES: Final = {
    "decode": "Read and check the request",
    "fetch": "Read what is missing from the FHIR server",
    "facts": "Make facts of the chart",
    "decide": "Decide: rules, models, cards",
    "encode": "Write the answer",
}


def stage_rows(stages: Mapping[str, float]) -> list[tuple[str, float, float]]:
    """Return the stages of a call in words, one after the other: the millisecond in which each begins and ends."""
    ends = zip(stages.items(), accumulate(stages.values()), strict=True)
    return [(_STAGES.get(stage, stage), end - took, end) for (stage, took), end in ends]


def format_ms(milliseconds: float) -> str:
    """Milliseconds as a person rounds them.

    >>> format_ms(0.1234), format_ms(6.78), format_ms(47.3), format_ms(1234)
    ('0.12', '6.8', '47', '1,234')
    """
    places = 2 if milliseconds < 1 else 1 if milliseconds < 10 else 0
    return f"{milliseconds:,.{places}f}"
