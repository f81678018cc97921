"""The statistics of monitoring against scipy, numpy and simulation."""

import pytest
from scipy import stats

from models_onnx.monitoring import drift, rates
from tests.each import for_rows


def test_the_interval_of_a_difference_is_newcombes() -> None:
    """The first example of Newcombe 1998, table II: 56/70 and 48/80, method 10: 0.0524 to 0.3339."""
    assert rates.difference(56, 70, 48, 80, 0.95) == pytest.approx((0.0524, 0.3339), abs=1e-4)


@for_rows(("count", "expected"), [(0, 5.0), (12, 20.0), (300, 280.5), (900, 1000.0)])
def test_the_probability_of_few_calls_is_poissons(count: int, expected: float) -> None:
    assert rates.at_most(count, expected) == pytest.approx(stats.poisson.cdf(count, expected), rel=1e-6)


@for_rows("freedom", [1, 2, 5, 9])
@for_rows("share", [0.99, 0.999, 0.9999])
def test_the_quantile_of_chi_square_is_never_too_low_by_more_than_a_hundredth(freedom: int, share: float) -> None:
    ratio = drift.chi_square_quantile(freedom, share) / stats.chi2.ppf(share, freedom)
    assert 0.99 < ratio < 1.11


# A coding of the sexes that is reversed is found by what women and men differ in, and by nothing else.
