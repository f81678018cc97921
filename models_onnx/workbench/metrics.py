"""Discrimination and calibration of probabilities, for many bootstrap samples at once.

Calibration is the intercept and slope of a logistic recalibration, and the observed rate with its Jeffreys interval.

Every function takes `weights` [B, n] (how often each person is in each sample; ones for the people themselves) and
gives one figure per sample. The tests compare the figures with those of scikit-learn.

Figures with 95 % intervals, by resampling people with a fixed seed.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv
from sklearn.linear_model import LogisticRegression

from models_onnx.monitoring.intervals import Interval

Array = NDArray[np.float64]
_SETTLED = 1e-6
"""A last step of Newton's method that is smaller has found the slope."""
_VARIES = 1e-10
"""Estimates whose variance is a smaller part of their mean square are all the same."""


def recalibration(margin: Array, y: NDArray[np.int64], weight: Array) -> tuple[float, float]:
    """Return intercept and slope of logit(P(y)) = intercept + slope * margin, by Newton's method to the end."""
    fitted = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-12, max_iter=200)
    fitted.fit(margin[:, None], y, sample_weight=weight)
    return float(fitted.intercept_[0]), float(fitted.coef_[0, 0])


def logit(probability: Array) -> Array:
    """Return the log odds of probabilities, those of 0 and 1 as large as a float64 allows."""
    p = np.clip(probability, 1e-15, 1 - 1e-15)
    return np.asarray(np.log(p) - np.log1p(-p))


def sigmoid(margin: Array) -> Array:
    """Return the probability of a margin, without overflow at either end."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * margin)))


def jeffreys(events: float, count: float) -> tuple[float, float]:
    """Return the 95 % interval between the tails of Beta(events + 1/2, count - events + 1/2); 0 and 1 at the ends.

    >>> low, high = jeffreys(23, 100)
    >>> round(low, 4), round(high, 4)
    (0.156, 0.3194)
    """
    a, b = events + 0.5, count - events + 0.5
    low = 0.0 if events == 0 else float(betaincinv(a, b, 0.025))
    high = 1.0 if events == count else float(betaincinv(a, b, 0.975))
    return low, high


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
    events, non_events = ranked.groups(weights)
    below = np.cumsum(non_events, axis=1) - non_events
    concordant = (events * (below + 0.5 * non_events)).sum(axis=1)
    return _share(concordant, events.sum(axis=1) * non_events.sum(axis=1))


def auprc(ranked: Ranked, weights: Array) -> Array:
    """Average precision: the step-wise sum, as scikit-learn's average_precision_score."""
    events, non_events = (group[:, ::-1] for group in ranked.groups(weights))
    true, false = np.cumsum(events, axis=1), np.cumsum(non_events, axis=1)
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
    """Slope of the logistic recalibration; below 1 the model is too extreme, above 1 too timid, below 0 it is reversed.

    NaN where there is none, as for a constant score.
    """
    with np.errstate(all="ignore"):
        slope, is_found = _recalibrated(ranked, weights, np.zeros(len(weights)), np.ones(len(weights)))
        if not is_found.all():  # from far away Newton's method runs off: once more, from the rate of events alone
            rate = (weights @ ranked.y) / weights.sum(axis=1)
            restarted, is_found_now = _recalibrated(ranked, weights, np.log(rate / (1 - rate)), np.zeros(len(weights)))
            slope = np.where(is_found, slope, np.where(is_found_now, restarted, np.nan))
    return slope


