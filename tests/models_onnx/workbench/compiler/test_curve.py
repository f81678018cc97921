"""Curves: sums, pieces, missing values and infinity, in numpy as in the file; the examples of the docstrings run."""

import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models_onnx.workbench.compiler import explaining_graph as groups
from models_onnx.workbench.compiler.explaining_graph import write_file
from models_onnx.workbench.compiler.families import piecewise as curve
from models_onnx.workbench.compiler.families import trees
from models_onnx.workbench.compiler.families.additive_curves import AdditiveCurves
from models_onnx.workbench.compiler.families.piecewise import Curve
from tests.conftest import examples
from tests.models_onnx.workbench.compiler.people import says
from tests.models_onnx.workbench.compiler.test_compile import REFERENCE

KNOTS = st.lists(st.integers(-5, 5), min_size=0, max_size=4, unique=True).map(sorted)
VALUES = st.integers(-3, 3)


@st.composite
def curves(draw: st.DrawFn) -> Curve:
    """Any straight pieces."""
    breaks = draw(KNOTS)
    intercepts, slopes = ([float(draw(VALUES)) for _ in range(len(breaks) + 1)] for _ in range(2))
    return Curve(np.array(breaks, dtype=float), np.array(intercepts), np.array(slopes), float(draw(VALUES)))


X = np.array([*np.linspace(-7, 7, 57), np.nan])


@given(curves(), curves())
def test_a_sum_is_the_sum_of_its_values(first: Curve, second: Curve) -> None:
    assert np.allclose((first + second).values(X), first.values(X) + second.values(X), atol=1e-9)


@settings(max_examples=examples(20))
@given(curves(), curves())
def test_the_file_says_what_numpy_says(first: Curve, second: Curve) -> None:
    model = AdditiveCurves(("a", "b"), (first, second), 0.5, (-7.0, -7.0), (7.0, 7.0))
    rows = np.column_stack([X, X[::-1]]).astype(np.float32).astype(float)
    told = says(write_file("m", model, REFERENCE, {}), rows)
    assert np.allclose(told["contributions"], model.contributions(rows), atol=1e-9)


def test_infinity_is_the_largest_number_and_never_nan() -> None:
    model = AdditiveCurves(("a",), (Curve.identity().scaled(2.0, 1.0).at_missing(0.0),), 0.0, (0.0,), (1.0,))
    told = says(write_file("m", model, REFERENCE, {}), np.array([[np.inf], [-np.inf]]))
    assert told["probability"].tolist() == [1.0, 0.0]
    assert np.isfinite(told["contributions"]).all()
    assert told["out_of_range"].all()


@pytest.mark.parametrize("module", [curve, groups, trees])
def test_the_examples_of_the_docstrings_run(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]  # modules, all three


HAT = Curve(np.array([0.0, 2.0]), np.array([1.0, 1.0, 8.0]), np.array([0.0, 0.5, -3.0]), 9.0)


@pytest.mark.parametrize(
    ("one", "straight", "rising", "line"),
    [
        (Curve.identity(), True, True, (1.0, 0.0)),
        (Curve.identity().scaled(0.5, 3.0), True, True, (0.5, 3.0)),
        (Curve.identity().scaled(-0.5, 3.0), True, False, (-0.5, 3.0)),
        (Curve.steps([], [4.0]), True, False, (0.0, 4.0)),
        (Curve(np.array([1.0]), np.zeros(2), np.ones(2)), False, False, (1.0, 0.0)),
    ],
)
def test_a_straight_curve_is_one_line(one: Curve, straight: bool, rising: bool, line: tuple[float, float]) -> None:
    assert (one.straight, one.rising, one.line) == (straight, rising, line)


def test_the_sum_of_two_curves_has_the_breaks_of_both_and_what_both_are_for_the_missing() -> None:
    both = HAT + Curve.steps([2.0, 3.0], [10.0, 20.0, 30.0], 0.5)
    assert both.breaks.tolist() == [0.0, 2.0, 3.0]
    assert both.values(np.array([-1.0, 1.0, 2.0, 3.0, np.nan])).tolist() == [11.0, 11.5, 22.0, 29.0, 9.5]
    lines = Curve.identity() + Curve.identity()
    assert (lines.breaks.tolist(), lines.line) == ([], (2.0, 0.0))


def test_edges_are_where_the_pieces_of_each_curve_begin() -> None:
    model = AdditiveCurves(("a", "b"), (HAT, Curve.identity()), 0.0, (0.0,) * 2, (9.0,) * 2)
    assert model.edges == ((0.0, 2.0), ())
