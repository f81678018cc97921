"""Fits the additive linear models: hinges, scaled on the reference cohort, into a logistic or a Cox regression."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn, has no types

from models_onnx.compiler import LOGIT, Link, PiecewiseLinear, Survival
from models_onnx.compiler.piecewise import Line
from models_onnx.estimator import AdditiveCox, AdditiveLogistic
from models_onnx.training.cox import fit_cox
from models_onnx.training.hinges import Array, Hinges, place_knots
from models_onnx.training.people import People
from models_onnx.training.rounding import significant

# Newton's method to the end: where lbfgs stops depends on the machine, and the file's hash with it.
SOLVER = {"solver": "newton-cholesky", "tol": 1e-10, "max_iter": 200}


@dataclass(frozen=True, slots=True)
class Linear:
    """Basis, scaler and coefficients; a missing input is the reference mean, so it adds nothing.

    `regression` is scikit-learn's own object where the model is logistic; a Cox model has none.
    """

    hinges: Hinges
    scaler: StandardScaler
    coefficients: Array
    intercept: float
    link: Link
    regression: LogisticRegression | None = None

    def scaled(self, X: Array) -> Array:
        """The regression's inputs: hinges in units of the reference cohort, 0 where missing."""
        return np.nan_to_num(np.asarray(self.scaler.transform(self.hinges.spread(X)), dtype=np.float64), nan=0.0)

    def margin(self, X: Array) -> Array:
        """Intercept and linear predictor, on the scale of the link."""
        return np.asarray(self.intercept + self.scaled(X) @ self.coefficients)

    def recalibrated(self, intercept: float, slope: float) -> "Linear":
        """The same model with margin = intercept + slope * margin, folded into scikit-learn's own coefficients."""
        changed = replace(
            self, coefficients=self.coefficients * slope, intercept=self.intercept * slope + intercept, regression=None
        )
        return changed if self.regression is None else replace(changed, regression=_folded(changed, self.regression))

    def oracle(self, X: Array) -> tuple[Array, Array]:
        """The probability [n], scikit-learn's own where it fitted, and the contribution of each input [n, F]."""
        Z = self.scaled(X)
        terms = Z * self.coefficients
        contributions = np.column_stack([terms[:, self.hinges.owner == j].sum(axis=1) for j in range(X.shape[1])])
        if self.regression is not None:
            return np.asarray(self.regression.predict_proba(Z)[:, 1]), contributions
        return self.link.probability(self.margin(X)), contributions

    def form(self, features: tuple[str, ...], highs: Sequence[float | None], _reference: Array) -> PiecewiseLinear:
        """The model as broken lines in each input's own unit, rounded to what is written into the file.

        `highs` is where the trained range ends if not at the highest value seen (infinite for a clipped input).
        """
        weights = self.coefficients / self.scaler.scale_
        lines = []
        for j, feature in enumerate(features):
            own = self.hinges.owner == j
            slopes = tuple(significant(float(w)) for w in weights[own])
            centre = significant(float(np.dot(slopes, self.scaler.mean_[own])), 9)
            top, high = self.hinges.tops[j], highs[j]
            lines.append(Line(feature, self.hinges.knots[j], slopes, centre, top, top if high is None else high))
        return PiecewiseLinear(tuple(lines), significant(self.intercept, 8), self.link)


def fit_logistic(estimator: AdditiveLogistic, people: People) -> Linear:
    """The model fitted on everybody whose outcome counts; centred and scaled on the reference rows."""
    hinges, scaler, Z = _basis(estimator.knots, people)
    known = people.weight > 0
    # One thread: how a sum is split among threads changes its last bits, and a busy machine waits for its slowest.
    with threadpool_limits(limits=1):
        regression = LogisticRegression(C=estimator.C, **SOLVER)
        regression.fit(Z[known], people.observed.y[known], sample_weight=people.weight[known])
    return Linear(hinges, scaler, regression.coef_[0], float(regression.intercept_[0]), LOGIT, regression)


def fit_cox_model(estimator: AdditiveCox, people: People, horizon_years: float) -> Linear:
    """The same basis in a Cox regression over the follow-up to the horizon."""
    hinges, scaler, Z = _basis(estimator.knots, people)
    with threadpool_limits(limits=1):
        found = fit_cox(Z, people.observed.years, people.observed.event, estimator.penalty)
    horizons = {*(h for h in estimator.horizons_years if h < horizon_years), horizon_years}
    # Rounded like everything in the file.
    hazards = {h: significant(found.until(h), 8) for h in sorted(horizons)}
    link = Survival.at(hazards, horizon_years)
    return Linear(hinges, scaler, found.coefficients, link.log_hazard, link)


def _basis(knots: int, people: People) -> tuple[Hinges, StandardScaler, Array]:
    hinges = place_knots(people.X, knots, people.knots)
    basis = hinges.spread(people.X)
    scaler = StandardScaler().fit(basis[people.reference])
    return hinges, scaler, np.nan_to_num(scaler.transform(basis), nan=0.0)


def _folded(model: Linear, fitted: LogisticRegression) -> LogisticRegression:
    regression = LogisticRegression(**SOLVER)
    regression.classes_ = fitted.classes_
    regression.n_features_in_ = fitted.n_features_in_
    regression.coef_ = model.coefficients[None, :]
    regression.intercept_ = np.array([model.intercept])
    return regression
