"""Checks an equation against test vectors: those of its declaration, those beside its module, or those of a file.

A vector gives `inputs` and `expected`, and `output` where the equation has several. An input is a number in the
equation's unit, a number in the unit that `ucum` of the file's own `inputs` states, or {"value": …, "unit": …}.
`expected` is a number, a word, or null where a refusal is expected; `reason` may then name the input that it is about.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from models_onnx.equations.calculate import Quantity, calculate
from models_onnx.equations.compiled import PUBLISHED
from models_onnx.equations.declaration import Equation, get_equation
from models_onnx.errors import EquationRefused, VectorsRefused

VECTOR_TOLERANCE = 1e-3
"""Relative to the expected value (README of shared/data/equations); whole numbers and words must be equal."""


class TestVector(Struct, frozen=True, kw_only=True):
    """One vector: `expected` is None where a refusal is expected, and `reason` the input that it is about."""

    inputs: dict[str, Any]
    expected: int | float | str | None
    output: str | None = None
    reason: str | None = None
    id: str = ""


class _UnitOfFile(Struct, frozen=True):
    name: str
    ucum: str | None = None


class _VectorFile(Struct, frozen=True):
    test_vectors: tuple[TestVector, ...]
    id: str = ""
    inputs: tuple[_UnitOfFile, ...] = ()


class VectorCheck(Struct, frozen=True):
    """What one vector gave: the value or the sentence of the refusal, and whether that is what was expected."""

    vector: TestVector
    result: float | str
    refused: bool
    agrees: bool
    difference: float | None
    """Relative to the expected value; None where there is no number to compare."""

    @property
    def text(self) -> str:
        """Both values in a sentence."""
        expected = "a refusal" if self.vector.expected is None else repr(self.vector.expected)
        about = f" about {self.vector.reason}" if self.vector.reason else ""
        result = f"refused: {self.result}" if self.refused else repr(self.result)
        output = f" {self.vector.output}" if self.vector.output else ""
        return f"{self.vector.id}{output}: expected {expected}{about}, found {result}"


def read_vectors(path: Path) -> tuple[Equation, list[TestVector]]:
    """Reads the equation that a file is about and its vectors.

    Raises:
        VectorsRefused: the file cannot be read as such a file.
        UnknownEquation: there is no equation of its `id`, or of its name where it has none.
    """
    try:
        document = msgspec.json.decode(path.read_bytes(), type=_VectorFile)
    except (OSError, msgspec.DecodeError) as problem:
        raise VectorsRefused(f"{path}: not an object with `id` and `test_vectors`: {problem}") from problem
    equation = get_equation(document.id or path.stem)
    return equation, _prepared(document, equation, str(path))


def own_vectors(equation: Equation) -> list[TestVector]:
    """Reads the vectors that an equation declares, or that stand in `<id>.vectors.json` beside its module.

    Raises:
        VectorsRefused: there are none, or they are not of the form.
    """
    file = PUBLISHED / f"{equation.id}.vectors.json"
    if not equation.vectors and file.is_file():
        return read_vectors(file)[1]
    shown_path = f"models_onnx/equations/published/{equation.id}.py"
    if not equation.vectors:
        raise VectorsRefused(f"{shown_path}: the EQUATION has no vectors, and there is no {file.name} beside it")
    try:
        vectors = msgspec.convert(equation.vectors, tuple[TestVector, ...])
    except msgspec.ValidationError as problem:
        raise VectorsRefused(f"{shown_path}: vectors: {problem}") from problem
    return _prepared(_VectorFile(vectors), equation, shown_path)


def _prepared(document: _VectorFile, equation: Equation, path: str) -> list[TestVector]:
    """Returns the vectors with names, and with a unit wherever the file states another one than the equation's."""
    if not document.test_vectors:
        raise VectorsRefused(f"{path}: no `test_vectors`; an empty check proves nothing")
    units = {item.name: item.ucum for item in document.inputs}
    prepared = []
    for position, vector in enumerate(document.test_vectors, start=1):
        name = vector.id or f"vector {position}"
        if vector.output is not None and vector.output not in {output.id for output in equation.outputs}:
            raise VectorsRefused(f"{path}: {name}: {equation.id} has no output {vector.output!r}")
        inputs = {
            item.name: _quantity(vector.inputs[item.name], units.get(item.name) or item.unit, item.unit)
            for item in equation.inputs
            if item.name in vector.inputs
        }
        prepared.append(msgspec.structs.replace(vector, id=name, inputs=inputs))
    return prepared


def _quantity(value: Any, unit: str, own_unit: str) -> Any:
    if isinstance(value, dict):
        value, unit = value.get("value"), value.get("unit", unit)
    return value if unit == own_unit else Quantity(value, unit)


def check_vectors(equation: Equation, vectors: list[TestVector]) -> Iterator[VectorCheck]:
    """Yields what each vector gives, in order."""
    for vector in vectors:
        yield _check(equation, vector)


def _check(equation: Equation, vector: TestVector) -> VectorCheck:
    try:
        value = calculate(equation, vector.inputs, vector.output).value
    except EquationRefused as refused:
        agrees = vector.expected is None and vector.reason in (None, *refused.inputs)
        return VectorCheck(vector, refused.text, True, agrees, None)
    if vector.expected is None or isinstance(value, str) or isinstance(vector.expected, str):
        return VectorCheck(vector, value, False, value == vector.expected, None)
    difference = abs(value - vector.expected) / abs(vector.expected) if vector.expected else abs(value)
    limit = 0.0 if equation.output(vector.output).kind == "integer" else VECTOR_TOLERANCE
    return VectorCheck(vector, value, False, difference <= limit, difference)
