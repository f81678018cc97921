"""The piecewise-linear basis: knots at quantiles of each input, hinges max(min(x, top) - knot, 0).

What is written into a file is rounded, so that the last bits of another processor do not change its hash.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DIGITS = 7


def significant(value: float, digits: int = DIGITS) -> float:
    """The value to so many significant decimal digits.

    >>> significant(0.123456789), significant(123456789.0)
    (0.1234568, 123456800.0)
    """
    return float(f"{value:.{digits - 1}e}")


def at_most(value: float, digits: int = DIGITS) -> float:
    """Rounded, but never above the value: the low end of a range that must hold it.

    >>> at_most(0.19998169), at_most(0.1)
    (0.1999816, 0.1)
    """
    rounded = significant(value, digits)
    return rounded if rounded <= value else significant(rounded - 10.0 ** (_magnitude(value) - digits + 1), digits)


def at_least(value: float, digits: int = DIGITS) -> float:
    """Rounded, but never below the value: the high end."""
    return -at_most(-value, digits)


def _magnitude(value: float) -> int:
    return int(f"{abs(value):e}".rpartition("e")[2])


Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Hinges:
    """Knots per input (the first is its lowest value) and the highest value, above which a line is flat."""

    knots: tuple[tuple[float, ...], ...]
    tops: tuple[float, ...]

    @property
    def owner(self) -> NDArray[np.int64]:
        """Which input each column of the basis belongs to."""
        return np.repeat(np.arange(len(self.knots)), [len(knots) for knots in self.knots])

    def expand(self, X: Array) -> Array:
        """The basis [n, K]; NaN where the input is missing."""
        spread = np.minimum(X, self.tops)[:, self.owner]
        knots = np.concatenate([np.array(knots) for knots in self.knots])
        return np.where(np.isnan(spread), np.nan, np.maximum(spread - knots, 0.0))


def place_knots(X: Array, count: int, declared: Sequence[Sequence[float] | None] | None = None) -> Hinges:
    """Lowest value and `count` inner quantiles of each input, or the knots declared for it.

    An input of two values gets the lowest only.
    """
    columns = [x[~np.isnan(x)] for x in X.T]
    wanted = declared or [None] * len(columns)
    return Hinges(
        knots=tuple(_knots(column, count, own) for column, own in zip(columns, wanted, strict=True)),
        tops=tuple(at_least(float(column.max())) for column in columns),
    )


def _knots(column: Array, count: int, declared: Sequence[float] | None) -> tuple[float, ...]:
    low, high = float(column.min()), float(column.max())
    inner: Sequence[float] = declared if declared is not None else _quantiles(column, count)
    rounded = {at_most(low), *(significant(x) for x in inner if low < x < high)}
    return tuple(sorted(rounded))


def _quantiles(column: Array, count: int) -> Sequence[float]:
    if len(np.unique(column)) <= 2:
        return ()
    levels = np.linspace(0.0, 1.0, count + 2)[1:-1]
    found: list[float] = np.quantile(column, levels).tolist()
    return found
