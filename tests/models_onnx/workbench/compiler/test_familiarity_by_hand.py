"""The distance from a cohort of a few people: spread, correlation, what is cut off, and the limit, by hand."""

import numpy as np
import pytest

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler import reference
from models_onnx.workbench.compiler.link import LOGIT
from models_onnx.workbench.compiler.reference import CalibrationBin, Familiarity, Reference, compare_with_cohort
from tests.models_onnx.workbench.compiler.people import Array
from tests.models_onnx.workbench.compiler.test_compile import MODEL

NAN = float("nan")


@pytest.mark.parametrize(
    ("values", "middle", "spread"),
    [
        ([1.0, 3.0, 5.0], 3.0, np.sqrt(8 / 3)),
        ([0.0, 0.0, 1.0], 0.0, 1.0),
        ([2.0, 7.0, NAN, np.inf], 2.0, 5.0),
        ([4.0, 4.0, 4.0], 4.0, 1.0),
        ([4.0, NAN], 4.0, 1.0),
        ([NAN, NAN], 0.0, 1.0),
        # 50 times 1 and 2, and a wild 100, more than five deviations (9.8) from the middle: a half
        ([1.0, 2.0] * 50 + [100.0], 1.5, 0.5),
        # all that lies near the middle is alike: the deviation of all
        ([1.0] * 100 + [50.0, 60.0], 1.0, float(np.std([1.0] * 100 + [50.0, 60.0]))),
    ],
)
def test_the_spread_of_an_input(values: list[float], middle: float, spread: float) -> None:
    assert reference._spread(np.array(values), middle) == pytest.approx(spread)


def _pairs(correlated: int) -> Array:
    """A hundred people of -1 or 1 in both inputs, so many more of them with both alike, beside an input of gaps."""
    alike = (100 + correlated) // 2
    first = np.tile([-1.0, 1.0], 50)
    return np.column_stack([first, np.where(np.arange(100) < alike, first, -first), np.full(100, NAN)])


def test_a_correlation_is_shrunk_by_a_tenth_and_a_variance_is_a_quarter_at_least() -> None:
    """Two values have their distance as the spread: -1 and 1 become -1/2 and 1/2 about 0, whose variance is lifted."""
    known = Familiarity.of(_pairs(60), level=1.0)
    assert (known.centre, known.scale) == ((0.0, 0.0, 0.0), (2.0, 2.0, 1.0))
    variance, shared = 25 / 99, 0.9 * 0.6 * 25 / 99
    inverse = np.linalg.inv([[variance, shared], [shared, variance]])
    together, apart = np.array([0.5, 0.5]), np.array([0.5, -0.5])
    limit = apart @ inverse @ apart
    assert known.limit == pytest.approx(limit, rel=1e-6)
    people = np.array([[1.0, 1.0, NAN], [1.0, -1.0, NAN], [NAN, NAN, NAN], [3.0, NAN, NAN], [99.0, 0.0, 0.0]])
    far = 1.5 * 1.5 * inverse[0, 0], 6.0 * 6.0 * inverse[0, 0]
    expected = [together @ inverse @ together, limit, 0.0, *far]
    assert known.distance(people).tolist() == pytest.approx(np.sqrt(np.array(expected) / limit).tolist(), rel=1e-5)
    unrelated = Familiarity.of(np.tile([[-1.0, -1.0], [1.0, 1.0], [-1.0, 1.0], [1.0, -1.0]], (25, 1)) * 0.1)
    assert np.array(unrelated.metric) == pytest.approx(np.diag([np.sqrt(1 / (25 / 99))] * 2), rel=1e-5)


def test_a_rare_value_has_a_variance_of_a_quarter() -> None:
    rare = np.full((100, 1), 7.0)
    rare[:2] = 8.0
    known = Familiarity.of(rare, level=1.0)
    assert known.metric == ((2.0,),), "one over the root of a quarter, and not of 0.0198"
    assert known.distance(np.array([[8.0], [7.0], [NAN], [9.0]])).tolist() == pytest.approx([1.0, 0.0, 0.0, 2.0])


def test_reference_rows_without_outcomes_and_with_those_that_are_none() -> None:
    people = np.column_stack([np.arange(40.0) / 4, 40.0 + np.arange(40.0)])
    told = compare_with_cohort(MODEL, people, None)
    (unknown,) = told.bins
    assert (unknown.quantile, unknown.count, unknown.events) == (0, 0, 0)
    assert np.isnan([unknown.predicted, unknown.rate, unknown.low, unknown.high]).all()
    assert (len(told.quantiles), told.step) == (199, 0.5)
    assert told.quantiles[99] == pytest.approx(float(np.median(MODEL.margin(people))), abs=1e-6)
    assert told.familiarity is not None
    for outcomes in (np.arange(39) % 2, np.arange(40) % 3, np.arange(80).reshape(40, 2) % 2):
        with pytest.raises(CompileRefused, match=r"^outcomes are one 0 or 1 for each of the 40 reference rows$"):
            compare_with_cohort(MODEL, people, outcomes)
    known = compare_with_cohort(MODEL, people, np.arange(40) % 2)
    assert sum(one.count for one in known.bins) == 40
    assert sum(one.events for one in known.bins) == 20


def test_a_bin_begins_at_a_quantile_or_below_all() -> None:
    bins = (CalibrationBin(0, 1, 0, 0.1, 0.1, 0.0, 0.2), CalibrationBin(2, 2, 1, 0.5, 0.5, 0.4, 0.6))
    made = Reference((-1.0, 0.0, 2.0), bins)
    assert (made.step, made.margin_low(bins[0]), made.margin_low(bins[1])) == (25.0, -np.inf, 0.0)
    assert made._tables() == {
        "percentile": [0.0, 25.0, 50.0, 75.0],
        "observed_rate": [0.1, 0.1, 0.5, 0.5],
        "observed_low": [0.0, 0.0, 0.4, 0.4],
        "observed_high": [0.2, 0.2, 0.6, 0.6],
        "observed_count": [1.0, 1.0, 2.0, 2.0],
    }
    assert LOGIT.probability(np.array([-1e4, 0.0, np.log(3.0), 1e4])).tolist() == pytest.approx([0.0, 0.5, 0.75, 1.0])
