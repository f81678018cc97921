"""Trees behind prepared columns: which input each column is of, sums by input, and thresholds moved onto the input."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models_onnx.workbench.compiler.families.piecewise import BrokenLine, Curve, PiecewiseLinear
from models_onnx.workbench.compiler.readers import prepared
from models_onnx.workbench.compiler.readers.column import Column
from models_onnx.workbench.compiler.readers.prepared import Prepared

Array = NDArray[np.float64]
NAN = float("nan")
SAME = Curve.identity()
FLAT = Curve.steps([], [0.0])


def _line(feature: str, weight: float, knot: float = 0.0) -> BrokenLine:
    return BrokenLine(feature, (knot,), (weight,), 0.0, 1000.0, 1000.0)


# the sum of age, of ten times the lab and of a hundred where the lab reaches 4, of which 0.5 is the intercept
COLUMNS = (Column(1, SAME), Column(0, SAME), Column(1, Curve.steps([4.0], [0.0, 1.0], 1.0)))
INNER = PiecewiseLinear((_line("lab", 10.0), _line("age", 1.0), _line("high", 100.0)), 0.5)
MODEL = Prepared(("age", "lab"), COLUMNS, INNER, (0.0, 0.0), (99.0, 9.0))
PEOPLE = np.array([[50.0, 3.0], [60.0, 4.0], [70.0, NAN]])


def test_the_contribution_of_an_input_is_the_sum_of_its_columns() -> None:
    assert MODEL.contributions(PEOPLE).tolist() == [[50.0, 30.0], [60.0, 140.0], [70.0, 100.0]]
    assert MODEL.margin(PEOPLE).tolist() == [80.5, 200.5, 170.5]
    assert (MODEL.base, MODEL.link, MODEL.owners) == (0.5, INNER.link, [1, 0, 1])


def test_a_recalibration_is_of_the_inner_model() -> None:
    moved = MODEL.recalibrated(1.0, 2.0)
    assert moved.margin(PEOPLE).tolist() == [162.0, 402.0, 342.0]
    assert (moved.base, moved.columns, moved.features) == (2.0, COLUMNS, ("age", "lab"))


def test_steps_of_the_preparation_are_edges_and_those_of_the_model_where_a_column_is_a_line() -> None:
    """A line has its knot and its top."""
    assert MODEL.edges == ((0.0, 1000.0), (0.0, 4.0, 1000.0))


def test_columns_are_rounded_as_the_file_rounds_them() -> None:
    tenth = float(np.float32(0.1))
    halved = Column(0, SAME.scaled(0.1, 0.0))
    assert prepared.prepare([Column(0, SAME), halved], np.array([[0.1], [1e39]])).tolist() == [
        [tenth, float(np.float32(0.1 * tenth))],
        [float(np.finfo(np.float32).max), float(np.float32(0.1 * float(np.finfo(np.float32).max)))],
    ]


@pytest.mark.parametrize(
    ("columns", "count", "is_plain"),
    [
        ([Column(0, SAME), Column(1, SAME.scaled(2.0, 1.0))], 2, True),
        ([Column(0, SAME)], 2, False),
        ([Column(1, SAME), Column(0, SAME)], 2, False),
        ([Column(0, SAME), Column(1, SAME.scaled(-2.0, 1.0))], 2, False),
        ([Column(0, SAME), Column(1, FLAT)], 2, False),
        ([Column(0, FLAT)], 1, False),
    ],
)
def test_columns_that_are_the_inputs_in_order(columns: list[Column], count: int, is_plain: bool) -> None:
    assert prepared.plain(columns, count) is is_plain


def test_a_scaled_column_is_the_input_itself() -> None:
    falling, steps = Column(1, SAME.scaled(-2.0, 1.0)), COLUMNS[2]
    first, *others = prepared.unscaled([Column(0, SAME.scaled(2.0, 1.0).at_missing(3.0)), falling, steps])
    assert (first.input, first.curve.line, others) == (0, (1.0, 0.0), [falling, steps])
    assert np.isnan(first.curve.missing)


@pytest.mark.parametrize(("narrow", "rounded"), [(False, 0.0), (True, 2.0**-15)])
def test_thresholds_are_moved_by_the_librarys_own_transform(narrow: bool, rounded: float) -> None:
    """The columns are x + 1000, y itself, -z, and x + 1 whose threshold nobody asks for.

    A library that narrows its columns rounds 1002 and the half of a float32 above it to 1002.
    """
    columns = [
        Column(0, SAME.scaled(1.0, 1000.0).at_missing(0.1)),
        Column(1, SAME),
        Column(2, SAME.scaled(-1.0, 0.0).at_missing(5.0)),
        Column(0, SAME.scaled(1.0, 1.0)),
    ]
    seen: list[Array] = []

    def transform(rows: Array) -> Array:
        seen.append(rows)
        return np.column_stack([rows[:, 0] + 1000.0, rows[:, 1], -rows[:, 2], rows[:, 0] + 1.0])

    questions = [(0, 1002.0), (1, 7.0), (0, 995.0), (2, 1.0)]
    cuts = prepared.moved_cuts(columns, questions, transform, (10.0, 20.0, 30.0), narrow)
    assert cuts.moved == {(0, 1002.0): 2.0 + rounded, (0, 995.0): -5.0 + rounded}
    assert cuts.missing[0] == (float(np.float32(0.1)) if narrow else 0.1)
    assert np.isnan(cuts.missing[1:]).tolist() == [True, True, True]
    assert {tuple(row[1:]) for rows in seen for row in rows.tolist()} == {(20.0, 30.0)}


def _answers(*left: Any) -> Any:
    return lambda x: np.array([question(value) for question, value in zip(left, x.tolist(), strict=True)])


def test_the_largest_number_that_goes_left() -> None:
    largest = float(np.finfo(np.float32).max)
    found = prepared._largest(
        _answers(
            lambda x: x <= 1.5,
            lambda x: x < 1.5,
            lambda x: x <= -1e-45,
            lambda x: x <= 0.0,
            lambda _: True,
            lambda _: False,
            lambda x: x <= -largest,
        ),
        7,
    )
    below = float(np.nextafter(np.float32(1.5), np.float32(0.0)))
    smallest = -float(np.float32(1e-45))
    assert found.tolist() == [1.5, below, smallest, 0.0, largest, -np.inf, -largest]
    assert found.dtype == np.float32
