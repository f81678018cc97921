"""Curves: sums, pieces, missing values and infinity, in numpy as in the file; the examples of the docstrings run."""

import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models_onnx.workbench.compiler import explaining_graph as groups
from models_onnx.workbench.compiler.families import piecewise as curve
from models_onnx.workbench.compiler.families import trees
from models_onnx.workbench.compiler.families.additive_curves import AdditiveCurves
from models_onnx.workbench.compiler.families.piecewise import Curve

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


def test_edges_are_where_the_pieces_of_each_curve_begin() -> None:
    model = AdditiveCurves(("a", "b"), (HAT, Curve.identity()), 0.0, (0.0,) * 2, (9.0,) * 2)
    assert model.edges == ((0.0, 2.0), ())
