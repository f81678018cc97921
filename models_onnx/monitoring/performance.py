"""How good estimates are: by what happened, and before anybody knows what happened.

Sources: Debray et al. 2017 (BMJ 356:i6460) for the interval of observed to expected; Cox 1958 for the calibration
slope; DeLong, DeLong and Clarke-Pearson 1988 for the variance of the area under the ROC curve; Vickers and Elkin 2006
for net benefit. Before labels a calibrated probability p is p of an event and 1 - p of none (confidence-based
performance estimation, Garg et al. 2022), and DeLong's variance is that of such shares.
"""

import warnings
from collections.abc import Callable, Sequence
from math import exp, sqrt
from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from scipy import stats
from statsmodels.discrete.discrete_model import Logit
from statsmodels.tools.sm_exceptions import ModelWarning

from models_onnx.artifact.manifest import RiskBin
from models_onnx.monitoring.alerting import Deployed
from models_onnx.monitoring.intervals import Interval

Numbers = NDArray[np.float64]
_SMALLEST: Final = 1e-9
FEWEST_LABELLED: Final = 100
"""So many events with what happened are needed to recalibrate by them; else the cohort of the release is used."""


class Sample(Struct, frozen=True):
    """Estimates (0 to 1), what happened to each (1, 0, or nan where nobody knows), and whether a card was shown."""

    estimates: Numbers
    happened: Numbers
    with_card: NDArray[np.bool_]

    def where(self, chosen: NDArray[np.bool_]) -> "Sample":
        """Return the chosen ones."""
        return Sample(self.estimates[chosen], self.happened[chosen], self.with_card[chosen])

    @property
    def labelled(self) -> "Sample":
        """Return those of which it is known what happened."""
        return self.where(~np.isnan(self.happened))

    @property
    def events(self) -> int:
        """How many had the event."""
        return int(np.nansum(self.happened))


def _half(confidence: float = 0.95) -> float:
    return float(stats.norm.ppf((1 + confidence) / 2))


def observed_to_expected(sample: Sample, confidence: float = 0.95) -> Interval | None:
    """Return how many events there were for each that was expected; None without an event or a prediction."""
    events, expected = sample.events, float(sample.estimates.sum())
    if not events or not expected:
        return None
    ratio = events / expected
    half = _half(confidence) * sqrt(max(1 - events / len(sample.estimates), 0.0) / events)
    return Interval(ratio, ratio * exp(-half), ratio * exp(half))


def net_benefit(sample: Sample, deployed: Deployed) -> Interval | None:
    """Return true cards less false ones at their weight, per prediction; None for none.

    It is judged by the estimates, not by the cards: what was held back for another reason says nothing of the model.
    """
    if not len(sample.estimates):
        return None
    worth = np.where(sample.happened > 0, 1.0, -deployed.odds) * (sample.estimates >= deployed.estimate)
    half = _half() * float(worth.std()) / sqrt(len(worth))
    return Interval(float(worth.mean()), float(worth.mean()) - half, float(worth.mean()) + half)


def _log_odds(estimates: Numbers) -> Numbers:
    inside = np.clip(estimates, _SMALLEST, 1 - _SMALLEST)
    odds: Numbers = np.log(inside / (1 - inside))
    return odds


def _logit(sample: Sample) -> tuple[Numbers, Numbers] | None:
    """Return intercept and slope of the event on the log-odds, and the slope's interval; None without a maximum."""
    x = _log_odds(sample.estimates)
    if len(np.unique(x)) < 2 or not 0 < sample.events < len(x):
        return None
    try:
        with warnings.catch_warnings():
            for category in (ModelWarning, RuntimeWarning):
                warnings.simplefilter("error", category)
            fit = Logit(sample.happened, np.column_stack([np.ones_like(x), x])).fit(disp=False)
    except (ModelWarning, RuntimeWarning, np.linalg.LinAlgError):  # perfect separation is said in each of these ways
        return None
    return np.asarray(fit.params), np.asarray(fit.conf_int())[1]


