"""What a published equation computed for this patient: its value in words, and how much of it each input makes."""

from typing import Final

import msgspec
from msgspec import Struct

from cards.compose.model import in_100
from cds_hooks.pages.explain.recorded_decision import Basis
from cds_hooks.web.charts import Scale, round_scale, with_ticks
from cds_hooks.web.numbers import format_quantity, signed
from models_onnx.equations.declaration import Equation

_UNITS: Final = {"identity": "points or units of the result", "log": "natural logarithm of the result"}
_ODDS: Final = "the logarithm of the odds, as the equation adds it up"
_SMALLEST: Final = 5e-4


class _Scores(Struct, frozen=True):
    output: str
    value: float | str
    link: str = "identity"
    parts: dict[str, float] = {}


class Part(Struct, frozen=True):
    """One input: its words, what it adds on the scale of the equation, and its bar in percent of the column."""

    words: str
    adds: str
    left: float
    width: float
    raises: bool


class EquationEstimate(Struct, frozen=True):
    """The value, as people in 100 where it is a probability, and its parts, the largest first."""

    title: str
    output: str
    value: str
    people: int | None
    scale: Scale
    unit: str
    parts: tuple[Part, ...]
    reference: str


def equation_estimate(basis: Basis, equation: Equation) -> EquationEstimate | None:
    """Return what the recorded equation computed; None where the record has no value of one of its outputs."""
    try:
        scores = msgspec.convert(basis.scores, _Scores)
    except msgspec.ValidationError:
        return None
    output = next((output for output in equation.outputs if output.id == scores.output), None)
    if output is None or isinstance(scores.value, str):
        return None
    is_probability = output.kind == "probability"
    people = in_100(scores.value) if is_probability else None
    words = {item.name: item.words for item in equation.inputs}
    added = {name: part for name, part in scores.parts.items() if abs(part) > _SMALLEST}
    largest = max((abs(part) for part in added.values()), default=1.0)
    scale = _scale(largest)
    ordered = sorted(added.items(), key=lambda item: -abs(item[1]))
    return EquationEstimate(
        equation.title,
        output.words,
        f"about {people} in 100" if people is not None else format_quantity(round(scores.value, 2), output.unit),
        people,
        scale,
        _UNITS.get(scores.link, _ODDS),
        tuple(_part(words.get(name, name), value, scale) for name, value in ordered),
        equation.reference,
    )


def _scale(largest: float) -> Scale:
    """Return a scale as far below 0 as above, with round ends."""
    end = round_scale(largest, " ").high
    return with_ticks(Scale(-end, end), {-end: signed(-end, 1), 0.0: "0", end: signed(end, 1)})


def _part(words: str, value: float, scale: Scale) -> Part:
    start, end = scale.at(min(value, 0.0)), scale.at(max(value, 0.0))
    return Part(words, signed(value, 2), start, round(end - start, 2), value > 0)
