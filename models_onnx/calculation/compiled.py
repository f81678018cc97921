"""A published equation as an ONNX file: one `session.run` gives the value and what each input adds to it.

The files stand beside the modules of the equations and carry the same outputs as those of trained models (`margin` =
`base` + sum of `contributions`, `missing`, `out_of_range`); a published equation has no reference cohort to add.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnxruntime
from msgspec import Struct
from numpy.typing import NDArray

from models_onnx.calculation.calculate import Result
from models_onnx.calculation.result import Contribution, Link, Value, Working
from models_onnx.errors import ExplanationMismatch, UnknownModel, WrongShape
from models_onnx.onnx_file import refuse_unsafe

ADDITIVITY = 1e-5
PARITY = 1e-5
# The wheel is installed unpacked, so the package's own files have a path.
COMPILED = Path(str(files("models_onnx.equations")))


class CompiledInput(Struct, frozen=True):
    """One input as the file describes it; `choices` are what 0, 1 … mean."""

    name: str
    words: str
    unit: str
    loinc: tuple[str, ...]
    low: float | None
    high: float | None
    choices: tuple[str, ...]
    needed: bool


class Rows(Struct, frozen=True):
    """Values [N] (NaN where refused), margins [N], contributions, missing and out of range [N, inputs]."""

    value: NDArray[np.float64]
    margin: NDArray[np.float64]
    contributions: NDArray[np.float64]
    missing: NDArray[np.bool_]
    out_of_range: NDArray[np.bool_]


class CompiledEquation:
    """A loaded file; UnsafeModel where it is none that we run. Thread-safe."""

    def __init__(self, content: bytes) -> None:
        refuse_unsafe(content)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # From bytes, never from a path: what was checked is what runs.
        self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        self.metadata: Mapping[str, str] = self._session.get_modelmeta().custom_metadata_map
        self.inputs = msgspec.json.decode(self.metadata["feature_dictionary"], type=tuple[CompiledInput, ...])
        self.base = float(self.metadata["base"])
        self.link: Link = self.metadata["link"]
        first = "probability" if self.metadata["output_kind"] == "probability" else "value"
        self._outputs = [first, "margin", "contributions", "missing", "out_of_range"]

    def rows(self, values: NDArray[np.float64]) -> Rows:
        """The results of rows [N, inputs], NaN where missing; WrongShape, or ExplanationMismatch where parts and whole
        differ."""
        if values.ndim != 2 or values.shape[1] != len(self.inputs):
            raise WrongShape(f"{self.metadata['model_id']} takes rows of {len(self.inputs)} values, got {values.shape}")
        found = Rows(*self._session.run(self._outputs, {"features": values.astype(np.float64)}))
        gap = np.abs(found.margin - self.base - found.contributions.sum(axis=1))
        valued = ~np.isnan(found.value)
        if not (gap[valued] <= ADDITIVITY * np.maximum(1.0, np.abs(found.margin[valued]))).all():
            raise ExplanationMismatch(f"{self.metadata['model_id']}: the contributions do not add up to the margin")
        return found

    def work(self, values: Mapping[str, Value]) -> Working | None:
        """The value of one person with its working, as the equation's own; None where the file refuses."""
        found = self.rows(self.row_of(values))
        value = float(found.value[0])
        if np.isnan(value):
            return None
        pairs = zip(self.inputs, found.contributions[0].tolist(), strict=True)
        parts = tuple(Contribution(each.name, values[each.name], part) for each, part in pairs if each.name in values)
        whole = int(value) if self.metadata["output_kind"] == "integer" else value
        return Working(whole, self.link, self.base, parts)

    def row_of(self, values: Mapping[str, Value]) -> NDArray[np.float64]:
        """Inputs by name as one row; what is not given is NaN."""
        return np.array([[_number(each, values.get(each.name)) for each in self.inputs]])

    def named(self, row: Sequence[float]) -> dict[str, Value]:
        """One row as inputs by name."""
        pairs = ((each, float(number)) for each, number in zip(self.inputs, row, strict=True) if not np.isnan(number))
        return {each.name: _value(each, number) for each, number in pairs}


def confirmed(result: Result) -> Result:
    """The same result as its ONNX file gives it, in one run; the result itself where it has no file.

    ExplanationMismatch where value or contributions of the file differ from the equation's own: it is not shown.
    """
    file = COMPILED / compiled_name(result.equation.id, result.output.id)
    if not _is_there(file):
        return result
    worked = load_compiled(result.equation.id, result.output.id).work(result.values)
    if worked is None or not _agree(worked, result):
        name = f"{result.equation.id} {result.output.id}"
        raise ExplanationMismatch(f"{name}: the file does not say what the equation says")
    used = {part.input for part in result.working.contributions}
    parts = tuple(part for part in worked.contributions if part.input in used)
    return replace(result, working=replace(worked, contributions=parts))


def _agree(worked: Working, result: Result) -> bool:
    own = {part.input: part.contribution for part in result.working.contributions}
    gaps = [abs(part.contribution - own.get(part.input, 0.0)) for part in worked.contributions]
    gaps += [abs(float(worked.value) - result.number), abs(worked.base - result.working.base)]
    return max(gaps) <= PARITY * max(1.0, abs(result.number))


@cache
def _is_there(file: Path) -> bool:
    return file.is_file()


def compiled_name(equation_id: str, output: str) -> str:
    """The name of the file of one output."""
    return f"{equation_id}.{output.replace('|', '_')}.onnx"


@cache
def load_compiled(equation_id: str, output: str) -> CompiledEquation:
    """The file of that equation and output; UnknownModel where there is none (it is neither linear nor points)."""
    file = COMPILED / compiled_name(equation_id, output)
    if not file.is_file():
        raise UnknownModel(
            f"{equation_id} {output} has no ONNX file; equation compile makes those that can be compiled"
        )
    return CompiledEquation(file.read_bytes())


def _number(item: CompiledInput, value: Any) -> float:
    if value is None:
        return float("nan")
    return float(item.choices.index(value)) if isinstance(value, str) else float(value)


def _value(item: CompiledInput, number: float) -> Value:
    if item.choices == ("no", "yes"):
        return bool(number)
    return item.choices[int(number)] if item.choices else number
