"""Functions of one input made of polynomials: what scalers, splines, one-hot codes and weights come to, all together.

>>> step = Curve.steps([0.0, 1.0], [5.0, 6.0, 7.0])
>>> (Curve.identity().scaled(2.0, 1.0) + step).values(np.array([-1.0, 0.0, 3.0])).tolist()
[4.0, 7.0, 14.0]
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import comb
from typing import Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Piece k holds from breaks[k-1] (with it) to breaks[k] (without): sum of coefficients[k, d] (x - origins[k])^d.

    `missing` is the value where the input is missing, NaN where the model has none.
    """

    breaks: Array
    origins: Array
    coefficients: Array
    missing: float = float("nan")

    @classmethod
    def identity(cls) -> Self:
        """x itself."""
        return cls(np.zeros(0), np.zeros(1), np.array([[0.0, 1.0]]))

    @classmethod
    def steps(cls, breaks: Sequence[float], values: Sequence[float], missing: float = float("nan")) -> Self:
        """Constant pieces."""
        return cls(np.array(breaks, float), np.zeros(len(values)), np.array(values, dtype=float)[:, None], missing)

    @property
    def straight(self) -> bool:
        """Whether it is one straight line."""
        return len(self.breaks) == 0 and self.coefficients.shape[1] <= 2

    @property
    def rising(self) -> bool:
        """Whether it is the input itself, perhaps scaled: one straight line upwards."""
        return self.straight and self.line[0] > 0

    @property
    def line(self) -> tuple[float, float]:
        """Slope and intercept of a straight curve."""
        row = [*self.coefficients[0].tolist(), 0.0]
        return row[1], row[0] - row[1] * float(self.origins[0])

    def values(self, x: Array) -> Array:
        """The curve at each x."""
        inside = np.clip(x, -LARGEST, LARGEST)
        piece = np.searchsorted(self.breaks, inside, side="right")
        away = np.where(np.isnan(x), 0.0, inside - self.origins[piece])
        found = np.zeros(len(x))
        for power in range(self.coefficients.shape[1] - 1, -1, -1):
            found = found * away + self.coefficients[piece, power]
        return np.where(np.isnan(x), self.missing, found)

    def scaled(self, slope: float, intercept: float) -> Self:
        """slope * curve + intercept."""
        coefficients = slope * self.coefficients
        coefficients[:, 0] += intercept
        return replace(self, coefficients=coefficients, missing=slope * self.missing + intercept)

    def at_missing(self, value: float) -> Self:
        """The same with this value where the input is missing."""
        return replace(self, missing=value)

    def behind(self, steps: "Curve") -> "Curve":
        """This curve of the values of a step function: steps again."""
        values = self.values(steps.coefficients[:, 0])[:, None]
        return Curve(steps.breaks, steps.origins, values, float(self.values(np.array([steps.missing]))[0]))

    def __add__(self, other: "Curve") -> "Curve":
        breaks = np.union1d(self.breaks, other.breaks)
        degree = max(self.coefficients.shape[1], other.coefficients.shape[1])
        # The left end of each piece is its origin: near it the powers are small, and nothing cancels.
        inside = [*(breaks[:1] if len(breaks) else [0.0]), *breaks]
        origins = np.array(inside if len(breaks) else [0.0])
        total = np.zeros((len(origins), degree))
        for curve in (self, other):
            starts = np.concatenate([[-np.inf], breaks])
            piece = np.searchsorted(curve.breaks, starts, side="right")
            for row, k in enumerate(piece):
                moved = _moved(curve.coefficients[k], float(origins[row] - curve.origins[k]))
                total[row, : len(moved)] += moved
        return replace(self, breaks=breaks, origins=origins, coefficients=total, missing=self.missing + other.missing)


def _moved(coefficients: Array, by: float) -> Array:
    """The same polynomial in powers of (x - origin - by)."""
    if by == 0.0:
        return coefficients
    degree = len(coefficients)
    moved = np.zeros(degree)
    for power in range(degree):
        for lower in range(power + 1):
            moved[lower] += coefficients[power] * comb(power, lower) * by ** (power - lower)
    return moved
