"""What is worse than n log n is seen as such."""

import pytest

from benchmarks.growth import COUNTS, exponent


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_the_exponent_of_a_power_is_found_beside_a_fixed_cost(power: float) -> None:
    growth = exponent({count: 3.0 + 0.02 * count**power for count in COUNTS})
    assert growth == pytest.approx(power)


def test_a_growth_too_small_to_be_seen_has_no_exponent() -> None:
    assert exponent({count: 3.0 + 0.0001 * count for count in COUNTS}) is None


def test_a_series_that_ended_early_is_judged_by_what_there_is() -> None:
    assert exponent({250: 5.0, 500: 15.0, 1000: 55.0}) == pytest.approx(2.0)
    assert exponent({250: 5.0, 500: 100.0}) is None
