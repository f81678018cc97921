"""Recalibration, benefit, standardised rates and intervals of a few people, worked out by hand."""

import math
from functools import partial

import numpy as np
import pytest

from models_onnx.workbench import metrics
from models_onnx.workbench.metrics import Estimate, PatientRows, Ranked

NAN = float("nan")


def _cloglog(p: float) -> float:
    return math.log(-math.log(1 - p))


@pytest.mark.parametrize(
    ("low", "high", "span"), [(0.2, 0.6, 1.0), (0.5, 0.25, 1.0), (0.001, 0.999, 1.0), (0.1, 0.9, 5.0)]
)
def test_two_kinds_of_people_have_the_line_through_their_own_rates(low: float, high: float, span: float) -> None:
    """Each margin stands for 1,000 people by weight, of whom this share had the event."""
    margin, y = np.array([-span, -span, span, span]), np.array([1, 0, 1, 0])
    weight = 1000 * np.array([low, 1 - low, high, 1 - high])
    below, above = _cloglog(low), _cloglog(high)
    assert metrics.cloglog_recalibration(margin, y, weight) == pytest.approx(
        ((above + below) / 2, (above - below) / (2 * span)), abs=1e-6
    )
    below, above = math.log(low / (1 - low)), math.log(high / (1 - high))
    assert metrics.logistic_recalibration(margin, y, weight) == pytest.approx(
        ((above + below) / 2, (above - below) / (2 * span)), abs=1e-8
    )


def test_log_odds_of_certainty_are_finite() -> None:
    assert metrics.logit(np.array([0.0, 1e-16, 2e-15, 0.2, 0.5])).tolist() == pytest.approx(
        [math.log(1e-15), math.log(1e-15), math.log(2e-15), math.log(0.25), 0.0], abs=1e-12
    )
    assert metrics.logit(np.array([1.0]))[0] == pytest.approx(-math.log(1e-15), abs=0.2)


@pytest.mark.parametrize("level", [0.95, 0.9, 0.5])
def test_an_interval_at_another_level(level: float) -> None:
    """Of one of one it is from the tail of Beta(3/2, 1/2) to 1; of none of one it is the mirror image."""
    low, high = metrics.jeffreys(1, 1, level)
    tail = 2 / math.pi * (math.asin(math.sqrt(low)) - math.sqrt(low * (1 - low)))
    assert (tail, high) == pytest.approx(((1 - level) / 2, 1.0), abs=1e-9)
    assert metrics.jeffreys(0, 1, level) == pytest.approx((0.0, 1 - low), abs=1e-9)


# Five people in two samples: the second leaves out the first two and counts the last three times.
MARGIN, Y = np.array([2.0, -1.0, 0.0, 1.0, 0.0]), np.array([1, 0, 1, 0, 0])
RANKED = Ranked.of(MARGIN, Y)
WEIGHTS = np.array([[1.0] * 5, [0.0, 0.0, 1.0, 1.0, 3.0]])[:, RANKED.order]


def test_people_are_ranked_once_with_ties_marked() -> None:
    assert RANKED.order.tolist() == [1, 2, 4, 3, 0]
    assert RANKED.starts.tolist() == [0, 1, 3, 4]
    assert RANKED.y.tolist() == [0.0, 1.0, 0.0, 0.0, 1.0]
    assert RANKED.margin.tolist() == [-1.0, 0.0, 0.0, 1.0, 2.0]


@pytest.mark.parametrize(
    ("metric", "values"),
    [
        # 2 above all three; 0 above -1, level with 0, below 1
        (metrics.auroc, (4.5 / 6, 1.5 / 4)),
        # 1 of 1 at 2; 2 of 4 at 0
        (metrics.auprc, (0.75, 0.2)),
        (metrics.event_share, (0.4, 0.2)),
        (partial(metrics.alert_rate, threshold=0.0), (0.8, 1.0)),
        (partial(metrics.alert_rate, threshold=0.5), (0.4, 0.2)),
        (partial(metrics.ppv, threshold=0.5), (0.5, 0.0)),
        (partial(metrics.ppv, threshold=1.5), (1.0, NAN)),
        (partial(metrics.sensitivity, threshold=0.5), (0.5, 0.0)),
        (partial(metrics.false_positive_rate, threshold=0.5), (1 / 3, 0.25)),
        (partial(metrics.false_positive_rate, threshold=0.0), (2 / 3, 1.0)),
    ],
)
def test_figures_of_five_people_and_of_a_sample_of_them(metric: metrics.Metric, values: tuple[float, float]) -> None:
    assert metric(RANKED, WEIGHTS).tolist() == pytest.approx(values, nan_ok=True)


def test_nobody_with_or_without_the_event_gives_no_number() -> None:
    alike = Ranked.of(MARGIN, np.zeros(5, dtype=np.int64))
    for metric in (metrics.auroc, metrics.auprc, partial(metrics.sensitivity, threshold=0.0)):
        assert np.isnan(metric(alike, WEIGHTS)).all()
    every = Ranked.of(MARGIN, np.ones(5, dtype=np.int64))
    assert np.isnan(partial(metrics.false_positive_rate, threshold=0.0)(every, WEIGHTS)).all()
    assert np.isnan(metrics.auroc(every, WEIGHTS)).all()