def calibration_slope(sample: Sample) -> Interval | None:
    """Return the slope of a logistic regression of the event on the log-odds; None where it has no maximum.

    1 is right; below 1 the estimates are too extreme, above 1 not extreme enough.
    """
    fit = _logit(sample)
    return None if fit is None else Interval(float(fit[0][1]), float(fit[1][0]), float(fit[1][1]))


def area_under_curve(sample: Sample) -> Interval | None:
    """Return the probability that who has the event got the higher estimate, ties half; None without two of each."""
    if min(sample.events, len(sample.happened) - sample.events) < 2:
        return None
    return _area(sample.estimates, sample.happened)


def _area(estimates: Numbers, events: Numbers) -> Interval | None:
    """Return the area where `events` are shares of an event: 0 or 1, or a probability, and DeLong's interval."""
    order = np.argsort(estimates, kind="stable")
    scores, yes = estimates[order], events[order]
    no = 1 - yes
    _, first, inverse = np.unique(scores, return_index=True, return_inverse=True)
    with_yes, with_no = (np.add.reduceat(share, first) for share in (yes, no))  # of each distinct estimate
    below, above = np.cumsum(with_no) - with_no, yes.sum() - np.cumsum(with_yes)
    others_below = ((below + with_no / 2)[inverse] - no * yes / 2) / no.sum()
    events_above = ((above + with_yes / 2)[inverse] - no * yes / 2) / yes.sum()
    area = float((yes * others_below).sum() / yes.sum())
    spread = (yes * (others_below - area) ** 2).sum() / max(yes.sum() - 1, 1) / yes.sum()
    spread += (no * (events_above - area) ** 2).sum() / max(no.sum() - 1, 1) / no.sum()
    half = _half() * sqrt(float(spread))
    return Interval(area, max(0.0, area - half), min(1.0, area + half))


# Before labels


class Expected(Struct, frozen=True):
    """What the estimates of recent patients promise.

    The area, the events for each one that the raw estimates expect, and the share of those with the event that is at or
    above the threshold; None without a threshold.
    """

    area: Interval
    calibration: Interval
    sensitivity: Interval | None


Calibrator = Callable[[Numbers], Numbers]


def calibrator(labelled: Sample, bins: Sequence[RiskBin]) -> tuple[Calibrator, str] | None:
    """Return what makes estimates probabilities, and by what: the site's own labels, else the cohort of the release."""
    fit = _logit(labelled) if labelled.events >= FEWEST_LABELLED else None
    if fit is not None:
        intercept, slope = fit[0]
        words = f"{labelled.events:,} events of this site"
        return (lambda estimates: 1 / (1 + np.exp(-(intercept + slope * _log_odds(estimates))))), words
    there = [row for row in bins if row.count]
    if not there:
        return None
    x = _log_odds(np.array([row.predicted for row in there]))
    y = _log_odds(np.array([max(row.rate, 0.5 / row.count) for row in there]))

    def by_cohort(estimates: Numbers) -> Numbers:
        odds = _log_odds(estimates)
        moved = odds + np.interp(odds, x, y - x)
        calibrated: Numbers = 1 / (1 + np.exp(-moved))
        return calibrated

    return by_cohort, "the cohort of the release"


def expected_performance(estimates: Numbers, calibrate: Calibrator, threshold: float | None) -> Expected | None:
    """Return what is to be expected of these estimates, with the sampling error of their number; None for too few.

    It sees other patients. It cannot see that the same patients have the event more or less often than before.
    """
    if len(estimates) < 2:
        return None
    probabilities = np.clip(calibrate(estimates), _SMALLEST, 1 - _SMALLEST)
    area = _area(estimates, probabilities)
    if area is None:
        return None
    events, raw = float(probabilities.sum()), float(estimates.sum())
    half = _half() * sqrt(float((probabilities * (1 - probabilities)).sum())) / raw
    ratio = Interval(events / raw, max(0.0, events / raw - half), events / raw + half)
    if threshold is None:
        return Expected(area, ratio, None)
    share = float(probabilities[estimates >= threshold].sum()) / events
    half = _half() * sqrt(share * (1 - share) / max(events, 1.0))
    return Expected(area, ratio, Interval(share, max(0.0, share - half), min(1.0, share + half)))
