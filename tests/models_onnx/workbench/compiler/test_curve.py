"""Curves: sums, pieces, missing values and infinity, in numpy as in the file; the examples of the docstrings run."""

import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler import explaining_graph as groups
from models_onnx.workbench.compiler.explaining_graph import write_file
from models_onnx.workbench.compiler.families import piecewise as curve
from models_onnx.workbench.compiler.families import trees
from models_onnx.workbench.compiler.families.additive_curves import AdditiveCurves, Path, Stage
from models_onnx.workbench.compiler.families.functions import SAME, Function
from models_onnx.workbench.compiler.families.piecewise import Curve
from tests.conftest import examples
from tests.models_onnx.workbench.compiler.people import says
from tests.models_onnx.workbench.compiler.test_compile import REFERENCE

KNOTS = st.lists(st.integers(-5, 5), min_size=0, max_size=4, unique=True).map(sorted)
VALUES = st.integers(-3, 3)


@st.composite
def curves(draw: st.DrawFn) -> Curve:
    """Any pieces of degree 0 to 3."""
    breaks = draw(KNOTS)
    degree = draw(st.integers(1, 4))
    rows = [[float(draw(VALUES)) for _ in range(degree)] for _ in range(len(breaks) + 1)]
    origins = [float(draw(VALUES)) for _ in rows]
    return Curve(np.array(breaks, dtype=float), np.array(origins), np.array(rows), float(draw(VALUES)))


X = np.array([*np.linspace(-7, 7, 57), np.nan])


@given(curves(), curves())
def test_a_sum_is_the_sum_of_its_values(first: Curve, second: Curve) -> None:
    assert np.allclose((first + second).values(X), first.values(X) + second.values(X), atol=1e-9)


@settings(max_examples=examples(20))
@given(curves(), curves())
def test_the_file_says_what_numpy_says(first: Curve, second: Curve) -> None:
    model = AdditiveCurves(("a", "b"), (Path(0, (), first), Path(1, (), second)), 0.5, (-7.0, -7.0), (7.0, 7.0))
    rows = np.column_stack([X, X[::-1]]).astype(np.float32).astype(float)
    told = says(write_file("m", model, REFERENCE, {}), rows)
    assert np.allclose(told["contributions"], model.contributions(rows), atol=1e-9)


def test_infinity_is_the_largest_number_and_never_nan() -> None:
    cubic = Curve(np.zeros(0), np.zeros(1), np.array([[0.0, 1.0, -2.0, 1.0]]), 0.0)
    model = AdditiveCurves(("a",), (Path(0, (), cubic),), 0.0, (0.0,), (1.0,))
    told = says(write_file("m", model, REFERENCE, {}), np.array([[np.inf], [-np.inf]]))
    assert told["probability"].tolist() == [1.0, 0.0]
    assert np.isfinite(told["contributions"]).all()
    assert told["out_of_range"].all()


@pytest.mark.parametrize("module", [curve, groups, trees])
def test_the_examples_of_the_docstrings_run(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]  # modules, all three


HAT = Curve(np.array([0.0, 2.0]), np.array([0.0, 0.0, 2.0]), np.array([[1.0, 0.0], [1.0, 0.5], [2.0, -3.0]]), 9.0)


def test_a_piece_holds_from_its_break_on_and_is_told_from_its_origin() -> None:
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
        (Curve(np.zeros(0), np.array([10.0]), np.array([[1.0, 2.0]])), True, True, (2.0, -19.0)),
        (Curve.steps([], [4.0]), True, False, (0.0, 4.0)),
        (Curve(np.zeros(0), np.zeros(1), np.array([[0.0, 1.0, 0.0]])), False, False, (1.0, 0.0)),
        (Curve(np.array([1.0]), np.zeros(2), np.array([[0.0, 1.0], [0.0, 1.0]])), False, False, (1.0, 0.0)),
    ],
)
def test_a_straight_curve_is_one_line(one: Curve, straight: bool, rising: bool, line: tuple[float, float]) -> None:
    assert (one.straight, one.rising, one.line) == (straight, rising, line)


