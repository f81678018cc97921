"""Checks an equation against a file of test vectors in the format of shared/data/equations, vector by vector.

A vector gives `inputs` and `expected`, and `output` where the equation has several. An input may be a number in the
equation's unit, {"value": …, "unit": …}, or a number in the unit that `units` of the vector or of the file, or `ucum`
of the file's own `inputs`, states. A vector that expects a refusal has `expected` null (or `refused`, `refusal` or
`reason` and no `expected`); where it names inputs, one of them must be what the refusal is about.

PREVENT over a table of real people: the NHANES prevention table, as a check of the arithmetic and the ranking.

Cardiovascular events are not recorded there (README-nhanes.md), so nothing is said about calibration.
"""

import csv
import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models_onnx.equations.calculate import Quantity, calculate
from models_onnx.equations.compiled import PUBLISHED, load_compiled
from models_onnx.equations.declaration import Equation, get_equation
from models_onnx.errors import EquationRefused, VectorsRefused

VECTOR_TOLERANCE = 1e-3
"""Relative to the expected value (README of shared/data/equations); whole numbers and words must be equal."""

_REFUSAL_WORDS = ("refused", "refuse", "refusal", "no score", "none", "error")
_REFUSAL_KEYS = ("refused", "refusal", "expect_refusal", "reason", "error")


@dataclass(frozen=True, slots=True)
class TestVector:
    """One vector: `expected` is None where a refusal is expected, which may name the inputs it is `about`."""

    id: str
    inputs: Mapping[str, Any]
    output: str | None
    expected: float | str | None
    about: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VectorCheck:
    """What one vector gave: the value or the sentence of the refusal, and whether that is what was expected."""

    vector: TestVector
    found: float | str
    refused: bool
    agrees: bool
    difference: float | None
    """Relative to the expected value; None where there is no number to compare."""

    @property
    def text(self) -> str:
        """Both values in a sentence."""
        expected = "a refusal" if self.vector.expected is None else repr(self.vector.expected)
        about = f" about {', '.join(self.vector.about)}" if self.vector.about else ""
        found = f"refused: {self.found}" if self.refused else repr(self.found)
        output = f" {self.vector.output}" if self.vector.output else ""
        return f"{self.vector.id}{output}: expected {expected}{about}, found {found}"


def read_vectors(path: Path) -> tuple[Equation, list[TestVector]]:
    """The equation that the file is about and its vectors; VectorsRefused where it cannot be read as such a file."""
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError) as problem:
        raise VectorsRefused(f"{path}: cannot be read as JSON: {problem}") from problem
    if not isinstance(document, dict):
        raise VectorsRefused(f"{path}: not an object with `id` and `test_vectors`")
    equation = get_equation(str(document.get("id") or document.get("equation") or path.stem))
    return equation, _vectors(document, equation, str(path))


def own_vectors(equation: Equation) -> list[TestVector]:
    """The vectors that an equation declares, or that stand in `<id>.vectors.json` beside its module.

    Raises:
        VectorsRefused: there are none, or they are not of the form.
    """
    file = PUBLISHED / f"{equation.id}.vectors.json"
    shown = f"models_onnx/equations/published/{equation.id}"
    if equation.vectors:
        return _vectors({"test_vectors": list(equation.vectors)}, equation, f"{shown}.py")
    if not file.is_file():
        raise VectorsRefused(f"{shown}.py: the EQUATION has no vectors, and there is no {file.name} beside it")
    return _vectors(json.loads(file.read_bytes()), equation, f"{shown}.vectors.json")


def _vectors(document: Mapping[str, Any], equation: Equation, path: str) -> list[TestVector]:
    given = document.get("test_vectors", document.get("vectors"))
    apart = _refusals_apart(document)
    if not isinstance(given or apart, list) or not (given or apart):
        raise VectorsRefused(f"{path}: no `test_vectors`; an empty check proves nothing")
    units = _units_of_file(document)
    every = [one for each in (*(given or []), *apart) for one in _each_output(each, equation)]
    return [_read(position, each, equation, units, path) for position, each in enumerate(every, start=1)]


