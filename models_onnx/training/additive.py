"""Fits the additive logistic model: hinges, scaled on the reference cohort, into an L2-penalised LogisticRegression."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn, has no types

from models_onnx.compiler.piecewise import Line, PiecewiseLinear
from models_onnx.spec import AdditiveLogistic
from models_onnx.training.hinges import Array, Hinges, place_knots
from models_onnx.training.rounding import significant

# Newton's method to the end: where lbfgs stops depends on the machine, and the file's hash with it.
SOLVER = {"solver": "newton-cholesky", "tol": 1e-10, "max_iter": 200}


@dataclass(frozen=True, slots=True)
class Fitted:
    """Basis, scaler and regression as scikit-learn has them; a missing input is the reference mean, so adds nothing."""

    hinges: Hinges
    scaler: StandardScaler
    regression: LogisticRegression

    def scaled(self, X: Array) -> Array:
        """The regression's inputs: hinges in units of the reference cohort, 0 where missing."""
        return np.nan_to_num(np.asarray(self.scaler.transform(self.hinges.spread(X)), dtype=np.float64), nan=0.0)

    def margin(self, X: Array) -> Array:
        """scikit-learn's decision function."""
        return np.asarray(self.regression.decision_function(self.scaled(X)), dtype=np.float64)

    def oracle(self, X: Array) -> tuple[Array, Array]:
        """scikit-learn's probability [n] and, from its coefficients, the contribution of each input [n, F]."""
        Z = self.scaled(X)
        terms = Z * self.regression.coef_[0]
        contributions = np.column_stack([terms[:, self.hinges.owner == j].sum(axis=1) for j in range(X.shape[1])])
        return np.asarray(self.regression.predict_proba(Z)[:, 1]), contributions


def fit(estimator: AdditiveLogistic, X: Array, y: NDArray[np.int64], reference: NDArray[np.bool_]) -> Fitted:
    """The model fitted on all rows; centred and scaled on the `reference` rows."""
    hinges = place_knots(X, estimator.knots)
    basis = hinges.spread(X)
    scaler = StandardScaler().fit(basis[reference])
    Z = np.nan_to_num(scaler.transform(basis), nan=0.0)
    # One thread: how a sum is split among threads changes its last bits, and a busy machine waits for its slowest.
    with threadpool_limits(limits=1):
        return Fitted(hinges, scaler, LogisticRegression(C=estimator.C, **SOLVER).fit(Z, y))


def recalibrated(fitted: Fitted, intercept: float, slope: float) -> Fitted:
    """The same model with margin = intercept + slope * margin, folded into scikit-learn's own coefficients."""
    regression = LogisticRegression(**SOLVER)
    regression.classes_ = fitted.regression.classes_
    regression.n_features_in_ = fitted.regression.n_features_in_
    regression.coef_ = fitted.regression.coef_ * slope
    regression.intercept_ = fitted.regression.intercept_ * slope + intercept
    return Fitted(fitted.hinges, fitted.scaler, regression)


def to_lines(fitted: Fitted, features: tuple[str, ...], highs: tuple[float | None, ...]) -> PiecewiseLinear:
    """The model as broken lines in each input's own unit, rounded to what is written into the file.

    `highs` is where the trained range ends if not at the highest value seen (infinite for a clipped input).
    """
    weights = fitted.regression.coef_[0] / fitted.scaler.scale_
    lines = []
    for j, feature in enumerate(features):
        own = fitted.hinges.owner == j
        slopes = tuple(significant(float(w)) for w in weights[own])
        centre = significant(float(np.dot(slopes, fitted.scaler.mean_[own])), 9)
        top, high = fitted.hinges.tops[j], highs[j]
        lines.append(Line(feature, fitted.hinges.knots[j], slopes, centre, top, top if high is None else high))
    return PiecewiseLinear(tuple(lines), significant(float(fitted.regression.intercept_[0]), 8))
