"""Discrimination and calibration of probabilities, for many bootstrap samples at once.

Every function takes `weights` [B, n] (how often each person is in each sample; ones for the people themselves) and
gives one figure per sample. Oracles in the tests: scikit-learn.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models_onnx.evaluation.calibration import sigmoid

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Ranked:
    """People in rising order of margin, with ties marked, so that no sample has to be sorted again."""

    order: NDArray[np.int64]
    starts: NDArray[np.int64]
    y: Array
    margin: Array

    @classmethod
    def of(cls, margin: Array, y: NDArray[np.int64]) -> "Ranked":
        """Sorts once; equal margins form one group."""
        order = np.argsort(margin, kind="stable")
        ranked = margin[order]
        starts = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]]))
        return cls(order, starts, y[order].astype(np.float64), ranked)

    def groups(self, weights: Array) -> tuple[Array, Array]:
        """Events and non-events [B, groups] of each sample; `weights` already in this order."""
        return (
            np.add.reduceat(weights * self.y, self.starts, axis=1),
            np.add.reduceat(weights * (1.0 - self.y), self.starts, axis=1),
        )


def auroc(ranked: Ranked, weights: Array) -> Array:
    """Probability that a person with the event is ranked above one without; ties count half; NaN with one kind only."""
    events, others = ranked.groups(weights)
    below = np.cumsum(others, axis=1) - others
    concordant = (events * (below + 0.5 * others)).sum(axis=1)
    return _share(concordant, events.sum(axis=1) * others.sum(axis=1))


def auprc(ranked: Ranked, weights: Array) -> Array:
    """Average precision: the step-wise sum, as scikit-learn's average_precision_score."""
    events, others = (group[:, ::-1] for group in ranked.groups(weights))
    true, false = np.cumsum(events, axis=1), np.cumsum(others, axis=1)
    precision = np.divide(true, true + false, out=np.zeros_like(true), where=(true + false) > 0)
    return _share((precision * events).sum(axis=1), events.sum(axis=1))


def brier(ranked: Ranked, weights: Array) -> Array:
    """Mean squared difference of probability and outcome."""
    return np.asarray(weights @ (sigmoid(ranked.margin) - ranked.y) ** 2 / weights.sum(axis=1))


def observed_expected(ranked: Ranked, weights: Array) -> Array:
    """Events observed over events predicted."""
    return np.asarray((weights @ ranked.y) / (weights @ sigmoid(ranked.margin)))


def calibration_intercept(ranked: Ranked, weights: Array) -> Array:
    """Calibration in the large: what has to be added to every margin, slope held at 1."""
    intercept = np.zeros(len(weights))
    for _ in range(20):
        p = sigmoid(intercept[:, None] + ranked.margin)
        step = (weights * (ranked.y - p)).sum(axis=1) / (weights * p * (1.0 - p)).sum(axis=1)
        intercept = intercept + step
        if np.abs(step).max() < 1e-9:
            break
    return intercept


def calibration_slope(ranked: Ranked, weights: Array) -> Array:
    """Slope of the logistic recalibration; below 1 the model is too extreme, above 1 too timid."""
    intercept, slope, m = np.zeros(len(weights)), np.ones(len(weights)), ranked.margin
    for _ in range(20):
        p = sigmoid(intercept[:, None] + slope[:, None] * m)
        residual, spread = weights * (ranked.y - p), weights * p * (1.0 - p)
        g0, g1 = residual.sum(axis=1), residual @ m
        h00, h01, h11 = spread.sum(axis=1), spread @ m, spread @ (m * m)
        determinant = h00 * h11 - h01 * h01
        step = (h00 * g1 - h01 * g0) / determinant
        intercept, slope = intercept + (h11 * g0 - h01 * g1) / determinant, slope + step
        if np.abs(step).max() < 1e-9:
            break
    return slope


def alert_rate(ranked: Ranked, weights: Array, threshold: float) -> Array:
    """Share of people whose margin reaches the threshold (a margin too)."""
    return np.asarray(weights @ (ranked.margin >= threshold) / weights.sum(axis=1))


def ppv(ranked: Ranked, weights: Array, threshold: float) -> Array:
    """Share of those alerted who have the event; NaN where nobody is alerted."""
    alerted = ranked.margin >= threshold
    return _share(weights @ (alerted * ranked.y), weights @ alerted)


def sensitivity(ranked: Ranked, weights: Array, threshold: float) -> Array:
    """Share of those with the event who are alerted; NaN where nobody has it."""
    return _share(weights @ ((ranked.margin >= threshold) * ranked.y), weights @ ranked.y)


def false_positive_rate(ranked: Ranked, weights: Array, threshold: float) -> Array:
    """Share of those without the event who are alerted."""
    others = 1.0 - ranked.y
    return _share(weights @ ((ranked.margin >= threshold) * others), weights @ others)


def _share(part: Array, whole: Array) -> Array:
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)