def _recalibrated(ranked: Ranked, weights: Array, intercept: Array, slope: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Return the slopes by Newton's method from these starts, and for which of them it settled."""
    m = ranked.margin
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
    varies = determinant > _VARIES * h00 * h11
    return slope, np.isfinite(slope) & (np.abs(step) < _SETTLED) & varies


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
    non_events = 1.0 - ranked.y
    return _share(weights @ ((ranked.margin >= threshold) * non_events), weights @ non_events)


def standardised_alerts(threshold: float, kind: int, band: NDArray[np.int64], share: NDArray[Any]) -> "Metric":
    """Give alert rates of those with (`kind` 1, sensitivity) or without the event (0), as with other shares of bands.

    The rate in each band, averaged with `share` (direct standardization); `band` has one number per row, in the order
    of the rows. Bands in which a sample has nobody of the kind are left out.
    """

    def figure(ranked: Ranked, weights: Array) -> Array:
        is_member = (band[ranked.order][:, None] == np.arange(len(share))) & (ranked.y == kind)[:, None]
        everybody = weights @ is_member.astype(np.float64)
        alerted = weights @ (is_member & (ranked.margin >= threshold)[:, None]).astype(np.float64)
        there = np.where(everybody > 0, share, 0.0)
        rate = np.divide(alerted, everybody, out=np.zeros_like(alerted), where=everybody > 0)
        return _share((rate * there).sum(axis=1), there.sum(axis=1))

    return figure


def net_benefit(margin: Array, y: NDArray[np.int64], weight: Array, threshold: float, odds: float) -> float:
    """Return true alerts less false ones at `odds` each, per person (Vickers and Elkin, Med Decis Making 2006;26:565).

    Alerts are margins from `threshold` on; `odds` is how much a false alert weighs against a true one.
    """
    alerted = margin >= threshold
    true, false = weight[alerted & (y == 1)].sum(), weight[alerted & (y == 0)].sum()
    return float((true - odds * false) / weight.sum())


def _share(part: Array, total: Array) -> Array:
    return np.divide(part, total, out=np.full_like(part, np.nan), where=total > 0)


Metric = Callable[[Ranked, Array], Array]
_AT_ONCE = 40


@dataclass(frozen=True, slots=True)
class PatientRows:
    """Whose rows they are and how many people each stands for; without it every row is a patient of its own."""

    patient: NDArray[np.int64]
    weight: Array

    @classmethod
    def alone(cls, count: int) -> "PatientRows":
        """Return rows each of which is a patient of its own and stands for itself alone."""
        return cls(np.arange(count), np.ones(count))

    def of(self, rows: NDArray[np.bool_]) -> "PatientRows":
        return PatientRows(self.patient[rows], self.weight[rows])

    def samples(self, replicates: int, seed: int) -> Iterator[Array]:
        """Weights [up to 40, n] of bootstrap samples of patients, all rows of one together, until there are enough."""
        position = np.unique(self.patient, return_inverse=True)[1]
        count = int(position.max()) + 1 if len(position) else 0
        generator = np.random.default_rng(seed)
        for start in range(0, replicates, _AT_ONCE):
            drawn = [
                np.bincount(generator.integers(0, count, count), minlength=count)[position] * self.weight
                for _ in range(min(_AT_ONCE, replicates - start))
            ]
            yield np.array(drawn, dtype=np.float64)


def estimate(
    metrics: Mapping[str, Metric],
    margin: Array,
    y: NDArray[np.int64],
    replicates: int,
    seed: int,
    rows: PatientRows | None = None,
) -> dict[str, Interval]:
    """Return each metric on the people themselves, with its interval over `replicates` samples of patients.

    The ends are equal where nothing was resampled, and NaN where the metric is undefined.
    """
    rows = rows or PatientRows.alone(len(y))
    ranked = Ranked.of(margin, y)
    ones = rows.weight[None, ranked.order]
    points = {name: float(metric(ranked, ones)[0]) for name, metric in metrics.items()}
    figures: dict[str, list[Array]] = {name: [] for name in metrics}
    for drawn in rows.samples(replicates, seed):
        weights = drawn[:, ranked.order]
        for name, metric in metrics.items():
            figures[name].append(metric(ranked, weights))
    return {name: _interval(points[name], figures[name]) for name in metrics}


def gain(
    metric: Metric,
    margin: Array,
    compared: Array,
    y: NDArray[np.int64],
    replicates: int,
    seed: int,
    rows: PatientRows | None = None,
) -> Interval:
    """metric(margin) - metric(other), both on the same samples of patients."""
    rows = rows or PatientRows.alone(len(y))
    mine, theirs = Ranked.of(margin, y), Ranked.of(compared, y)
    figures = [
        metric(mine, drawn[:, mine.order]) - metric(theirs, drawn[:, theirs.order])
        for drawn in rows.samples(replicates, seed)
    ]
    ones = rows.weight[None, :]
    point = metric(mine, ones[:, mine.order])[0] - metric(theirs, ones[:, theirs.order])[0]
    return _interval(float(point), figures)


def _interval(point: float, figures: list[Array]) -> Interval:
    if not figures:
        return Interval(point, point, point)
    samples = np.concatenate(figures)
    samples = samples[~np.isnan(samples)]
    if not len(samples):
        return Interval(point, float("nan"), float("nan"))
    low, high = np.percentile(samples, [2.5, 97.5])
    return Interval(point, float(low), float(high))