def check_vectors(equation: Equation, vectors: list[TestVector]) -> Iterator[VectorCheck]:
    """What each vector gives, in order."""
    for vector in vectors:
        yield _check(equation, vector)


def _check(equation: Equation, vector: TestVector) -> VectorCheck:
    known = {name: value for name, value in vector.inputs.items() if name in {each.name for each in equation.inputs}}
    try:
        value = calculate(equation, known, vector.output).value
    except EquationRefused as refused:
        is_about = not vector.about or bool(set(vector.about) & set(refused.inputs))
        return VectorCheck(vector, refused.text, True, vector.expected is None and is_about, None)
    if vector.expected is None or isinstance(value, str) or isinstance(vector.expected, str):
        return VectorCheck(vector, value, False, value == vector.expected, None)
    difference = abs(value - vector.expected) / abs(vector.expected) if vector.expected else abs(value)
    limit = 0.0 if equation.output(vector.output).kind == "integer" else VECTOR_TOLERANCE
    return VectorCheck(vector, value, False, difference <= limit, difference)


def _read(position: int, given: Any, equation: Equation, units: Mapping[str, str], path: str) -> TestVector:
    inputs = given.get("inputs") if isinstance(given, dict) else None
    if not isinstance(inputs, dict):
        raise VectorsRefused(f"{path}: vector {position} has no `inputs`")
    name = str(given.get("id") or f"vector {position}")
    output = given.get("output")
    if output is not None and output not in {each.id for each in equation.outputs}:
        raise VectorsRefused(f"{path}: {name}: {equation.id} has no output {output!r}")
    expects_refusal = _expects_refusal(given, equation, output)
    if not expects_refusal and "expected" not in given:
        raise VectorsRefused(f"{path}: {name} has neither `expected` nor a refusal")
    beside = {name.removesuffix("_unit"): each for name, each in _texts(inputs).items() if name.endswith("_unit")}
    own = {**units, **beside, **_texts(given.get("units"))}
    quantities = {key: _quantity(value, own.get(key), equation, key) for key, value in inputs.items()}
    expected = None if expects_refusal else given["expected"]
    return TestVector(name, quantities, output, expected, _about(given, equation) if expects_refusal else ())


def _each_output(given: Any, equation: Equation) -> list[Any]:
    """A vector that gives several outputs at once, as one vector each; a quantity as its number."""
    expected = given.get("expected") if isinstance(given, dict) else None
    if not isinstance(expected, dict):
        return [given]
    if "value" in expected:
        return [{**given, "expected": expected["value"]}]
    outputs = [output.id for output in equation.outputs if output.id in expected]
    return [{**given, "output": output, "expected": expected[output]} for output in outputs] or [given]


def _refusals_apart(document: Mapping[str, Any]) -> list[Any]:
    """Vectors in a list of their own whose name contains "refus": each expects one."""
    lists = [value for key, value in document.items() if "refus" in key.lower() and isinstance(value, list)]
    return [
        {"expected": None, **each} for some in lists for each in some if isinstance(each, dict) and "inputs" in each
    ]


def _expects_refusal(given: Mapping[str, Any], equation: Equation, output: str | None) -> bool:
    if "expected" not in given:
        said = [
            f"{key} {value}".lower() for key, value in given.items() if key not in ("inputs", "note", "source", "id")
        ]
        return any(given.get(key) for key in _REFUSAL_KEYS) or any("refus" in each for each in said)
    expected = given["expected"]
    if expected is None or isinstance(expected, dict):
        return True
    # The bands of a scale are words, too: only for numbers is a word a refusal.
    is_number = equation.output(output).kind != "code"
    return isinstance(expected, str) and (is_number or expected.lower() in _REFUSAL_WORDS)


def _about(given: Mapping[str, Any], equation: Equation) -> tuple[str, ...]:
    """The inputs that the vector names as the reason: only words that are names of inputs count."""
    said = [given.get(key) for key in (*_REFUSAL_KEYS, "refused_input", "input")]
    expected = given.get("expected")
    said += list(expected.values()) if isinstance(expected, dict) else []
    words = {
        word for each in said for word in ([each] if isinstance(each, str) else each if isinstance(each, list) else [])
    }
    return tuple(each.name for each in equation.inputs if each.name in words)


