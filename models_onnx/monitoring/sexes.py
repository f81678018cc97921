"""Whether women and men are exchanged in what a client sends: a coding that was reversed moves no share of the sexes.

Women and men differ in some results, such as creatinine and red cells. The probability that a man's value is higher
than a woman's (the area under the ROC curve) is compared with that of before; where the sexes are exchanged in a share
f of the calls, its distance from a half becomes 1 - 2f of what it was.
"""

from collections.abc import Iterator
from math import sqrt
from typing import Final, NamedTuple

from models_onnx.monitoring.day import DIFFER_BY_SEX, DayCounts
from models_onnx.monitoring.figure import State
from models_onnx.monitoring.sketch import Sketch

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
