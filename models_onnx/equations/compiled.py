"""A published equation as an ONNX file: one `session.run` gives the value and what each input adds to it.

The files lie beside the modules of the equations and have the same outputs as those of trained models (`margin` =
`base` + sum of `contributions`, `missing`, `out_of_range`); a published equation has no reference cohort to add.
"""

import hashlib
import inspect
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from math import isnan
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnxruntime
from msgspec import Struct
from numpy.typing import NDArray

from models_onnx.artifact.onnx_file import refuse_unsafe
from models_onnx.equations.arithmetic import Contribution, Link, Value, Working
from models_onnx.equations.calculate import EquationResult
from models_onnx.equations.declaration import Equation
from models_onnx.errors import ExplanationMismatch, UnknownModel, WrongShape

ADDITIVITY = 1e-5
PARITY = 1e-5
# The wheel is installed unpacked, so the package's own files have a path.
PUBLISHED = Path(str(files("models_onnx.equations.published")))


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


class EquationRows(Struct, frozen=True):
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
        self.sha256 = hashlib.sha256(content).hexdigest()
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
        self._names = [item.name for item in self.inputs]
        self._is_whole = self.metadata["output_kind"] == "integer"

    def rows(self, values: NDArray[np.float64]) -> EquationRows:
        """Returns the results of rows [N, inputs], NaN where missing.

        Raises WrongShape, and ExplanationMismatch where the contributions do not add up to the whole.
        """
        if values.ndim != 2 or values.shape[1] != len(self.inputs):
            raise WrongShape(f"{self.metadata['model_id']} takes rows of {len(self.inputs)} values, got {values.shape}")
        outputs = EquationRows(*self._session.run(self._outputs, {"features": values.astype(np.float64)}))
        gap = np.abs(outputs.margin - self.base - outputs.contributions.sum(axis=1))
        valued = ~np.isnan(outputs.value)
        if not (gap[valued] <= ADDITIVITY * np.maximum(1.0, np.abs(outputs.margin[valued]))).all():
            raise ExplanationMismatch(f"{self.metadata['model_id']}: the contributions do not add up to the margin")
        return outputs

    def work(self, values: Mapping[str, Value]) -> Working | None:
        """Returns the value of one person with its working, as the equation's own; None where the file refuses.

        It checks the same as `rows` without the 40 µs that numpy takes for it; only what is used is fetched.
        """
        outputs = self._session.run(self._outputs[:3], {"features": self.row_of(values)})
        value, margin, (parts,) = outputs[0].item(), outputs[1].item(), outputs[2].tolist()
        if isnan(value):
            return None
        if not abs(margin - self.base - sum(parts)) <= ADDITIVITY * max(1.0, abs(margin)):
            raise ExplanationMismatch(f"{self.metadata['model_id']}: the contributions do not add up to the margin")
        pairs = zip(self._names, parts, strict=True)
        contributions = tuple([Contribution(name, values[name], part) for name, part in pairs if name in values])
        return Working(int(value) if self._is_whole else value, self.link, self.base, contributions)

    def row_of(self, values: Mapping[str, Value]) -> NDArray[np.float64]:
        """Inputs by name as one row; what is not given is NaN."""
        return np.array([[_number(item, values.get(item.name)) for item in self.inputs]], dtype=np.float64)

    def values_of(self, row: Sequence[float]) -> dict[str, Value]:
        """Returns one row as inputs by name."""
        pairs = ((item, float(number)) for item, number in zip(self.inputs, row, strict=True) if not np.isnan(number))
        return {item.name: _value(item, number) for item, number in pairs}


def confirm_with_onnx(result: EquationResult) -> EquationResult:
    """Returns the same result as its ONNX file gives it, in one run; the result itself where it has no file.

    ExplanationMismatch where value or contributions of the file differ from the equation's own: it is not shown.
    """
    compiled = _compiled(result.equation.id, result.output.id)
    if compiled is None:
        return result
    worked = compiled.work(result.values)
    if worked is None or not _agree(worked, result):
        name = f"{result.equation.id} {result.output.id}"
        raise ExplanationMismatch(f"{name}: the file does not say what the equation says")
    used = {part.input for part in result.working.contributions}
    parts = tuple([part for part in worked.contributions if part.input in used])
    working = Working(worked.value, worked.link, worked.base, parts)
    return EquationResult(result.equation, result.output, result.values, working, result.band, result.table)


def _agree(worked: Working, result: EquationResult) -> bool:
    expected = {part.input: part.contribution for part in result.working.contributions}
    gaps = [abs(part.contribution - expected.get(part.input, 0.0)) for part in worked.contributions]
    gaps += [abs(float(worked.value) - result.number), abs(worked.base - result.working.base)]
    return max(gaps) <= PARITY * max(1.0, abs(result.number))


def onnx_file_name(equation_id: str, output: str) -> str:
    """Returns the name of the file of one output."""
    return f"{equation_id}.{output.replace('|', '_')}.onnx"


def load_compiled(equation_id: str, output: str) -> CompiledEquation:
    """Returns the file of that equation and output, loaded once.

    Raises:
        UnknownModel: there is no file, because the equation is neither linear nor points.
    """
    compiled = _compiled(equation_id, output)
    if compiled is None:
        raise UnknownModel(
            f"{equation_id} {output} has no ONNX file; equation compile makes those that can be compiled"
        )
    return compiled


@cache
def _compiled(equation_id: str, output: str) -> CompiledEquation | None:
    file = PUBLISHED / onnx_file_name(equation_id, output)
    return CompiledEquation(file.read_bytes()) if file.is_file() else None


def _number(item: CompiledInput, value: Any) -> float:
    if value is None:
        return float("nan")
    return float(item.choices.index(value)) if isinstance(value, str) else float(value)


def _value(item: CompiledInput, number: float) -> Value:
    if item.choices == ("no", "yes"):
        return bool(number)
    return item.choices[int(number)] if item.choices else number


def equation_digest(equation: Equation, output: str) -> str:
    """SHA-256, hexadecimal: of the ONNX file where there is one, else of the module and of the file of its formula."""
    compiled = _compiled(equation.id, output)
    if compiled is not None:
        return compiled.sha256
    return _source_digest(equation.id, inspect.getsourcefile(equation.formula) if equation.formula else None)


def equation_reference(equation: Equation, output: str) -> dict[str, str]:
    """Id, version and digest, as the record and the extension of a card have them."""
    return {"id": equation.id, "version": equation.version, "sha256": equation_digest(equation, output)}


def result_reference(result: EquationResult) -> dict[str, str]:
    """Returns the same of the equation and output of a result."""
    return equation_reference(result.equation, result.output.id)


@cache
def _source_digest(equation_id: str, formula: str | None) -> str:
    sources = [PUBLISHED / f"{equation_id}.py", *([Path(formula)] if formula is not None else [])]
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
