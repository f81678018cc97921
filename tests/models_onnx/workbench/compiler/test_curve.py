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


def test_a_piece_holds_from_its_break_on() -> None:
    """1 below 0, then up to 2 at 2, then down by 3 for each."""
    assert HAT.values(np.array([-1.0, 0.0, 1.0, 1.999, 2.0, 3.0, np.nan])).tolist() == pytest.approx(
        [1.0, 1.0, 1.5, 1.9995, 2.0, -1.0, 9.0]
    )
    largest = float(np.finfo(np.float32).max)
    assert HAT.values(np.array([np.inf, -np.inf])).tolist() == pytest.approx([2.0 - 3.0 * (largest - 2.0), 1.0])
    moved = HAT.scaled(2.0, -1.0)
    assert moved.values(np.array([1.0, 3.0, np.nan])).tolist() == [2.0, -3.0, 17.0]
    assert HAT.values(np.array([1.0])).tolist() == [1.5], "the curve itself stays"
    assert HAT.at_missing(4.0).values(np.array([np.nan])).tolist() == [4.0]


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


def test_curves_are_centred_on_the_cohort_and_the_missing_are_its_mean() -> None:
    """Of 1 and 3 the mean is 2; the imputed 5 counts among them: 3, of all together 5."""
    imputed = Curve.identity() + Curve.identity().at_missing(5.0)
    curves = [Curve.identity(), Curve.identity().at_missing(5.0), Curve.steps([], [0.0], 0.0)]
    cohort = np.array([[1.0, 1.0, 0.0], [3.0, 3.0, 0.0], [np.nan, np.nan, 0.0]])
    model = AdditiveCurves.centred(("a", "b", "c"), curves, 10.0, cohort)
    assert np.isnan(imputed.missing), "one column of an input without a value leaves the input without"
    assert model.base == pytest.approx(10.0 + 2.0 + 3.0)
    assert model.contributions(np.array([[4.0, 1.0, 7.0], [np.nan] * 3])) == pytest.approx(
        np.array([[2.0, -2.0, 0.0], [0.0, 2.0, 0.0]])
    )
    assert model.margin(np.array([[4.0, 1.0, 7.0]])) == pytest.approx([15.0])
    assert (model.low, model.high, model.edges) == ((1.0, 1.0, 0.0), (3.0, 3.0, 0.0), ((), (), ()))
    moved = model.recalibrated(1.0, 2.0)
    assert moved.base == pytest.approx(31.0)
    assert moved.margin(np.array([[4.0, 1.0, 7.0]])) == pytest.approx([31.0])
    nobody = AdditiveCurves.centred(("a",), [Curve.identity()], 1.5, np.array([[np.nan]]))
    assert (nobody.base, nobody.contributions(np.array([[np.nan]])).tolist()) == (1.5, [[0.0]])


def test_edges_are_where_the_pieces_of_each_curve_begin() -> None:
    model = AdditiveCurves(("a", "b"), (HAT, Curve.identity()), 0.0, (0.0,) * 2, (9.0,) * 2)
    assert model.edges == ((0.0, 2.0), ())
