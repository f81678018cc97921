"""Calculates an equation: from given inputs to the value with its working and its band, or a refusal that says why.

Inputs are converted to the units of the equation and must be inside its limits; nothing is clamped.
"""

from collections.abc import Mapping
from math import isfinite
from typing import Any

from msgspec import Struct

from fhir.terminology.analytes import ANALYTES
from models_onnx.equations.arithmetic import Value, Working
from models_onnx.equations.declaration import Band, BandTable, Equation, EquationInput, EquationOutput, ObservedRates
from models_onnx.errors import EquationRefused

_ROUNDING = 1e-9  # a converted value at a limit need not be the limit in binary
_YES_NO = {"yes": True, "no": False, "true": True, "false": False, "1": True, "0": False}


class Quantity(Struct, frozen=True):
    """A number with its unit, where that is not the equation's own."""

    value: Any
    unit: str


def read_inputs(equation: Equation, inputs: Mapping[str, Any], output: EquationOutput) -> dict[str, Value]:
    """Every input of this output, checked; EquationRefused names the first that is missing, unusable or out of range.

    What is given and not needed for this output must be in range all the same: it says that this is somebody whom the
    equation was not made for. A name that is no input is refused.
    """
    if not inputs.keys() <= equation.inputs_by_name.keys():
        strange = sorted(inputs.keys() - equation.inputs_by_name.keys())
        raise EquationRefused("input-unusable", f"{equation.id} has no input {', '.join(strange)}.", tuple(strange))
    values: dict[str, Value] = {}
    for item in equation.inputs:
        value = inputs.get(item.name)
        if value is not None:
            values[item.name] = read_input(equation.title, item, value)
        elif item.is_needed_for(output.id):
            raise EquationRefused("input-missing", f"{equation.title}: no {item.words.lower()}.", (item.name,))
    return values


def read_input(title: str, item: EquationInput, raw: Any) -> Value:
    """Return one value in the input's unit; EquationRefused where it cannot be used or is outside the limits."""
    if item.kind == "choice":
        return _choice(title, item, raw)
    if item.kind == "yes-no":
        return _yes_no(title, item, raw)
    value = _number(title, item, raw)
    if item.kind == "whole" and value != int(value):
        raise EquationRefused("input-unusable", f"{title}: {item.words} {value:g} is no whole number.", (item.name,))
    slack = _ROUNDING * abs(value)
    if (item.low is not None and value < item.low - slack) or (item.high is not None and value > item.high + slack):
        raise EquationRefused(
            "out-of-range", f"{title}: {item.words} {value:g}{item.unit_text} is outside {limits(item)}.", (item.name,)
        )
    return value


def limits(item: EquationInput) -> str:
    """Return the limits in words: '90 to 200', 'from 0', 'up to 9'."""
    if item.low is None:
        return "no limits" if item.high is None else f"up to {item.high:g}"
    return f"from {item.low:g}" if item.high is None else f"{item.low:g} to {item.high:g}"


def _choice(title: str, item: EquationInput, raw: Any) -> str:
    text = raw.strip().lower() if isinstance(raw, str) else raw
    for choice in item.choices:
        if text == choice.lower():
            return choice
    text = f"{title}: {item.words} must be {' or '.join(item.choices)}."
    raise EquationRefused("input-unusable", text, (item.name,))


def _yes_no(title: str, item: EquationInput, raw: Any) -> bool:
    if isinstance(raw, bool):
        return raw
    if isinstance(raw, int | float) and raw in (0, 1):
        return bool(raw)
    if isinstance(raw, str) and raw.strip().lower() in _YES_NO:
        return _YES_NO[raw.strip().lower()]
    raise EquationRefused("input-unusable", f"{title}: {item.words} must be yes or no.", (item.name,))


def _number(title: str, item: EquationInput, raw: Any) -> float:
    if type(raw) is float and isfinite(raw):  # as every feature gives it
        return raw
    unit = item.unit
    if isinstance(raw, Quantity):
        raw, unit = raw.value, raw.unit
    if isinstance(raw, str):
        try:
            raw = float(raw)
        except ValueError:
            raw = None
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not isfinite(raw):
        raise EquationRefused("input-unusable", f"{title}: {item.words} is no usable number.", (item.name,))
    return float(raw) if unit == item.unit else _converted(title, item, float(raw), unit)


def _converted(title: str, item: EquationInput, value: float, unit: str) -> float:
    conversion = ANALYTES[item.analyte].conversion(unit) if item.analyte else None
    if conversion is None:
        text = f"{title}: {item.words} in {unit or 'no unit'} cannot be converted to {item.unit}."
        raise EquationRefused("input-unusable", text, (item.name,))
    return value * conversion.factor + conversion.offset


class EquationResult(Struct, frozen=True):
    """One output of one equation for one person."""

    equation: Equation
    output: EquationOutput
    values: Mapping[str, Value]
    working: Working
    band: Band | None
    table: BandTable | None

    @property
    def value(self) -> float | str:
        """The published value: a probability, a quantity, points or the name of a band."""
        return self.working.value

    @property
    def number(self) -> float:
        """The value as a number; for a band the score it was read from."""
        return self.working.margin if isinstance(self.value, str) else float(self.value)

    @property
    def value_text(self) -> str:
        """The value as it is printed: a percentage, a number with its unit, or the name of a band."""
        if isinstance(self.value, str):
            return self.value
        if self.output.kind == "probability":
            return f"{self.value:.2%}"
        unit = "" if self.output.unit == "1" else f" {self.output.unit}"
        return f"{self.value:.{self.output.decimals}f}{unit}"

    def rates(self) -> list[tuple[ObservedRates, float]]:
        """Return what was observed at this score, where the papers say; scores without a figure give none."""
        return [(rate, rate.of[int(self.number)]) for rate in self.equation.rates if int(self.number) in rate.of]


def calculate(equation: Equation, inputs: Mapping[str, Any], output: str | None = None) -> EquationResult:
    """Return one output (the first for None) from inputs by name.

    `inputs` are numbers in the equation's units, or a `Quantity` each.

    Raises:
        EquationRefused: an input is missing, unusable or outside its limits, or the equation is not for this person.
        KeyError: the equation has no such output.
    """
    wanted = equation.output(output)
    values = read_inputs(equation, inputs, wanted)
    for narrower in equation.narrower:
        value = values.get(narrower.input)
        if value is not None and narrower.leaves_out(wanted.id, float(value)):
            text = f"{equation.title}: {narrower.words}; here it is {value:g}."
            raise EquationRefused("outside-population", text, (narrower.input,))
    working = equation.work_out(wanted.id, values)
    band_and_table = equation.band(wanted.id, _banded(working), values)
    table, band = band_and_table if band_and_table is not None else (None, None)
    return EquationResult(equation, wanted, values, working, band, table)


def _banded(working: Working) -> float:
    return working.margin if isinstance(working.value, str) else float(working.value)
