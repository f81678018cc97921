"""The statistics of monitoring against scipy, numpy and simulation."""

from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from models_onnx.monitoring import drift, rates
from models_onnx.monitoring.day import DayCounts, count_need, sketch_value
from models_onnx.monitoring.drift import FEWEST, exchanged
from models_onnx.monitoring.sketch import bucket_of, value_of
from tests.each import for_rows
from tests.models_onnx.monitoring.figures import sketch_of

VALUES = st.floats(min_value=-1e6, max_value=1e6, allow_nan=False)


@given(VALUES)
def test_a_value_is_read_back_within_one_percent(value: float) -> None:
    assert value_of(bucket_of(value)) == pytest.approx(value, rel=0.0101, abs=1e-8)


def test_the_interval_of_a_difference_is_newcombes() -> None:
    """The first example of Newcombe 1998, table II: 56/70 and 48/80, method 10: 0.0524 to 0.3339."""
    assert rates.difference(56, 70, 48, 80, 0.95) == pytest.approx((0.0524, 0.3339), abs=1e-4)


@for_rows(("count", "expected"), [(0, 5.0), (12, 20.0), (300, 280.5), (900, 1000.0)])
def test_the_probability_of_few_calls_is_poissons(count: int, expected: float) -> None:
    assert rates.at_most(count, expected) == pytest.approx(stats.poisson.cdf(count, expected), rel=1e-6)


def test_a_small_shift_is_summed_up() -> None:
    assert rates.cusum([0.3, -0.4] * 20) < rates.CUSUM_LIMIT
    assert rates.cusum([0.0] * 20 + [1.5] * 6) > rates.CUSUM_LIMIT
    assert rates.cusum([0.0] * 20 + [-1.5] * 6) > rates.CUSUM_LIMIT


@for_rows("freedom", [1, 2, 5, 9])
@for_rows("share", [0.99, 0.999, 0.9999])
def test_the_quantile_of_chi_square_is_never_too_low_by_more_than_a_hundredth(freedom: int, share: float) -> None:
    ratio = drift.chi_square_quantile(freedom, share) / stats.chi2.ppf(share, freedom)
    assert 0.99 < ratio < 1.11


def test_values_outside_all_before_are_counted_with_the_chance_of_so_many() -> None:
    found = drift.beyond(sketch_of([0.6, 1.0, 3.0]), sketch_of([1.0, 3.3, 90.0, 100.0, 0.1]))
    assert found.number == 3  # 3.3 is within a quarter of the highest
    assert [found.low, found.high] == pytest.approx([0.6, 3.0], rel=0.01)
    assert found.chance == pytest.approx(2 * comb(5, 2) / comb(8, 2))
    assert drift.beyond(sketch_of([-2.0, 4.0]), sketch_of([-2.2, 4.4])).number == 0
    assert drift.beyond(sketch_of([0.0, 0.0]), sketch_of([1.0, -1.0, 0.0])).number == 2


def test_a_need_is_counted_with_its_sum_and_the_sum_of_its_squares() -> None:
    needs: dict[str, dict[int, list[float]]] = {}
    for need in (2.0, 4.0):
        count_need(needs, "model@1 all", 3, need)
    count_need(needs, "model@1 all", 5, 1.0)
    assert needs == {"model@1 all": {3: [2.0, 6.0, 20.0], 5: [1.0, 1.0, 1.0]}}


# A coding of the sexes that is reversed is found by what women and men differ in, and by nothing else.


NAME = "creatinine_mg_dl"


def _people(many: int, wrong: float, seed: int, ratio: float = 1.25) -> DayCounts:
    """So many of each sex, a share of whom is sent as the other one; men have `ratio` times as much creatinine."""
    random, counts = np.random.default_rng(seed), DayCounts()
    for sex, level in (("men", ratio), ("women", 1.0)):
        for value in level * random.lognormal(-0.2, 0.3, many):
            sent = sex if random.random() >= wrong else ("women" if sex == "men" else "men")
            sketch_value(counts.by_sex, f"{NAME} {sent}", float(value))
    return counts


def test_where_the_sexes_do_not_differ_or_are_too_few_nothing_is_judged() -> None:
    assert list(exchanged(_people(700, 1.0, 1, 1.0), _people(3000, 0.0, 2, 1.0))) == []
    assert list(exchanged(_people(700, 1.0, 1), _people(FEWEST - 1, 0.0, 2))) == []
    (found,) = exchanged(_people(FEWEST - 1, 0.0, 1), _people(3000, 0.0, 2))
    assert found.state == "insufficient"


def test_weeks_without_a_change_are_good() -> None:
    before = _people(3000, 0.0, 2)
    assert {each.state for seed in range(40) for each in exchanged(_people(600, 0.0, 100 + seed), before)} == {"good"}
