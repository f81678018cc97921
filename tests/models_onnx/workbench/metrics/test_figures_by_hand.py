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


def test_patients_alone_and_some_of_the_rows() -> None:
    rows = PatientRows.alone(3)
    assert (rows.patient.tolist(), rows.weight.tolist()) == ([0, 1, 2], [1.0, 1.0, 1.0])
    part = PatientRows(np.array([7, 7, 9]), np.array([1.0, 2.0, 3.0])).of(np.array([True, False, True]))
    assert (part.patient.tolist(), part.weight.tolist()) == ([7, 9], [1.0, 3.0])
    assert [drawn.shape for drawn in rows.samples(81, 1)] == [(40, 3), (40, 3), (1, 3)]
    assert list(rows.samples(0, 1)) == []
    (drawn,) = PatientRows(np.array([7, 7]), np.array([0.5, 2.0])).samples(3, 1)
    assert drawn.tolist() == [[0.5, 2.0]] * 3


def test_a_gain_is_of_the_same_samples_of_the_weighted_rows() -> None:
    """The first score ranks the two as they are, the second the other way round; the third row has no weight."""
    rows = PatientRows(np.array([0, 1, 2]), np.array([1.0, 2.0, 0.0]))
    first, second, y = np.array([0.0, 1.0, 5.0]), np.array([1.0, 0.0, 5.0]), np.array([0, 1, 0])
    assert metrics.gain(metrics.auroc, first, second, y, 0, 1, rows) == Estimate(1.0, 1.0, 1.0)
    drawn = metrics.gain(metrics.auroc, second, first, y, 50, 1, rows)
    assert drawn == Estimate(-1.0, -1.0, -1.0)
