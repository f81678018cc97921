"""Shares with their intervals, and when a share of today is not that of the days before.

A client that stops sending something on weekends alone hardly moves the share of a week. So each day of the window is
held against the same weekdays before, too.

Sources: Wilson 1927 and Newcombe 1998 (method 10) for the intervals; Montgomery, Introduction to Statistical Quality
Control, for the p-chart and the CUSUM (k = 0.5, h = 5).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from math import exp, lgamma, log, sqrt
from statistics import NormalDist
from typing import Final, NamedTuple

from msgspec import Struct

from models_onnx.monitoring.day import DayCounts
from models_onnx.monitoring.figure import State

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


FEWEST_CALLS: Final = 200
_OF_A_DAY: Final = 50
_WATCH, _ACT, _CERTAIN = 0.03, 0.10, 0.001
_LEAST_MOVED: Final = 0.05
_MOVED: Final[tuple[tuple[State, float, float], ...]] = (("act", 0.10, 0.001), ("watch", _LEAST_MOVED, 0.01))
"""From which difference of a share on, and with which probability of chance; the worse one first."""

Counted = Callable[[DayCounts], tuple[int, int]]
"""How many of the calls of a day have what is looked for, and how many there are in all."""


class Rise(NamedTuple):
    """A share with that of before, of how many calls, and on which day where it rose on some days only."""

    state: State
    n: int
    share: float
    before: float
    day: date | None = None


def rise(
    window: Mapping[date, DayCounts],
    reference: Sequence[DayCounts],
    alike: Callable[[date], Sequence[DayCounts]],
    counted: Counted,
    comparisons: int,
) -> Rise:
    """Return whether a share rose: by 3 points and certainly, to be watched; by 10, to act.

    `alike` gives the days of the reference on the same weekday. Certainty is shared among `asked` figures of a kind,
    and of one figure among its days.
    """
    whole = _rise(_sum(window.values(), counted), _sum(reference, counted), FEWEST_CALLS, comparisons)
    if whole.state == "act":
        return whole
    for day, counts in window.items():
        rise_found = _rise(counted(counts), _sum(alike(day), counted), _OF_A_DAY, comparisons * len(window))
        if rise_found.state == "act":
            return rise_found._replace(day=day)
    return whole


class Moved(NamedTuple):
    """A share with that of before, and of how many values."""

    state: State
    n: int
    share: float
    before: float


def moved(
    window: Mapping[date, DayCounts], reference: Sequence[DayCounts], counted: Counted, comparisons: int, sums: Moved
) -> Moved:
    """Return whether a share is another one than before: by 5 points and certainly, to be watched; by 10, to act.

    `sums` has the shares of all days, with which nothing more is counted where they are about the same. Where the days
    before differ by more than chance, certainty is asked for in units of their spread (`day_spread`).
    """
    gap = round(abs(sums.share - sums.before), 9)  # five points are five points, whatever floats make of 0.35 - 0.3
    if gap < _LEAST_MOVED:
        return sums
    spread = day_spread([counted(day) for day in reference], sums.before)
    (_, n), (_, m) = _sum(window.values(), counted), _sum(reference, counted)
    deviation = spread * sqrt(max(sums.before * (1 - sums.before), 1e-9) * (1 / n + 1 / m))
    for state, least, doubt in _MOVED:
        if gap >= least and gap > deviation * NormalDist().inv_cdf(1 - doubt / (2 * comparisons)):
            return sums._replace(state=state)
    return sums


def _sum(days: Iterable[DayCounts], counted: Counted) -> tuple[int, int]:
    shares_of_days = [counted(day) for day in days]
    return sum(count for count, _ in shares_of_days), sum(total for _, total in shares_of_days)


def _rise(now: tuple[int, int], before: tuple[int, int], fewest: int, comparisons: int) -> Rise:
    (count, total), (count_before, total_before) = now, before
    if min(total, total_before) < fewest:
        return Rise("insufficient", min(total, total_before), 0.0, 0.0)
    share, then = count / total, count_before / total_before
    low, _ = difference(count, total, count_before, total_before, 1 - _CERTAIN / comparisons)
    state: State = "good"
    gap = round(share - then, 9)
    if low > 0 and gap >= _WATCH:
        state = "act" if gap >= _ACT else "watch"
    return Rise(state, total, share, then)
