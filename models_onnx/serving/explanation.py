"""Ranks a prediction's factors for a reader: sign, strength in marks, the first few, and the rest in one sum.

Strength by share of the sum of absolute contributions (responsible-ai 7.4): from 30 % three marks, from 15 % two,
from 5 % one. Shown factors + rest = margin - base, exactly what separates this person from the reference.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FACTORS_SHOWN = 5
_MARKS = ((0.30, 3), (0.15, 2), (0.05, 1))


@dataclass(frozen=True, slots=True)
class RankedFactor:
    """One input's part: contribution on the link scale, `marks` 0-3; raises the estimate if positive."""

    feature: str
    contribution: float
    marks: int

    @property
    def raises(self) -> bool:
        """Whether the estimate is higher with this value than with the reference's."""
        return self.contribution > 0


@dataclass(frozen=True, slots=True)
class Explanation:
    """The strongest factors first, then how many others there are and what they come to together."""

    factors: tuple[RankedFactor, ...]
    others: int
    others_contribution: float
    others_marks: int

    @property
    def raising(self) -> tuple[RankedFactor, ...]:
        """Those that raise the estimate, strongest first."""
        return tuple(factor for factor in self.factors if factor.raises)

    @property
    def lowering(self) -> tuple[RankedFactor, ...]:
        """Those that lower it, strongest first."""
        return tuple(factor for factor in self.factors if not factor.raises)


def explain(features: Sequence[str], contributions: NDArray[np.float64], shown: int = FACTORS_SHOWN) -> Explanation:
    """The explanation of one prediction; inputs that contribute exactly nothing (missing ones) are left out.

    >>> told = explain(("age", "sex", "bmi"), np.array([1.0, -0.25, 0.0]), shown=1)
    >>> told.factors, told.others, told.others_contribution
    ((RankedFactor(feature='age', contribution=1.0, marks=3),), 1, -0.25)
    """
    parts = [(name, value) for name, value in zip(features, contributions.tolist(), strict=True) if value != 0.0]
    parts.sort(key=lambda part: -abs(part[1]))
    total = sum(abs(value) for _, value in parts)
    factors = tuple(RankedFactor(name, value, marks(value, total)) for name, value in parts[:shown])
    rest = sum(value for _, value in parts[shown:])
    return Explanation(factors, len(parts) - len(factors), rest, marks(rest, total))


def marks(contribution: float, total: float) -> int:
    """0 to 3 marks for a share of `total`, the sum of absolute contributions."""
    share = abs(contribution) / total if total else 0.0
    return next((count for least, count in _MARKS if share >= least), 0)
