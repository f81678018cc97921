"""A model that its file does not repeat exactly is refused."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler import compile_fitted
from models_onnx.workbench.compiler.explaining_graph import write_file
from models_onnx.workbench.compiler.families.additive_curves import AdditiveCurves
from models_onnx.workbench.compiler.parity import Oracle, boundary_rows, verify
from models_onnx.workbench.compiler.reference import CalibrationBin, Reference
from tests.models_onnx.workbench.compiler.people import BrokenLine, piecewise

Array = NDArray[np.float64]

LINES = (
    BrokenLine("a", (0.0, 1.5, 4.0), (0.7, -1.1, 2.0), 0.4, 10.0, 10.0),
    BrokenLine("b", (40.0,), (0.05,), 1.0, 80.0, float("inf")),
)
MODEL = piecewise(LINES, -2.0)
REFERENCE = Reference(
    quantiles=(-3.0, -1.0, 1.0),
    bins=(CalibrationBin(0, 50, 2, 0.05, 0.04, 0.01, 0.11), CalibrationBin(2, 50, 30, 0.5, 0.6, 0.46, 0.73)),
)


def oracle(X: Array) -> tuple[Array, Array]:
    """The model of above by hand, one value at a time."""
    parts = [[_broken_line(x, line) for x, line in zip(row, LINES, strict=True)] for row in X.tolist()]
    contributions = np.array(parts)
    return 1 / (1 + np.exp(-(MODEL.base + contributions.sum(axis=1)))), contributions


def _broken_line(x: float, line: BrokenLine) -> float:
    if np.isnan(x):
        return 0.0
    steps = [weight * max(min(x, line.top) - knot, 0.0) for knot, weight in zip(line.knots, line.weights, strict=True)]
    return sum(steps) - line.centre


def rows() -> NDArray[np.float32]:
    """Values in and around the range, some missing, and every edge."""
    draw = np.random.default_rng(5)
    people = np.column_stack([draw.uniform(-2, 12, 1200), draw.uniform(30, 95, 1200)])
    people[draw.random(people.shape) < 0.2] = np.nan
    return np.vstack([people.astype(np.float32), boundary_rows(np.array([2.0, 60.0]), MODEL.edges)])


def refused_by(model: AdditiveCurves, truth: Oracle = oracle) -> None:
    """Compiles, which must be refused."""
    compile_fitted("broken", model, REFERENCE, {}, truth, rows())


def test_a_weight_that_is_slightly_wrong_is_refused() -> None:
    first = LINES[0]
    wrong = first._replace(weights=(first.weights[0] + 1e-4, *first.weights[1:]))
    with pytest.raises(CompileRefused, match="probabilities differ"):
        refused_by(piecewise((wrong, LINES[1]), MODEL.base))


def test_contributions_shared_out_wrongly_are_refused_though_the_probability_is_right() -> None:
    a, b = MODEL.curves
    with pytest.raises(CompileRefused, match="contributions"):
        refused_by(replace(MODEL, curves=(a.scaled(1.0, -0.5), b.scaled(1.0, 0.5))))


def test_a_file_that_marks_less_as_out_of_range_is_refused() -> None:
    blind = write_file("blind", replace(MODEL, high=(11.0, MODEL.high[1])), REFERENCE, {})
    with pytest.raises(CompileRefused, match="marks other values as missing or out of range"):
        verify(blind, MODEL, oracle, rows())
