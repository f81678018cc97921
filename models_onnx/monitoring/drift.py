"""Whether values are distributed as before: in deciles, value by value, and between women and men.

The population stability index has the larger limit of the usual one and of what chance makes of it. A fixed limit of
0.1 is passed in 38 of 100 windows of 100 values in which nothing has changed, and misses a real drift of 5,000 values.
Without a change PSI is distributed as chi-square with bins - 1 degrees of freedom times (1/n + 1/m) (Yurdakul, Naranjo:
Statistical properties of the population stability index, Journal of Risk Model Validation 2020). Rounding and a stuck
value hardly move deciles, so single values are compared too.

A coding of the sexes that was reversed moves no share of them. Women and men differ in some results, such as creatinine
and red cells: the probability that a man's value is higher than a woman's (the area under the ROC curve) is compared
with that of before; where the sexes are exchanged in a share f of the calls, its distance from a half becomes 1 - 2f of
what it was.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from math import exp, lgamma, log, sqrt
from statistics import NormalDist
from typing import Final, NamedTuple

from models_onnx.monitoring import rates
from models_onnx.monitoring.day import DIFFER_BY_SEX, DayCounts
from models_onnx.monitoring.figure import State
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


_FEWEST_IN_A_BIN: Final = 20
_MORE: Final = 0.03
_COARSER: Final = 0.5
_DOUBT: Final = 1e-6


class Repeated(NamedTuple):
    """What is said of one input, with the share (0 to 1) or index now and before."""

    state: State
    value: float
    before: float
    text: str


def one_value(
    name: str,
    window: Mapping[date, DayCounts],
    reference: Sequence[DayCounts],
    alike: Callable[[date], Sequence[DayCounts]],
    sums: tuple[Sketch, Sketch],
    comparisons: int,
) -> Repeated | None:
    """Return whether one value has certainly a larger share than before, in all or on a day: as `rates.rise`.

    `sums` are the sketches of the window and the reference; None where no value has 3 points more in all of it.
    """
    now, then = sums
    n, m = now.total(), then.total()
    bucket = max(now, key=lambda value: now[value] / n - then[value] / m)
    if now[bucket] / n - then[bucket] / m < _MORE:
        return None

    def counted(day: DayCounts) -> tuple[int, int]:
        buckets = day.features.get(name, {})
        return buckets.get(bucket, 0), sum(buckets.values())

    rise = rates.rise(window, reference, alike, counted, comparisons * len({*now, *then}))
    if rise.state not in ("watch", "act"):
        return None
    on = f" on {rise.day:%A}, {rise.day}," if rise.day is not None else ""
    sentence = f"{100 * rise.share:.0f} in 100 values of {name}{on} are about {value_of(bucket):.3g}"
    return Repeated(rise.state, rise.share, rise.before, f"{sentence}, {100 * rise.before:.0f} before.")


def coarser(name: str, now: Sketch, then: Sketch, comparisons: int) -> Repeated | None:
    """Whether the values stand closer together than before: the stability index of single values, without deciles."""
    reference, window = _finely(then, now)
    index = stability_index(reference, window)
    chance = limit_by_chance(len(reference), now.total(), then.total(), 1 - _DOUBT / comparisons)
    if len(reference) <= BINS or index <= max(_COARSER, 2 * chance):
        return None
    text = f"{name} takes other single values than before, as where values are rounded (stability index {index:.2f})."
    return Repeated("act", index, 0.0, text)


def _finely(then: Sketch, now: Sketch) -> tuple[list[int], list[int]]:
    """Both in bins of so many buckets that at least 20 of the window would be expected in each."""
    least = _FEWEST_IN_A_BIN * then.total() / now.total()
    reference, window = [0], [0]
    for bucket in sorted({*then, *now}):
        if reference[-1] >= least:
            reference.append(0)
            window.append(0)
        reference[-1] += then[bucket]
        window[-1] += now[bucket]
    return reference, window


FEWEST: Final = 100
"""The fewest values of each sex, then and now."""

_DIFFER, _CERTAIN = 0.05, 5.0
_LIMITS: Final[tuple[tuple[State, float, float], ...]] = (("act", 0.25, 5.0), ("watch", 0.10, 3.5))
"""From which share of exchanged calls on, and how many standard errors beyond no change; the worse one first."""


class Exchanged(NamedTuple):
    """Of one input: in how many calls (0 to 1) the sexes seem to be exchanged, by how many values."""

    state: State
    name: str
    n: int
    share: float


def exchanged(now: DayCounts, before: DayCounts) -> Iterator[Exchanged]:
    """Yield what each input says in which women and men certainly differed before."""
    for name in DIFFER_BY_SEX:
        window, reference = (
            [period.sketch("by_sex", f"{name} {sex}") for sex in ("men", "women")] for period in (now, before)
        )
        if min(sketch.total() for sketch in reference) < FEWEST:
            continue
        then, error_then = higher(*reference)
        if abs(then - 0.5) < max(_DIFFER, _CERTAIN * error_then):
            continue
        n = min(sketch.total() for sketch in window)
        if n < FEWEST:
            yield Exchanged("insufficient", name, n, 0.0)
            continue
        value, error = higher(*window)
        share = (1 - (value - 0.5) / (then - 0.5)) / 2
        certainty = abs(then - value) / sqrt(error**2 + error_then**2)
        worst: State = next(
            (state for state, least, errors in _LIMITS if share >= least and certainty >= errors), "good"
        )
        yield Exchanged(worst, name, n, min(1.0, max(0.0, share)))


def higher(men: Sketch, women: Sketch) -> tuple[float, float]:
    """Give the probability that a man's value is higher, ties half, and its standard error (Hanley, McNeil 1982)."""
    n, m = men.total(), women.total()
    below, pairs = 0, 0.0
    for bucket in sorted({*men, *women}):
        pairs += men[bucket] * (below + women[bucket] / 2)
        below += women[bucket]
    area = pairs / (n * m)
    both_men, both_women = area / (2 - area), 2 * area**2 / (1 + area)
    variance = area * (1 - area) + (n - 1) * (both_men - area**2) + (m - 1) * (both_women - area**2)
    return area, sqrt(max(variance, 1e-12) / (n * m))