def test_a_curve_of_steps_gives_steps() -> None:
    steps = HAT.of_steps(Curve.steps([5.0, 6.0], [-1.0, 1.0, 3.0], 2.0))
    assert steps.values(np.array([4.0, 5.0, 6.0, np.nan])).tolist() == [1.0, 1.5, -1.0, 2.0]
    assert np.isnan(Curve.identity().of_steps(Curve.steps([], [1.0])).missing)


def test_the_sum_of_two_curves_has_the_breaks_of_both_and_what_both_are_for_the_missing() -> None:
    both = HAT + Curve.steps([2.0, 3.0], [10.0, 20.0, 30.0], 0.5)
    assert both.breaks.tolist() == [0.0, 2.0, 3.0]
    assert both.values(np.array([-1.0, 1.0, 2.0, 3.0, np.nan])).tolist() == [11.0, 11.5, 22.0, 29.0, 9.5]
    lines = Curve.identity() + Curve.identity()
    assert (lines.breaks.tolist(), lines.line) == ([], (2.0, 0.0))


LOG = Stage(Curve.identity(), Function("log"))


def test_columns_are_centred_on_the_cohort_and_the_missing_are_its_mean() -> None:
    """Of 1 and 3 the mean is 2; the imputed 5 counts among them: 3. The logarithm of 1 and e is a half on average."""
    imputed = Curve.identity().at_missing(5.0)
    paths = [Path(0, (), Curve.identity()), Path(0, (), imputed), Path(1, (LOG,), Curve.identity().scaled(4.0, 0.0))]
    cohort = np.array([[1.0, 1.0], [3.0, np.e], [np.nan, np.nan]])
    model = AdditiveCurves.centred(("a", "b"), paths, 10.0, cohort)
    assert model.base == pytest.approx(10.0 + 2.0 + 3.0 + 2.0)
    assert model.contributions(np.array([[4.0, 1.0], [np.nan, np.nan]])) == pytest.approx(
        np.array([[2.0 + 1.0, -2.0], [0.0 + 2.0, 0.0]])
    )
    assert model.margin(np.array([[4.0, 1.0]])) == pytest.approx([17.0 + 3.0 - 2.0])
    assert (model.low, model.high, model.owners) == ((1.0, 1.0), (3.0, np.e), [0, 0, 1])
    moved = model.recalibrated(1.0, 2.0)
    assert moved.base == pytest.approx(35.0)
    assert moved.margin(np.array([[4.0, 1.0]])) == pytest.approx([37.0])


def test_edges_are_those_of_the_first_curve_of_each_column() -> None:
    steps = Curve.steps([1.0, 7.0], [0.0, 1.0, 2.0])
    paths = (Path(0, (), HAT), Path(0, (), steps), Path(1, (Stage(steps, Function("exp")),), HAT))
    model = AdditiveCurves(("a", "b", "c"), paths, 0.0, (0.0,) * 3, (9.0,) * 3)
    assert model.edges == ((0.0, 1.0, 2.0, 7.0), (1.0, 7.0), ())


def test_a_function_without_a_number_for_rows_of_the_cohort_is_refused() -> None:
    both = Path(1, (LOG, Stage(Curve.identity(), SAME), Stage(Curve.identity(), Function("sqrt"))), Curve.identity())
    cohort = np.array([[1.0, 0.0], [1.0, 2.0], [1.0, np.nan], [1.0, -3.0]])
    with pytest.raises(CompileRefused) as refused:
        AdditiveCurves.centred(("a", "b"), [both], 0.0, cohort)
    assert str(refused.value) == (
        "b: log, sqrt gives no number for 2 values of the reference rows; leave them out, or use log1p or "
        "PowerTransformer (Yeo-Johnson), which take 0 and negative values"
    )
    nobody = AdditiveCurves.centred(("a", "b"), [Path(1, (LOG,), Curve.identity())], 1.5, cohort[2:3])
    assert (nobody.base, nobody.contributions(np.array([[1.0, np.nan]])).tolist()) == (1.5, [[0.0, 0.0]])