def _quantity(value: Any, unit: str | None, equation: Equation, name: str) -> Any:
    if isinstance(value, dict):
        unit = value.get("unit") or value.get("ucum") or value.get("code") or unit
        value = value.get("value")
    own = next((each.unit for each in equation.inputs if each.name == name), None)
    return value if unit is None or unit == own else Quantity(value, unit)


def _units_of_file(document: Mapping[str, Any]) -> dict[str, str]:
    listed = document.get("inputs")
    stated = {
        each["name"]: each["ucum"]
        for each in (listed if isinstance(listed, list) else [])
        if isinstance(each, dict) and isinstance(each.get("name"), str) and isinstance(each.get("ucum"), str)
    }
    return {**stated, **_texts(document.get("units"))}


def _texts(value: Any) -> dict[str, str]:
    return {key: each for key, each in value.items() if isinstance(each, str)} if isinstance(value, dict) else {}


PREVENT_TABLE = Path("tabular") / "nhanes_prevention.csv.gz"
_OUTPUT = "total_cvd|10y"
# The table's column of each input; `diabetes` counts self-report, HbA1c or medicine.
COLUMNS = {
    "age": "age_years",
    "total_cholesterol": "chol_total_mg_dl",
    "hdl_cholesterol": "hdl_mg_dl",
    "sbp": "sbp_mmhg",
    "diabetes": "diabetes",
    "bmi": "bmi_kg_m2",
    "egfr": "egfr_ckdepi2021",
    "bp_medication": "bp_medication",
    "statin": "lipid_lowering",
}


@dataclass(frozen=True, slots=True)
class PreventCohortFigures:
    """What came out: how many were followed for ten years, how many had a value, mean risks, the ranking of deaths."""

    followed: int
    scored: int
    mean: float
    mean_women: float
    mean_men: float
    heart_deaths: int
    auroc_heart_death: float


def prevent_on_people(table: Path) -> PreventCohortFigures:
    """PREVENT total cardiovascular disease over those followed for ten years and inside its ranges, BMI too."""
    rows = [row for row in _rows(table) if row["death_10y"] != ""]
    values = load_compiled("prevent_base", _OUTPUT).rows(np.array([_inputs(row) for row in rows])).value
    is_scored = ~np.isnan(values) & np.array([row["bmi_kg_m2"] != "" for row in rows])
    kept = [row for row, scored in zip(rows, is_scored, strict=True) if scored]
    risk = values[is_scored]
    is_woman = np.array([row["sex"] == "female" for row in kept])
    died = np.array([row["death_heart_10y"] == "1" for row in kept])
    return PreventCohortFigures(
        len(rows),
        len(kept),
        float(risk.mean()),
        float(risk[is_woman].mean()),
        float(risk[~is_woman].mean()),
        int(died.sum()),
        auroc(risk, died),
    )


def auroc(score: NDArray[np.float64], event: NDArray[np.bool_]) -> float:
    """The share of pairs in which the one with the event has the higher score; ties count half."""
    values, place, counts = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - (counts - 1) / 2)[place]
    events = int(event.sum())
    above = float(rank[event].sum()) - events * (events + 1) / 2
    return above / (events * (len(values[place]) - events))


def _rows(table: Path) -> Iterator[dict[str, str]]:
    with gzip.open(table, "rt", encoding="utf-8", newline="") as lines:
        yield from csv.DictReader(lines)


def _inputs(row: dict[str, str]) -> list[float]:
    given = {name: float(row[column]) if row[column] else float("nan") for name, column in COLUMNS.items()}
    given["sex"] = float(row["sex"] == "male")
    given["current_smoker"] = float(row["smoking"] == "current")  # nine did not answer: not found counts as no
    return [given[item.name] for item in load_compiled("prevent_base", _OUTPUT).inputs]
