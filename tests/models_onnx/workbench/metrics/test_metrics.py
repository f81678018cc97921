"""Every figure against scikit-learn or its definition, on people, on resampled people and with ties."""

import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import beta
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from models_onnx.workbench import metrics
from models_onnx.workbench.metrics import PatientRows, Ranked, estimate, jeffreys, sigmoid
from tests.each import for_rows

Array = NDArray[np.float64]


def people(count: int = 400, seed: int = 1, ties: bool = False) -> tuple[Array, NDArray[np.int64]]:
    """Margins and outcomes that go together, some margins equal if wanted."""
    draw = np.random.default_rng(seed)
    margin = draw.normal(-1, 1.5, count)
    y = (draw.random(count) < 1 / (1 + np.exp(-0.8 * margin - 0.2))).astype(np.int64)
    return (margin.round(1) if ties else margin), y


def whole(metric: object, margin: Array, y: NDArray[np.int64]) -> float:
    """The figure on the people themselves."""
    assert callable(metric)
    return float(metric(Ranked.of(margin, y), np.ones((1, len(y))))[0])


@for_rows("ties", [False, True])
@for_rows("seed", range(4))
def test_figures_are_scikit_learns(seed: int, ties: bool) -> None:
    margin, y = people(seed=seed, ties=ties)
    probability = 1 / (1 + np.exp(-margin))
    assert whole(metrics.auroc, margin, y) == pytest.approx(roc_auc_score(y, margin), abs=1e-12)
    assert whole(metrics.auprc, margin, y) == pytest.approx(average_precision_score(y, margin), abs=1e-12)
    assert whole(metrics.brier, margin, y) == pytest.approx(brier_score_loss(y, probability), abs=1e-12)
    assert whole(metrics.observed_expected, margin, y) == pytest.approx(y.sum() / probability.sum(), abs=1e-12)


def test_the_slope_is_scikit_learns() -> None:
    margin, y = people(2000)
    regression = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10).fit(margin[:, None], y)
    assert whole(metrics.calibration_slope, margin, y) == pytest.approx(regression.coef_[0, 0], abs=1e-7)


def test_the_intercept_brings_expected_to_observed() -> None:
    margin, y = people(2000)
    shifted = margin + whole(metrics.calibration_intercept, margin, y)
    assert whole(metrics.observed_expected, shifted, y) == pytest.approx(1.0, abs=1e-9)


@given(st.integers(0, 1000))
def test_weights_are_people_repeated(seed: int) -> None:
    margin, y = people(80, seed=3, ties=True)
    drawn = np.random.default_rng(seed).integers(0, 80, 80)
    if len(set(y[drawn].tolist())) < 2:
        return
    ranked = Ranked.of(margin, y)
    weights = np.bincount(drawn, minlength=80).astype(np.float64)[ranked.order][None]
    for metric in (metrics.auroc, metrics.auprc, metrics.brier, metrics.observed_expected):
        assert metric(ranked, weights)[0] == pytest.approx(whole(metric, margin[drawn], y[drawn]), abs=1e-12)


def test_alerts_are_counted_at_the_threshold_itself() -> None:
    margin, y = np.array([-1.0, 0.0, 0.0, 1.0]), np.array([0, 1, 0, 1])
    told = {
        name: whole(partial(getattr(metrics, name), threshold=0.0), margin, y)
        for name in ("alert_rate", "ppv", "sensitivity", "false_positive_rate")
    }
    assert told == pytest.approx({"alert_rate": 0.75, "ppv": 2 / 3, "sensitivity": 1.0, "false_positive_rate": 0.5})


def test_a_ppv_of_no_alerts_is_not_a_number() -> None:
    margin, y = people(20)
    assert np.isnan(whole(partial(metrics.ppv, threshold=99.0), margin, y))


def test_a_reversed_score_has_a_slope_below_zero_and_a_constant_one_has_none() -> None:
    margin, y = people(4000)
    slope = whole(metrics.calibration_slope, margin, y)
    assert whole(metrics.calibration_slope, -3 * margin, y) == pytest.approx(-slope / 3, abs=1e-6)
    assert np.isnan(whole(metrics.calibration_slope, np.full(len(y), -1.0), y))


# Recalibration, benefit, standardised rates and intervals of a few people, worked out by hand.
NAN = float("nan")


def _cloglog(p: float) -> float:
    return math.log(-math.log(1 - p))


@for_rows(("low", "high", "span"), [(0.2, 0.6, 1.0), (0.5, 0.25, 1.0), (0.001, 0.999, 1.0), (0.1, 0.9, 5.0)])
def test_two_kinds_of_people_have_the_line_through_their_own_rates(low: float, high: float, span: float) -> None:
    """Each margin stands for 1,000 people by weight, of whom this share had the event."""
    margin, y = np.array([-span, -span, span, span]), np.array([1, 0, 1, 0])
    weight = 1000 * np.array([low, 1 - low, high, 1 - high])
    below, above = _cloglog(low), _cloglog(high)
    assert metrics.recalibration("cloglog", margin, y, weight) == pytest.approx(
        ((above + below) / 2, (above - below) / (2 * span)), abs=1e-6
    )
    below, above = math.log(low / (1 - low)), math.log(high / (1 - high))
    assert metrics.recalibration("logit", margin, y, weight) == pytest.approx(
        ((above + below) / 2, (above - below) / (2 * span)), abs=1e-8
    )


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


@for_rows(
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


@given(st.integers(1, 5000).flatmap(lambda count: st.tuples(st.integers(0, count), st.just(count))))
def test_the_interval_is_that_of_scipys_beta(pair: tuple[int, int]) -> None:
    events, count = pair
    low, high = jeffreys(events, count)
    expected = beta.ppf([0.025, 0.975], events + 0.5, count - events + 0.5)
    assert low == pytest.approx(0.0 if events == 0 else expected[0], abs=1e-9)
    assert high == pytest.approx(1.0 if events == count else expected[1], abs=1e-9)


def test_the_sigmoid_does_not_overflow() -> None:
    assert sigmoid(np.array([-1e6, 0.0, 1e6])).tolist() == [0.0, 0.5, 1.0]


def test_the_rows_of_one_patient_are_drawn_together() -> None:
    patient = np.array([0, 1, 1, 2, 2, 2])
    (drawn,) = PatientRows(patient, np.ones(6)).samples(30, 1)
    assert (drawn[:, 1] == drawn[:, 2]).all()
    assert (drawn[:, 3] == drawn[:, 5]).all()
    assert (drawn[:, [0, 1, 3]].sum(axis=1) == 3).all()


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    margin, y = people()
    args = ({"auroc": metrics.auroc}, margin, y, 60)
    assert estimate(*args, 1) == estimate(*args, 1) != estimate(*args, 2)
