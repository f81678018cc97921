"""What departs from the baseline of one feed now, and how unlikely so few or so many messages are."""

from math import erfc, exp, lgamma, log, sqrt
from typing import Final

import numpy as np
from msgspec import Struct

WINDOWS: Final = np.array([1, 2, 3, 4, 6, 9, 12, 18, 24, 36, 48, 72, 96, 144, 192, 288, 432, 576])
"""Steps of five minutes: windows from 5 minutes to 2 days."""
NEVER: Final = 1e-9
"""A probability below which something is no chance."""


class Signal(Struct, frozen=True):
    """Something that departs from the baseline.

    `ratio` is what came to what was expected (of a share, the share), `since` the first step of the window, `weight`
    the messages that it took to tell, and `group` what is looked at together.
    """

    feed: str
    kind: str
    subject: str
    ratio: float
    since: int
    weight: float
    group: str
    is_strong: bool = False


class Starts:
    """From which step on a kind is looked at: what an incident was opened or kept open by is not looked at again."""

    def __init__(self, first: int) -> None:
        self.first = first
        self._by_kind: dict[str, int] = {}

    def of(self, kind: str) -> int:
        """Return the first step."""
        return max(self.first, self._by_kind.get(kind, 0))

    def set(self, kind: str, step: int) -> None:
        """Look at nothing before this step again."""
        self._by_kind[kind] = step

    def rows(self, kind: str, end: int, most: int) -> int:
        """Return how many of the windows lie behind the first step."""
        return min(int(np.searchsorted(WINDOWS, end - self.of(kind), side="right")), most)


def few(count: float, mean: float, spread: float) -> float:
    """Return the probability of at most `count` where `mean` is expected, with a variance of `spread` times the mean.

    >>> round(few(0, 9.0, 1.0), 6), few(40, 60.0, 1.5) > few(40, 60.0, 1.2)
    (0.000123, True)
    """
    if mean > 400:
        return 0.5 * erfc((mean - count) / sqrt(2 * mean * spread))
    if mean <= 0:
        return 1.0
    if spread <= 1.0001:
        return min(1.0, sum(exp(number * log(mean) - mean - lgamma(number + 1)) for number in range(int(count) + 1)))
    size = mean / (spread - 1)
    term = -size * log(spread)
    total, ratio = exp(term), log(1 - 1 / spread)
    for number in range(1, int(count) + 1):
        term += ratio + log((size + number - 1) / number)
        total += exp(term)
    return min(total, 1.0)


def many(count: float, mean: float, spread: float = 1.0) -> float:
    """Return the probability of at least `count` where `mean` is expected; of large counts a bound (Chernoff).

    >>> round(many(2, 1.0), 4), many(1, 2.0)
    (0.2642, 1.0)
    """
    if count <= mean:
        return 1.0
    if mean <= 0:
        return 0.0
    if count <= 100 and spread == 1.0:
        term = exp(count * log(mean) - mean - lgamma(count + 1))
        total = term
        for number in range(int(count) + 1, int(count) + 60):
            term *= mean / number
            total += term
        return total
    return exp(-(mean - count + count * log(count / mean)) / spread)