def test_calibration_of_people_with_one_estimate() -> None:
    """Two of five, three of them by the second weights, at an estimate of a half."""
    half = Ranked.of(np.zeros(5), np.array([1, 1, 0, 0, 0]))
    weights = np.array([[1.0] * 5, [2.0, 1.0, 1.0, 1.0, 0.0]])
    assert metrics.observed_expected(half, weights).tolist() == pytest.approx([2 / 2.5, 3 / 2.5])
    assert metrics.brier(half, weights).tolist() == pytest.approx([0.25, 0.25])
    assert metrics.calibration_intercept(half, weights).tolist() == pytest.approx([math.log(2 / 3), math.log(3 / 2)])
    assert np.isnan(metrics.calibration_slope(half, weights)).all()


def test_the_slope_of_two_kinds_of_people_is_between_their_log_odds() -> None:
    """At -1 one of four, at 1 two of three: the log odds rise by log 2 + log 3 over a distance of 2."""
    margin, y = np.array([-1.0] * 4 + [1.0] * 3), np.array([1, 0, 0, 0, 1, 1, 0])
    ranked = Ranked.of(margin, y)
    slope = (math.log(2) + math.log(3)) / 2
    ones = np.ones((1, 7))
    assert metrics.calibration_slope(ranked, ones).tolist() == pytest.approx([slope], abs=1e-9)
    far = Ranked.of(20 * margin, y)  # Newton's method runs off from the line of a slope of 1
    assert metrics.calibration_slope(far, ones).tolist() == pytest.approx([slope / 20], abs=1e-9)


def test_alerts_at_the_shares_of_bands_of_others() -> None:
    """With the event: one of band 0, alerted; one of band 1, not. Without: one of band 0 alerted, two of band 1 not."""
    band = np.array([0, 1, 1, 0, 1])
    figure = metrics.standardised_alerts(0.5, 1, band, np.array([0.75, 0.25]))
    assert figure(RANKED, WEIGHTS).tolist() == pytest.approx([0.75, 0.0])
    figure = metrics.standardised_alerts(0.5, 0, band, np.array([0.75, 0.25]))
    assert figure(RANKED, WEIGHTS).tolist() == pytest.approx([0.75, 0.75])
    figure = metrics.standardised_alerts(0.0, 0, band, np.array([0.75, 0.25]))
    assert figure(RANKED, WEIGHTS).tolist() == pytest.approx([0.75 + 0.25 / 2, 1.0])
    other = metrics.standardised_alerts(0.0, 1, np.full(5, 2), np.array([0.5, 0.5, 0.0]))
    assert np.isnan(other(RANKED, WEIGHTS)).all()


@pytest.mark.parametrize(
    ("threshold", "benefit"),
    [(0.0, (2.0 + 3.0 - 0.5 * (1.0 + 4.0)) / 12), (0.5, (2.0 - 0.5 * 1.0) / 12), (2.5, 0.0), (2.0, 2.0 / 12)],
)
def test_the_benefit_of_alerts_from_a_threshold_on(threshold: float, benefit: float) -> None:
    weight = np.array([2.0, 2.0, 3.0, 1.0, 4.0])
    assert metrics.net_benefit(MARGIN, Y, weight, threshold, 0.5) == pytest.approx(benefit)


def test_patients_alone_and_some_of_the_rows() -> None:
    rows = PatientRows.alone(3)
    assert (rows.patient.tolist(), rows.weight.tolist()) == ([0, 1, 2], [1.0, 1.0, 1.0])
    part = PatientRows(np.array([7, 7, 9]), np.array([1.0, 2.0, 3.0])).of(np.array([True, False, True]))
    assert (part.patient.tolist(), part.weight.tolist()) == ([7, 9], [1.0, 3.0])
    assert [drawn.shape for drawn in rows.samples(81, 1)] == [(40, 3), (40, 3), (1, 3)]
    assert list(rows.samples(0, 1)) == []
    (drawn,) = PatientRows(np.array([7, 7]), np.array([0.5, 2.0])).samples(3, 1)
    assert drawn.tolist() == [[0.5, 2.0]] * 3


def test_an_interval_is_of_the_samples_that_have_the_figure() -> None:
    """From 0 to 1 in steps of a hundredth; the percentiles 2.5 and 97.5 lie half way between two of them."""
    steps = np.linspace(0.0, 1.0, 101)
    told = metrics._interval(0.4, [steps[:60], np.array([NAN]), steps[60:]])
    assert (told.value, told.low, told.high) == pytest.approx((0.4, 0.025, 0.975))
    assert metrics._interval(0.4, []) == Estimate(0.4, 0.4, 0.4)
    nothing = metrics._interval(0.4, [np.array([NAN, NAN])])
    assert (nothing.value, math.isnan(nothing.low), math.isnan(nothing.high)) == (0.4, True, True)


def test_a_gain_is_of_the_same_samples_of_the_weighted_rows() -> None:
    """The first score ranks the two as they are, the second the other way round; the third row has no weight."""
    rows = PatientRows(np.array([0, 1, 2]), np.array([1.0, 2.0, 0.0]))
    first, second, y = np.array([0.0, 1.0, 5.0]), np.array([1.0, 0.0, 5.0]), np.array([0, 1, 0])
    assert metrics.gain(metrics.auroc, first, second, y, 0, 1, rows) == Estimate(1.0, 1.0, 1.0)
    drawn = metrics.gain(metrics.auroc, second, first, y, 50, 1, rows)
    assert drawn == Estimate(-1.0, -1.0, -1.0)
