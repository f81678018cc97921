"""Shares of calls, in all and day by day: what failed, what came without a key, which inputs had no value.

A client that stops sending something on weekends alone hardly moves the share of a week. So each day of the window is
held against the same weekdays before, too.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from math import sqrt
from statistics import NormalDist
from typing import Final, NamedTuple

from models_onnx.monitoring import rates
from models_onnx.monitoring.day import DayCounts
from models_onnx.monitoring.figure import State

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
    before differ by more than chance, certainty is asked for in units of their spread (`rates.day_spread`).
    """
    gap = round(abs(sums.share - sums.before), 9)  # five points are five points, whatever floats make of 0.35 - 0.3
    if gap < _LEAST_MOVED:
        return sums
    spread = rates.day_spread([counted(day) for day in reference], sums.before)
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
    low, _ = rates.difference(count, total, count_before, total_before, 1 - _CERTAIN / comparisons)
    state: State = "good"
    gap = round(share - then, 9)
    if low > 0 and gap >= _WATCH:
        state = "act" if gap >= _ACT else "watch"
    return Rise(state, total, share, then)
