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
from models_onnx.workbench.compiler.families.additive_curves import AdditiveCurves, Path
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
