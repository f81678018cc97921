"""Times of a call: the stages in words, milliseconds as a person rounds them, and bars on one scale."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cds_hooks.web.charts import Scale, round_scale

_STAGES: Final = {
    "decode": "Read and check the request",
    "fetch": "Read what is missing from the FHIR server",
    "facts": "Make facts of the chart",
    "decide": "Decide: rules, models, cards",
    "encode": "Write the answer",
}


def stage_words(stage: str) -> str:
    """Return what a stage does; its name where it is not one of the server's."""
    return _STAGES.get(stage, stage)


@dataclass(frozen=True, slots=True)
class Bar:
    """One stage: when it began and ended, in percent of the scale, and how long it took, in words."""

    words: str
    left: float
    width: float
    took: str


def stage_bars(stages: Sequence[tuple[str, float]]) -> tuple[Scale, tuple[Bar, ...]]:
    """The stages, each with words and milliseconds, one after the other, and the scale that they are drawn on."""
    scale = round_scale(max(sum(milliseconds for _, milliseconds in stages), 0.1), " ms")
    bars, begun = [], 0.0
    for words, milliseconds in stages:
        left = scale.at(begun)
        begun += milliseconds
        bars.append(Bar(words, left, max(0.3, scale.at(begun) - left), format_ms(milliseconds)))
    return scale, tuple(bars)


def format_ms(milliseconds: float) -> str:
    """Milliseconds as a person rounds them.

    >>> format_ms(0.1234), format_ms(6.78), format_ms(47.3), format_ms(1234)
    ('0.12', '6.8', '47', '1,234')
    """
    places = 2 if milliseconds < 1 else 1 if milliseconds < 10 else 0
    return f"{milliseconds:,.{places}f}"
