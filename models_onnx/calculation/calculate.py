"""The calculation: given inputs in, the value with its working and its band out, or a refusal that says why."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models_onnx.calculation.declaration import Band, BandTable, Equation, Output, Rates
from models_onnx.calculation.errors import EquationRefused
from models_onnx.calculation.inputs import read_inputs
from models_onnx.calculation.result import Value, Working


@dataclass(frozen=True, slots=True)
class Result:
    """One output of one equation for one person."""

    equation: Equation
    output: Output
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

    def rates(self) -> list[tuple[Rates, float]]:
        """What was observed at this score, where the papers say; scores without a figure give none."""
        return [(each, each.of[int(self.number)]) for each in self.equation.rates if int(self.number) in each.of]


def calculate(equation: Equation, given: Mapping[str, Any], output: str | None = None) -> Result:
    """One output (the first for None) from inputs by name; numbers in the equation's units, or a `Quantity` each.

    Raises EquationRefused where an input is missing, unusable or outside its limits, or the person is one the equation
    is not for; KeyError for an output it does not have.
    """
    wanted = equation.output(output)
    values = read_inputs(equation, given, wanted)
    for each in equation.narrower:
        value = values.get(each.input)
        if value is not None and each.leaves_out(wanted.id, float(value)):
            text = f"{equation.title}: {each.words}; here it is {value:g}."
            raise EquationRefused("outside-population", text, (each.input,))
    working = equation.work(values, wanted.id)
    found = equation.band(wanted.id, _banded(working), values)
    table, band = found if found is not None else (None, None)
    return Result(equation, wanted, values, working, band, table)


def calculate_all(equation: Equation, given: Mapping[str, Any]) -> list[Result | EquationRefused]:
    """Every output, each on its own: what cannot be had is the refusal that says why."""
    results: list[Result | EquationRefused] = []
    for output in equation.outputs:
        try:
            results.append(calculate(equation, given, output.id))
        except EquationRefused as refused:
            results.append(refused)
    return results


def _banded(working: Working) -> float:
    return working.margin if isinstance(working.value, str) else float(working.value)
