"""Calibration and discrimination with intervals, from counts of estimates with and without the event.

Sources: Debray et al. 2017 (BMJ 356:i6460) for the interval of observed to expected; Cox 1958 for the calibration
slope, fitted by maximum likelihood; DeLong, DeLong and Clarke-Pearson 1988 for the variance of the area under the ROC
curve. The tests compare each with scikit-learn or statsmodels.
"""

from math import exp, inf, isfinite, log, sqrt
from statistics import NormalDist

import numpy as np
from msgspec import Struct

from models_onnx.monitoring.labelled import Labelled, Numbers
from models_onnx.monitoring.rates import Interval

_STEPS = 50
_CLOSE = 1e-9


class Deployed(Struct, frozen=True):
    """The threshold in force: from which estimate (0 to 1) on there is a card, and what a false card weighs.

    `odds` is the weight of a false card against a true one; `released` the net benefit of this threshold in the report
    of the release, None where it has none.
    """

    estimate: float
    odds: float
    released: float | None = None


def observed_to_expected(labelled: Labelled, confidence: float = 0.95) -> Interval | None:
    """Return how many events there were for each that was expected; None without an event or a prediction."""
    events, n = float(labelled.yes.sum()), float((labelled.yes + labelled.no).sum())
    expected = float((labelled.estimates * (labelled.yes + labelled.no)).sum())
    if not events or not expected:
        return None
    ratio = events / expected
    half = NormalDist().inv_cdf((1 + confidence) / 2) * sqrt(max(1 - events / n, 0.0) / events)
    return Interval(ratio, ratio * exp(-half), ratio * exp(half))


def net_benefit(labelled: Labelled, deployed: Deployed, confidence: float = 0.95) -> Interval | None:
    """Return true cards less false ones at their weight, per prediction (Vickers and Elkin 2006); None for none.

    It is judged by the estimates, not by the cards: what was held back for another reason says nothing of the model.
    The interval is that of a mean of values which are 1, -odds or 0.
    """
    n = float((labelled.yes + labelled.no).sum())
    if not n:
        return None
    above = labelled.estimates >= deployed.estimate
    true, false = float(labelled.yes[above].sum()) / n, float(labelled.no[above].sum()) / n
    value = true - deployed.odds * false
    spread = max(true + deployed.odds**2 * false - value**2, 0.0) / n
    half = NormalDist().inv_cdf((1 + confidence) / 2) * sqrt(spread)
    return Interval(value, value - half, value + half)


def calibration_slope(labelled: Labelled, confidence: float = 0.95) -> Interval | None:
    """Return the slope of a logistic regression of the event on the log-odds; None where it has no maximum.

    1 is right; below 1 the estimates are too extreme, above 1 not extreme enough.
    """
    x, yes, n = labelled.log_odds, labelled.yes, labelled.yes + labelled.no
    if len(x) < 2 or not yes.sum() or not labelled.no.sum():
        return None
    beta = np.zeros(2)
    design = np.column_stack([np.ones_like(x), x])
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-np.clip(design @ beta, -500, 500)))
        information = design.T @ (design * (n * p * (1 - p))[:, None])
        try:
            step = np.linalg.solve(information, design.T @ (yes - n * p))
            variance = float(np.linalg.inv(information)[1, 1])
        except np.linalg.LinAlgError:
            return None
        beta = beta + step
        if not np.isfinite(beta).all() or abs(beta[1]) > 100:
            return None
        if np.abs(step).max() < _CLOSE:
            half = NormalDist().inv_cdf((1 + confidence) / 2) * sqrt(variance)
            return Interval(float(beta[1]), float(beta[1]) - half, float(beta[1]) + half)
    return None


def area_under_curve(labelled: Labelled, confidence: float = 0.95) -> Interval | None:
    """Return the probability that who has the event got the higher estimate, ties half; None without two of each."""
    yes, no = labelled.yes, labelled.no
    events, others = float(yes.sum()), float(no.sum())
    if min(events, others) < 2:
        return None
    above = (_below(no) + no / 2) / others  # for each who has the event: the share of the others below
    below = (_above(yes) + yes / 2) / events
    area = float((yes * above).sum() / events)
    spread = (yes * (above - area) ** 2).sum() / (events - 1) / events
    spread += (no * (below - area) ** 2).sum() / (others - 1) / others
    half = NormalDist().inv_cdf((1 + confidence) / 2) * sqrt(float(spread))
    return Interval(area, max(0.0, area - half), min(1.0, area + half))


def _below(counts: Numbers) -> Numbers:
    below: Numbers = np.cumsum(counts) - counts
    return below


def _above(counts: Numbers) -> Numbers:
    above: Numbers = counts.sum() - np.cumsum(counts)
    return above


NeedSums = dict[int, list[float]]
"""By stratum of the estimate: how many, the sum of their needs, and the sum of the squares."""


def ratio_at_equal_estimate(group: NeedSums, others: NeedSums, confidence: float = 0.95) -> Interval | None:
    """Mean need of a group for each of the others with the same estimate; None where no stratum has both.

    Strata are weighted by n1 n2 / (n1 + n2), as Mantel and Haenszel do; the interval is by the delta method.
    """
    mine = theirs = variance_mine = variance_theirs = 0.0
    for stratum in set(group) & set(others):
        (n, total, squares), (m, total_others, squares_others) = group[stratum], others[stratum]
        if n < 2 or m < 2:
            continue
        weight = n * m / (n + m)
        mine, theirs = mine + weight * total / n, theirs + weight * total_others / m
        variance_mine += weight**2 * _variance(n, total, squares) / n
        variance_theirs += weight**2 * _variance(m, total_others, squares_others) / m
    if mine <= 0 or theirs <= 0:
        return None
    half = NormalDist().inv_cdf((1 + confidence) / 2) * sqrt(variance_mine / mine**2 + variance_theirs / theirs**2)
    ratio = mine / theirs
    return Interval(ratio, ratio * exp(-half), ratio * exp(half) if isfinite(half) and half < log(1e12) else inf)


def _variance(n: float, total: float, squares: float) -> float:
    return max(0.0, (squares - total**2 / n) / (n - 1))
