"""What the page of a published equation says of its inputs."""

from dataclasses import dataclass

from models_onnx.calculation.declaration import Equation, Input
from models_onnx.calculation.inputs import limits


@dataclass(frozen=True, slots=True)
class InputRow:
    """One input in words: its unit, its limits or choices, and the codes it is found by."""

    words: str
    unit: str
    limits: str
    codes: str


def equation_inputs(equation: Equation) -> list[InputRow]:
    """The inputs in the order of the equation."""
    return [_row(item) for item in equation.inputs]


def _row(item: Input) -> InputRow:
    allowed = " or ".join(item.choices) if item.choices else "yes or no" if item.kind == "yes-no" else limits(item)
    codes = ", ".join(f"LOINC {code}" for code in item.loinc) or item.note
    return InputRow(item.words, "" if item.unit == "1" else item.unit, allowed, codes)
