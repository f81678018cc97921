"""95 % bounds of a risk: from refits on resampled patients, held to what happened to people never seen.

The refits say how far an estimate moves with the people that it was learned from (Riley and Collins, Biometrical
Journal 2023;65:2200302); a model that was fitted elsewhere is corrected in each sample by its estimate and inputs
instead, which says how well the table can tell the risk. Groups of people, each predicted by a model that never saw
them, widen the bounds until 95 in 100 of the groups lie within bounds and chance (split conformal; one fold's factor
comes from the others, so that the coverage on record is of people never seen). A wrong form of the model is seen as far
as such groups show it: an interaction that it lacks may move single people further.
"""

from math import ceil

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from models_onnx.artifact.manifest import NORMAL_95, RiskInterval
from models_onnx.spec import Fitted
from models_onnx.workbench.compiler.reference import Familiarity
from models_onnx.workbench.metrics import logistic_recalibration, sigmoid
from models_onnx.workbench.training.crossvalidate import Folds, OutOfFold, Progress, log_odds
from models_onnx.workbench.training.data.cohort import Cohort
from models_onnx.workbench.training.fitting.additive import Array, significant

REFITS = 25
_LEAST_IN_FOLD = 3
_LEAST_EVENTS = 12  # expected in a group, with and without the event: with fewer chance is all that is seen
_MOST_GROUPS = 40
_RIDGE = 1.0
_COVERED = 0.95

Group = tuple[int, NDArray[np.int64]]
"""A fold, and the rows of some of its people."""


def risk_interval(folds: Folds, predicted: OutOfFold, seed: int, progress: Progress) -> RiskInterval | None:
    """Return the bounds; None where the table has too few events to hold them to what happened."""
    cohort = folds.cohort
    distance = Familiarity.of(cohort.X[cohort.recent]).distance(cohort.X)
    groups = _groups(folds, predicted, distance)
    if {fold for fold, _ in groups} != set(folds.numbers):
        return None
    variance, refits = _variance(folds, predicted, seed, progress)
    middle = float(predicted.logit.mean())
    terms = np.column_stack([np.ones(len(distance)), (predicted.logit - middle) ** 2, distance**2])
    rows = np.isfinite(variance)
    coefficients = nnls(terms[rows], variance[rows])[0]
    for _ in range(3):  # a variance is as uncertain as it is large: each row counts by its own
        weight = 1.0 / np.maximum(terms[rows] @ coefficients, 1e-9)
        coefficients = nnls(terms[rows] * weight[:, None], variance[rows] * weight)[0]
    needed = _widening(predicted, cohort, np.sqrt(terms @ coefficients), groups)
    fold = np.array([number for number, _ in groups])
    within = sum(int((needed[fold == n] <= _factor(needed[fold != n])).sum()) for n in folds.numbers)
    constant, by_estimate, by_distance = (significant(float(value)) for value in coefficients)
    return RiskInterval(
        constant=constant,
        by_estimate=by_estimate,
        middle=significant(middle),
        by_distance=by_distance,
        factor=significant(_factor(needed), 4),
        refits=refits,
        groups=len(groups),
        within=within,
    )


def _factor(needed: Array) -> float:
    return max(1.0, float(np.quantile(needed, _COVERED, method="higher")))


def _variance(folds: Folds, predicted: OutOfFold, seed: int, progress: Progress) -> tuple[Array, int]:
    """Return the variance of each person's log odds over the refits that did not see the person, and their number."""
    cohort, generator = folds.cohort, np.random.default_rng(seed)
    elsewhere = isinstance(folds.spec.estimator, Fitted)
    in_fold = max(_LEAST_IN_FOLD, ceil(REFITS / len(folds.numbers)))
    variance = np.full(len(cohort), np.nan)
    for done, number in enumerate(folds.numbers):
        progress("bounds of the risk", done, len(folds.numbers))
        apart, others = cohort.fold == number, np.flatnonzero(cohort.fold != number)
        drawn = [_resampled(cohort.patient[others], generator) for _ in range(in_fold)]
        moved = _corrected if elsewhere else _refitted
        variance[apart] = np.var([moved(folds, predicted, others[rows], apart) for rows in drawn], axis=0, ddof=1)
    progress("bounds of the risk", len(folds.numbers), len(folds.numbers))
    return variance, in_fold * len(folds.numbers)


