"""Shares with their intervals, and when a share of today is not that of the days before.

Sources: Wilson 1927 and Newcombe 1998 (method 10) for the intervals; Montgomery, Introduction to Statistical Quality
Control, for the p-chart and the CUSUM (k = 0.5, h = 5).
"""

from collections.abc import Sequence
from math import exp, lgamma, log, sqrt
from statistics import NormalDist

from msgspec import Struct

CUSUM_SLACK, CUSUM_LIMIT = 0.5, 5.0


class Interval(Struct, frozen=True):
    """A value with both ends of its interval."""

    value: float
    low: float
    high: float

    def lies_outside(self, low: float, high: float) -> bool:
        """Return whether the whole interval is below `low` or above `high`."""
        return self.high < low or self.low > high

    @property
    def words(self) -> str:
        """The value and both ends, for a sentence."""
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


def wilson(count: float, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the interval of a share. `count` of `total`, which is over 0."""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = count / total
    middle = share + z * z / (2 * total)
    half = z * sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    # rounding must not leave the share itself outside where it is 0 or 1
    return max(0.0, min(share, (middle - half) / scale)), min(1.0, max(share, (middle + half) / scale))


def difference(count: int, total: int, before: int, total_before: int, confidence: float) -> tuple[float, float]:
    """Return the interval of the difference of two shares, now minus before."""
    now, then = count / total, before / total_before
    low, high = wilson(count, total, confidence)
    low_then, high_then = wilson(before, total_before, confidence)
    gap = now - then
    return gap - sqrt((now - low) ** 2 + (high_then - then) ** 2), gap + sqrt(
        (high - now) ** 2 + (then - low_then) ** 2
    )


def sigmas(count: int, total: int, centre: float, spread: float = 1.0) -> float:
    """Return how many standard deviations the share lies from `centre`, the share of the reference.

    `spread` widens the limits where days differ more than chance has them (`day_spread`).
    """
    deviation = sqrt(max(centre * (1 - centre), 1e-9) / total) * spread
    return (count / total - centre) / deviation


def day_spread(days: Sequence[tuple[int, int]], centre: float) -> float:
    """Return how much more the shares of days (count, total) vary than chance has them; at least 1.

    The standard deviation of the days' z values (Laney 2002, the p' chart): on a ward's weekend other patients come.
    """
    z = [sigmas(count, total, centre) for count, total in days if total]
    if len(z) < 2:
        return 1.0
    return max(1.0, sqrt(sum(value * value for value in z) / len(z)))


def cusum(z: Sequence[float]) -> float:
    """Return the larger one-sided sum at the end of the series of z values; `CUSUM_LIMIT` and more is a shift."""
    up = down = 0.0
    for value in z:
        up, down = max(0.0, up + value - CUSUM_SLACK), max(0.0, down - value - CUSUM_SLACK)
    return max(up, down)


def at_least(count: int, expected: float) -> float:
    """Give the chance of `count` or more where `expected` come on average (Poisson); 0 beyond what a float can tell."""
    return max(0.0, 1.0 - at_most(count - 1, expected)) if count > 0 else 1.0


def at_most(count: int, expected: float) -> float:
    """Return the probability of `count` or fewer where `expected` come on average (Poisson)."""
    if expected <= 0:
        return 1.0
    term = exp(count * log(expected) - expected - lgamma(count + 1))
    total = 0.0
    for number in range(count, -1, -1):
        total += term
        term *= number / expected
        if term < total * 1e-12:
            break
    return min(1.0, total)
