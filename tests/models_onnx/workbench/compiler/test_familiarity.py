"""The distance from what the cohort knows: missing is familiar, a combination nobody has is not, nothing breaks it."""

import numpy as np
import pytest

from models_onnx.workbench.compiler.explaining_graph import write_file
from models_onnx.workbench.compiler.families.piecewise import BrokenLine, PiecewiseLinear
from models_onnx.workbench.compiler.reference import Familiarity, Reference
from tests.models_onnx.workbench.compiler.people import Array, says
from tests.models_onnx.workbench.compiler.test_compile import REFERENCE


def cohort(people: int = 4000) -> Array:
    """Two inputs that rise together, a third that is nearly constant, gaps, and one wild value."""
    draw = np.random.default_rng(6)
    first = draw.normal(70, 10, people)
    X = np.column_stack([first, first * 2 + draw.normal(0, 3, people), (draw.random(people) < 0.01) * 1.0])
    X[draw.random(X.shape) < 0.1] = np.nan
    X[0, 0] = 1e6
    return X


def file_of(known: Familiarity) -> bytes:
    """A small model's file with this cohort in it."""
    lines = tuple(BrokenLine(name, (0.0,), (0.01,), 0.0, 200.0, 200.0) for name in ("a", "b", "c"))
    return write_file("m", PiecewiseLinear(lines, 0.0), Reference(REFERENCE.quantiles, REFERENCE.bins, known), {})


@pytest.fixture(scope="module")
def known() -> Familiarity:
    """Of the cohort."""
    return Familiarity.of(cohort())


def test_one_in_a_thousand_of_the_cohort_is_beyond_its_own_limit(known: Familiarity) -> None:
    told = says(file_of(known), cohort())
    assert told["out_of_distribution"].mean() == pytest.approx(0.001, abs=0.0005)
    assert np.abs(told["distance"] - known.distance(cohort())).max() < 1e-5


def test_two_ordinary_values_that_never_go_together_are_unfamiliar(known: Familiarity) -> None:
    told = says(file_of(known), np.array([[90.0, 180.0, 0.0], [90.0, 100.0, 0.0], [50.0, 180.0, np.nan]]))
    assert told["out_of_distribution"].tolist() == [False, True, True]


def test_a_rare_yes_is_not_strange_by_itself(known: Familiarity) -> None:
    told = says(file_of(known), np.array([[70.0, 140.0, 1.0]]))
    assert told["distance"][0] < 0.7


def test_a_missing_value_is_never_what_makes_a_row_unfamiliar(known: Familiarity) -> None:
    told = says(file_of(known), np.full((1, 3), np.nan))
    assert told["distance"].tolist() == [0.0]


def test_infinite_values_are_unfamiliar_and_give_a_number(known: Familiarity) -> None:
    told = says(file_of(known), np.array([[np.inf, np.nan, 0.0], [-np.inf, np.inf, np.inf]]))
    assert told["out_of_distribution"].all()
    assert np.isfinite(told["distance"]).all()


def test_a_cohort_without_any_value_or_without_difference_still_gives_a_limit() -> None:
    X = cohort()
    X[:, 1], X[:, 2] = np.nan, 3.0
    known = Familiarity.of(X)
    assert np.isfinite(known.distance(X)).all()
    assert says(file_of(known), X)["distance"].max() < 20