def _resampled(patient: NDArray[np.int64], generator: np.random.Generator) -> NDArray[np.int64]:
    """Return the positions of a bootstrap sample of patients, all rows of one together."""
    position = np.unique(patient, return_inverse=True)[1]
    count = int(position.max()) + 1
    times = np.bincount(generator.integers(0, count, count), minlength=count)[position]
    return np.repeat(np.arange(len(patient)), times)


def _refitted(folds: Folds, predicted: OutOfFold, rows: NDArray[np.int64], apart: NDArray[np.bool_]) -> Array:
    """Return the log odds of the people apart by a model fitted, and recalibrated, on these rows."""
    model = folds.fit_on(rows)
    odds = log_odds(model.link, model.margin(folds.X[apart]))
    if folds.spec.recalibration is None:
        return odds
    cohort = folds.cohort
    latest = rows[cohort.recent[rows] & (cohort.weight[rows] > 0)]
    intercept, slope = logistic_recalibration(predicted.logit[latest], cohort.y[latest], cohort.weight[latest])
    return np.asarray(intercept + slope * odds)


def _corrected(folds: Folds, predicted: OutOfFold, rows: NDArray[np.int64], apart: NDArray[np.bool_]) -> Array:
    """Return the log odds of the people apart, corrected by a logistic regression of these rows (Newton's method)."""
    cohort = folds.cohort
    middle, spread = np.nanmedian(folds.X, axis=0), np.nanstd(folds.X, axis=0)
    inputs = np.nan_to_num((folds.X - middle) / np.where(spread > 0, spread, 1.0))
    design = np.column_stack([np.ones(len(cohort)), predicted.logit, np.clip(inputs, -4.0, 4.0)])
    Z, y, weight = design[rows], cohort.y[rows], cohort.weight[rows]
    kept = np.eye(design.shape[1])[1]  # the estimate as it is
    penalty = np.diag([0.0, *[_RIDGE] * (design.shape[1] - 1)])
    beta = kept.copy()
    for _ in range(8):
        p = sigmoid(Z @ beta)
        curvature = Z.T @ (Z * (weight * p * (1 - p))[:, None]) + penalty
        beta = beta + np.linalg.solve(curvature, Z.T @ (weight * (y - p)) - penalty @ (beta - kept))
    return np.asarray(design[apart] @ beta)


def _groups(folds: Folds, predicted: OutOfFold, distance: Array) -> list[Group]:
    """Return people of one fold with estimates alike, those near the others apart from those far from them."""
    cohort, groups, risk = folds.cohort, list[Group](), sigmoid(predicted.logit)
    for number in folds.numbers:
        rows = np.flatnonzero((cohort.fold == number) & (cohort.weight > 0))
        fewest = min(float(risk[rows].sum()), float((1 - risk[rows]).sum()))
        count = min(_MOST_GROUPS, int(fewest / (2 * _LEAST_EVENTS)))
        order = rows[np.argsort(risk[rows], kind="stable")]
        share = np.cumsum(risk[order] * (1 - risk[order]))
        for part in np.split(order, np.searchsorted(share, share[-1] * np.arange(1, count) / count)) if count else ():
            far = distance[part] > np.median(distance[part])
            groups += [(number, half) for half in (part[~far], part[far]) if len(half)]
    return groups


def _widening(predicted: OutOfFold, cohort: Cohort, spread: Array, groups: list[Group]) -> Array:
    """Return for each group the factor of its bounds with which its observed share lies within them and chance."""
    needed = []
    for _, rows in groups:
        weight, p = cohort.weight[rows] / cohort.weight[rows].sum(), sigmoid(predicted.logit[rows])
        beyond = (float(weight @ (cohort.y[rows] - p)) / NORMAL_95) ** 2 - float(weight**2 @ (p * (1 - p)))
        allowed = float(weight @ (p * (1 - p) * spread[rows]))
        needed.append(np.sqrt(max(0.0, beyond)) / max(allowed, 1e-12))
    return np.array(needed)
