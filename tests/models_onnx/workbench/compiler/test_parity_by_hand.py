"""The proof of a compiled file: its limits, its rows, and what is asked of a library that refuses some of them."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models_onnx.errors import AdditivityRefused, CompileRefused, ParityRefused
from models_onnx.workbench.compiler import parity
from models_onnx.workbench.compiler.explaining_graph import write_file
from models_onnx.workbench.compiler.parity import Agreement, OracleAnswers, ask_library, boundary_rows, verify
from models_onnx.workbench.compiler.readers.column import Inputs
from tests.models_onnx.workbench.compiler.test_compile import MODEL, REFERENCE, oracle

Array = NDArray[np.float64]
CONTENT = write_file("m", MODEL, REFERENCE, {})
NAN = float("nan")


def _rows(count: int = 1000, missing: int = 3) -> NDArray[np.float32]:
    draw = np.random.default_rng(1)
    rows = np.column_stack([draw.uniform(0, 10, count), draw.uniform(40, 80, count)])
    rows[:missing, 0] = np.nan
    return np.asarray(rows, dtype=np.float32)


def _says(
    rows: NDArray[np.float32], base: float = -2.0, probability: float = 0.0, contribution: float = 0.0
) -> Agreement:
    def moved(X: Array) -> tuple[Array, Array]:
        of_rows, contributions = oracle(X)
        return of_rows + probability, contributions + np.array([contribution, 0.0])

    return verify(CONTENT, base, moved, rows)


def test_a_file_that_agrees() -> None:
    agreement = _says(_rows())
    assert (agreement.rows, agreement.rows_with_missing) == (1000, 3)
    assert max(agreement.probability, agreement.contribution, agreement.additivity) < 1e-12


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"probability": 0.9e-5}, None),
        ({"probability": 1.1e-5}, "probabilities differ from the fitted model by up to 1.10e-05 (limit 1e-05)"),
        ({"probability": NAN}, "probabilities differ from the fitted model by up to nan (limit 1e-05)"),
        ({"contribution": 0.9e-5}, None),
        ({"contribution": -1.1e-5}, "contributions differ from the fitted model by up to 1.10e-05 (limit 1e-05)"),
        ({"base": -2.0 + 0.9e-5}, None),
        ({"base": -2.0 - 1.1e-5}, "base + contributions miss the margin by up to 1.10e-05 (limit 1e-05)"),
    ],
)
def test_a_difference_of_a_hundred_thousandth_is_refused(changes: dict[str, float], refusal: str | None) -> None:
    if refusal is None:
        assert max(_says(_rows(), **changes).probability, 0.9e-5) == pytest.approx(0.9e-5, rel=1e-3)
        return
    with pytest.raises((ParityRefused, AdditivityRefused)) as problem:
        _says(_rows(), **changes)
    assert str(problem.value) == refusal


@pytest.mark.parametrize(("count", "missing"), [(999, 3), (1000, 0)])
def test_a_proof_has_a_thousand_rows_of_which_some_miss_a_value(count: int, missing: int) -> None:
    with pytest.raises(CompileRefused) as problem:
        _says(_rows(count, missing))
    assert str(problem.value) == f"parity needs 1000 rows, some with missing values; {count} were given"


def test_the_largest_difference_hides_no_missing_number() -> None:
    assert parity._largest(np.array([0.5, -2.0, 1.0])) == 2.0
    assert np.isnan(parity._largest(np.array([0.5, np.nan])))


def test_every_boundary_row_in_order() -> None:
    rows = boundary_rows(np.array([1.0, 2.0]), [(3.0,), ()])
    three, large = np.float32(3.0), np.finfo(np.float32)
    first = [3.0, np.nextafter(three, np.float32(-np.inf)), np.nextafter(three, np.float32(np.inf)), np.nan, 0.0, -1.0,
             np.inf, -np.inf, large.max, large.tiny]  # fmt: skip
    expected = [[np.nan, np.nan], *([value, 2.0] for value in first), *([1.0, value] for value in first[3:])]
    assert rows.dtype == np.float32
    assert np.array_equal(rows, np.array(expected, dtype=np.float32), equal_nan=True)


def test_the_rows_of_a_proof_are_people_the_same_with_holes_and_the_edges() -> None:
    X = np.column_stack([np.arange(50.0), np.arange(50.0) + 100.0])
    rows = parity.proof_rows(X, MODEL)
    edges = boundary_rows(np.array([24.5, 124.5]), MODEL.edges)
    assert rows.shape == (2000 + len(edges), 2)
    people, holes = rows[:1000], rows[1000:2000]
    assert (people[:, 1] == people[:, 0] + 100.0).all()
    assert set(people[:, 0].tolist()) == set(range(50))
    is_there = ~np.isnan(holes)
    assert np.array_equal(holes[is_there], people[is_there])
    assert 0.27 < np.isnan(holes).mean() < 0.33
    assert np.array_equal(rows[2000:], edges, equal_nan=True)
    assert np.array_equal(rows, parity.proof_rows(X, MODEL, 0), equal_nan=True)


INPUTS = Inputs(("a", "b"), frozenset(), {})


class _Library:
    """The model as its library says it, which refuses what is missing or infinite and rows by a rule."""

    def __init__(self, moved: float = 0.0, refuses: Any = lambda X: np.zeros(len(X), dtype=bool)) -> None:
        self.moved, self.refuses = moved, refuses

    def predict_proba(self, X: Any) -> Array:
        values = np.asarray(X, dtype=np.float64)
        if np.isnan(values).any() or np.isinf(values).any() or self.refuses(values).any():
            raise ValueError("not taken")
        of_rows = oracle(values)[0] + self.moved
        return np.column_stack([1.0 - of_rows, of_rows])


def _asked(library: Any) -> OracleAnswers:
    rows = _rows(60, 7)
    rows[10, 1] = np.float32(np.inf)
    return ask_library(library, MODEL, rows, _rows(40, 0).astype(np.float64), INPUTS)


def test_the_library_is_asked_about_the_rows_that_it_takes() -> None:
    answers = _asked(_Library(0.5e-5))
    assert (answers.count, answers.moved) == (52, 0)
    assert answers.probability[11:] == pytest.approx(
        oracle(_rows(60, 7).astype(np.float64))[0][11:] + 0.5e-5, abs=1e-12
    )
    assert answers.probability[:7] == pytest.approx(oracle(_rows(60, 7).astype(np.float64))[0][:7], abs=1e-12)


def test_a_library_without_probabilities_or_that_takes_no_row_is_not_asked() -> None:
    assert (_asked(object()).count, _asked(object()).moved) == (0, 0)
    assert _asked(_Library(1.0, lambda X: np.ones(len(X), dtype=bool))).count == 0


def test_single_rows_that_a_library_refuses_are_found_by_halves() -> None:
    answers = _asked(_Library(0.0, lambda X: (X[:, 0] > 9.0) & (X[:, 1] != 0.0)))
    rows = _rows(60, 7)
    taken = ~np.isnan(rows[:, 0]) & ~(rows[:, 0] > 9.0)
    taken[10] = False
    assert answers.count == int(taken.sum()) < 52


@pytest.mark.parametrize("by", [0.9e-5, 1.1e-5])
def test_a_model_that_was_read_wrongly_is_refused(by: float) -> None:
    if by < 1e-5:
        assert _asked(_Library(by)).count == 52
        return
    with pytest.raises(ParityRefused) as problem:
        _asked(_Library(by))
    assert str(problem.value) == "the model was read wrongly: the library's probability differs by up to 1.10e-05"


def test_people_whom_rounding_moves_across_a_threshold_are_counted() -> None:
    """1 + 1e-9 is 1 in float32; what lies on the one side of 1 goes to the other."""
    cohort = np.array([[1.0 + 1e-9], [1.0], [2.0], [1.0 + 1e-9]])
    assert parity._moved(lambda X: np.where(X[:, 0] > 1.0, 0.5, 0.0), cohort) == 2
    assert parity._moved(lambda X: np.where(X[:, 0] > 1.0, 0.9e-5, 0.0), cohort) == 0

    def strict(X: Array) -> Array:
        if np.isnan(X).any():
            raise ValueError("missing")
        return np.asarray((X[:, 0] > 1.0) * 0.5)

    assert parity._moved(strict, np.vstack([cohort, [[np.nan]]])) == 2
    assert parity._moved(strict, np.full((3, 1), np.nan)) == 0


def test_which_values_of_which_column_a_library_takes_is_found_by_trying() -> None:
    def half(X: Array) -> Array:
        if np.isnan(X[:, 0]).any() or np.isinf(X[:, 1]).any():
            raise ValueError("not taken")
        return np.zeros(len(X))

    X = np.array([[1.0, 1.0], [np.nan, 1.0], [1.0, np.nan], [1e38, 1.0], [1.0, -1e38], [1.0, 1e37], [1.0, 1.1e37]])
    assert parity._not_taken(half, X, INPUTS).tolist() == [False, True, False, False, True, False, True]
