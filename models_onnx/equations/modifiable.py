"""Which inputs of published equations a what-if may change: those that a citable source names as modifiable.

The table `modifiable.csv` has one row for each equation, output and input: the direction and the range in which the
value may be changed, the document that names this factor as modifiable for this outcome, and what of it was read.
An input without a row cannot be changed; age and sex never can.
"""

import csv
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Final, Literal

from msgspec import Struct

from models_onnx.equations.declaration import Equation, find_equations
from models_onnx.errors import DeclarationError

NEVER: Final = frozenset({"age", "sex", "calibration"})
"""Inputs that nobody can change, or that are of the site."""

Direction = Literal["lower", "to-no"]
"""`lower`: to a smaller number; `to-no`: from yes to no."""


class ModifiableInput(Struct, frozen=True):
    """One row of the table; `low` and `high`, in the unit of the equation, are None for a yes or no."""

    equation: str
    output: str
    input: str
    direction: Direction
    low: float | None
    high: float | None
    range_note: str
    document: str
    organisation: str
    year: str
    section: str
    url: str
    verified: str
    reviewed: str


def modifiable_inputs(equation: str, output: str) -> tuple[ModifiableInput, ...]:
    """Returns the inputs of this output that a what-if may change; none where no source names one."""
    return tuple(row for row in all_modifiable() if (row.equation, row.output) == (equation, output))


@cache
def all_modifiable() -> tuple[ModifiableInput, ...]:
    """Returns the whole table.

    Raises:
        DeclarationError: A row names no input of a published equation, one that can never change, or no source.
    """
    text = files("models_onnx.equations").joinpath("modifiable.csv").read_text(encoding="utf-8")
    return tuple(read_row(row) for row in csv.DictReader(text.splitlines()))


def read_row(row: dict[str, str]) -> ModifiableInput:
    """Returns one row, checked against the equation that it names.

    Raises:
        DeclarationError: It cannot be used; the message says why.
    """
    label = f"modifiable.csv, {row['equation']} {row['input']}"
    equation = find_equations().get(row["equation"])
    if equation is None or row["output"] not in {output.id for output in equation.outputs}:
        raise DeclarationError(f"{label}: there is no such equation or output", row["equation"])
    if row["input"] in NEVER or row["input"] not in {item.name for item in equation.inputs}:
        raise DeclarationError(f"{label}: this is no input that can be changed", row["input"])
    lacking = [name for name in ("document", "organisation", "year", "section", "url", "verified") if not row[name]]
    if lacking:
        raise DeclarationError(f"{label}: {', '.join(lacking)} is empty", lacking[0])
    try:
        date.fromisoformat(row["reviewed"])
    except ValueError as error:
        raise DeclarationError(f"{label}: reviewed must be an ISO date", "reviewed") from error
    return _typed(equation, row, label)


def _typed(equation: Equation, row: dict[str, str], label: str) -> ModifiableInput:
    item, direction = equation.input(row["input"]), row["direction"]
    if direction == "to-no" and item.kind == "yes-no":
        return ModifiableInput(**{**row, "direction": "to-no", "low": None, "high": None})  # type: ignore[arg-type]
    if direction != "lower" or item.kind != "quantity":
        raise DeclarationError(f"{label}: {direction!r} is no direction of this input", "direction")
    low, high = float(row["low"]), float(row["high"])
    if item.low is None or item.high is None or not item.low <= low < high <= item.high:
        raise DeclarationError(f"{label}: the range is not within the limits of the equation", "low")
    return ModifiableInput(**{**row, "direction": "lower", "low": low, "high": high})  # type: ignore[arg-type]
