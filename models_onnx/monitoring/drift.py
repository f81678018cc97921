"""Whether values are distributed as before: the population stability index, and what chance alone makes of it.

A fixed limit of 0.1 is passed in 38 of 100 windows of 100 values in which nothing has changed, and misses a real drift
of 5,000 values. Without a change PSI is distributed as chi-square with bins - 1 degrees of freedom times
(1/n + 1/m) (Yurdakul, Naranjo: Statistical properties of the population stability index, Journal of Risk Model
Validation 2020), so the limit is the larger of the usual one and a quantile of that.
"""

from math import exp, lgamma, log, sqrt
from statistics import NormalDist
from typing import NamedTuple

from models_onnx.monitoring.sketch import Sketch, value_of

BINS = 10
WATCH, ACT = 0.10, 0.25
"""The usual limits of PSI, below which nothing is said however certain a change is."""

_SMOOTHING = 0.5


def binned(reference: Sketch, window: Sketch) -> tuple[list[int], list[int]]:
    """Both sketches in up to ten bins of about equal share of the reference; bins that neither fills are left out."""
    bins: list[tuple[int, int]] = []
    share, held, held_now, done = reference.total() / BINS, 0, 0, 0
    for bucket in sorted(set(reference) | set(window)):
        held, held_now = held + reference[bucket], held_now + window[bucket]
        if done + held >= share * (len(bins) + 1) - 1e-9 and len(bins) < BINS - 1:
            bins.append((held, held_now))
            done, held, held_now = done + held, 0, 0
    if held or held_now:
        bins.append((held, held_now))
    return [probability for probability, _ in bins], [probability for _, probability in bins]


def stability_index(reference: list[int], window: list[int]) -> float:
    """PSI of two rows of counts over the same bins; half a count more in each, for the logarithm."""
    all_then, all_now = sum(reference) + _SMOOTHING * len(reference), sum(window) + _SMOOTHING * len(window)
    total = 0.0
    for then, now in zip(reference, window, strict=True):
        before, after = (then + _SMOOTHING) / all_then, (now + _SMOOTHING) / all_now
        total += (after - before) * log(after / before)
    return total


def limit_by_chance(bins: int, n: int, m: int, certainty: float) -> float:
    """Return the PSI that n and m values without a change pass with probability 1 - `certainty`."""
    return chi_square_quantile(max(bins - 1, 1), certainty) * (1 / n + 1 / m)


def chi_square_quantile(freedom: int, share: float) -> float:
    """Return the quantile of chi-square by Wilson and Hilferty (1931); in the tails used here up to 11 % too high."""
    z = NormalDist().inv_cdf(share)
    part = 2 / (9 * freedom)
    return freedom * max(0.0, 1 - part + z * sqrt(part)) ** 3


_FARTHER = 1.25
"""By so much a value has to lie outside all values before: a single patient's new extreme is no other unit."""


class Beyond(NamedTuple):
    """The number of values that lie outside all those before, the range before, and how likely chance makes them."""

    number: int
    low: float
    high: float
    chance: float


def beyond(reference: Sketch, window: Sketch) -> Beyond:
    """Find what of the window lies below the reference's lowest or above its highest value by a quarter of it or more.

    `chance` is that of so many values of one distribution on that side (of both sides the smaller one, doubled): of
    n + m values in any order the k largest are all among n with probability C(n, k) / C(n + m, k). The reference may
    not be empty.
    """
    low, high = value_of(min(reference)), value_of(max(reference))
    bottom = low / _FARTHER if low > 0 else low * _FARTHER
    top = high * _FARTHER if high > 0 else high / _FARTHER
    below = sum(times for bucket, times in window.items() if value_of(bucket) < bottom)
    above = sum(times for bucket, times in window.items() if value_of(bucket) > top)
    n, m = window.total(), reference.total()
    chance = min(1.0, 2 * min(_all_largest(below, n, m), _all_largest(above, n, m)))
    return Beyond(below + above, low, high, chance)


def _all_largest(k: int, n: int, m: int) -> float:
    """Return the probability that the k largest of n + m values are all among the n."""
    return exp(lgamma(n + 1) - lgamma(n - k + 1) + lgamma(n + m - k + 1) - lgamma(n + m + 1))
