"""Fits the additive linear models: hinges, scaled on the reference cohort, into a logistic regression.

The piecewise-linear basis: knots at quantiles of each input, hinges max(min(x, top) - knot, 0).

What is written into a file is rounded, so that the last bits of another processor do not change its hash.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Context
from typing import Self

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn, has no types

from models_onnx.spec import AdditiveLogistic, InputSpec
from models_onnx.workbench.compiler.families.additive_curves import AdditiveCurves, Curve
from models_onnx.workbench.compiler.link import LOGIT, Link
from models_onnx.workbench.training.data.follow_up import FittingRows
from models_onnx.workbench.training.fitting.fit import Fit

DIGITS = 7


def significant(value: float, digits: int = DIGITS) -> float:
    """Return the value to so many significant decimal digits.

    >>> significant(0.123456789), significant(123456789.0)
    (0.1234568, 123456800.0)
    """
    return float(f"{value:.{digits - 1}e}")


def at_most(value: float, rounding: str = ROUND_FLOOR) -> float:
    """Return rounded, but never above the value: the low end of a range that must hold it.

    >>> at_most(0.19998169), at_most(0.1)
    (0.1999816, 0.1)
    """
    return float(Context(DIGITS, rounding).create_decimal(repr(value)))


def at_least(value: float) -> float:
    """Return rounded, but never below the value: the high end."""
    return at_most(value, ROUND_CEILING)


Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Hinges:
    """Knots per input (the first is its lowest value) and the highest value, above which a line is flat."""

    knots: tuple[tuple[float, ...], ...]
    tops: tuple[float, ...]

    @property
    def owner(self) -> NDArray[np.int64]:
        return np.repeat(np.arange(len(self.knots)), [len(knots) for knots in self.knots])

    def expand(self, X: Array) -> Array:
        """Return the basis [n, K]; NaN where the input is missing."""
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
        knots=tuple(
            _knots(column, count, declared_knots) for column, declared_knots in zip(columns, wanted, strict=True)
        ),
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
    knots: list[float] = np.quantile(column, levels).tolist()
    return knots


# Newton's method to the end: where lbfgs stops depends on the machine, and the file's hash with it.
SOLVER = {"solver": "newton-cholesky", "tol": 1e-10, "max_iter": 200}


@dataclass(frozen=True, slots=True)
class Basis:
    """The hinges of some inputs in units of the reference cohort; a missing input is the mean, so it adds nothing."""

    inputs: tuple[InputSpec, ...]
    hinges: Hinges
    scaler: StandardScaler

    @classmethod
    def of(cls, knots: int, people: FittingRows) -> Self:
        """Return the basis of these people's inputs, scaled on their reference rows."""
        hinges = place_knots(people.X, knots, people.knots)
        return cls(people.inputs, hinges, StandardScaler().fit(hinges.expand(people.X)[people.reference]))

    def scaled(self, X: Array) -> Array:
        """Return the regression's inputs, 0 where missing."""
        return np.nan_to_num(np.asarray(self.scaler.transform(self.hinges.expand(X)), dtype=np.float64), nan=0.0)

    def lines(self, coefficients: Array, intercept: float, link: Link = LOGIT) -> AdditiveCurves:
        """Return the model as broken lines in each input's own unit, rounded to what is written into the file.

        The trained range ends at the highest value seen, of a clipped input nowhere.
        """
        weights, owner, curves = coefficients / self.scaler.scale_, self.hinges.owner, []
        for j, (knots, top) in enumerate(zip(self.hinges.knots, self.hinges.tops, strict=True)):
            slopes = tuple(significant(float(w)) for w in weights[owner == j])
            centre = significant(float(np.dot(slopes, self.scaler.mean_[owner == j])), 9)
            curves.append(Curve.broken_line(knots, slopes, top, centre))
        ends = zip(self.inputs, self.hinges.tops, strict=True)
        high = tuple(top if item.clip_high is None else float("inf") for item, top in ends)
        low = tuple(knots[0] for knots in self.hinges.knots)
        features = tuple(item.name for item in self.inputs)
        return AdditiveCurves(features, tuple(curves), significant(intercept, 8), low, high, link)

    def fit(self, coefficients: Array, intercept: float, link: Link = LOGIT) -> Fit:
        """Return the regression with these coefficients of the basis."""

        def library(X: Array) -> tuple[Array, Array]:
            terms, owner = self.scaled(X) * coefficients, self.hinges.owner
            contributions = np.column_stack([terms[:, owner == j].sum(axis=1) for j in range(X.shape[1])])
            return intercept + terms.sum(axis=1), contributions

        return Fit(self.lines(coefficients, intercept, link), library)


def fit_logistic(estimator: AdditiveLogistic, people: FittingRows) -> Fit:
    """Fits the model on everybody whose outcome counts; centred and scaled on the reference rows."""
    basis, is_followed = Basis.of(estimator.knots, people), people.weight > 0
    Z = basis.scaled(people.X)
    # One thread: how a sum is split among threads changes its last bits, and a busy machine waits for its slowest.
    with threadpool_limits(limits=1):
        regression = LogisticRegression(C=estimator.C, **SOLVER)
        regression.fit(Z[is_followed], people.observed.y[is_followed], sample_weight=people.weight[is_followed])
    return basis.fit(regression.coef_[0], float(regression.intercept_[0]))
