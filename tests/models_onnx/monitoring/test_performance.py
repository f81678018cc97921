"""Calibration and discrimination against scikit-learn and statsmodels, and what is expected before labels."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from statsmodels.stats.proportion import proportion_confint

from models_onnx.monitoring.alerting import alerting_of
from models_onnx.monitoring.performance import (
    Sample,
    area_under_curve,
    calibration_slope,
    calibrator,
    expected_performance,
)
from models_onnx.serving.registry import load_model, model_ids

Rows = tuple[np.ndarray, np.ndarray]


def rows(seed: int, people: int = 4000, slope: float = 1.0, shift: float = 0.0) -> Rows:
    """Estimates and what happened, where the log-odds of the truth are `shift` + `slope` times the estimate's."""
    random = np.random.default_rng(seed)
    odds = random.normal(-1.8, 1.0, people)
    happened = random.random(people) < 1 / (1 + np.exp(-(shift + slope * odds)))
    return 1 / (1 + np.exp(-odds)), happened.astype(int)


def sample(estimates: np.ndarray, happened: np.ndarray) -> Sample:
    return Sample(estimates, happened.astype(float), estimates > 0.3)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_area_under_the_curve_is_that_of_scikit_learn(seed: int) -> None:
    estimates, happened = rows(seed)
    for scores in (estimates, np.round(estimates, 2)):
        found = area_under_curve(sample(scores, happened))
        assert found is not None
        assert found.value == pytest.approx(roc_auc_score(happened, scores), abs=1e-12)


def test_the_variance_of_the_area_is_delongs_computed_from_all_pairs() -> None:
    estimates, happened = rows(4, 600)
    scores = np.round(estimates, 2)
    one, other = scores[happened == 1][:, None], scores[happened == 0][None, :]
    kernel = (one > other) + 0.5 * (one == other)
    variance = kernel.mean(1).var(ddof=1) / len(one) + kernel.mean(0).var(ddof=1) / other.shape[1]
    found = area_under_curve(sample(scores, happened))
    assert found is not None
    assert (found.high - found.low) / 2 == pytest.approx(1.959964 * np.sqrt(variance), rel=1e-6)


@pytest.mark.parametrize(("slope", "shift"), [(1.0, 0.0), (0.6, -0.3), (1.4, 0.5)])
def test_the_calibration_slope_and_its_interval_are_those_of_statsmodels(slope: float, shift: float) -> None:
    import statsmodels.api as sm  # takes half a second, which each process would spend while it collects

    estimates, happened = rows(5, slope=slope, shift=shift)
    fit = sm.Logit(happened, sm.add_constant(np.log(estimates / (1 - estimates)))).fit(disp=False)
    low, high = fit.conf_int()[1]
    found = calibration_slope(sample(estimates, happened))
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((fit.params[1], low, high), abs=2e-3)


@pytest.mark.parametrize("name", model_ids())
def test_the_interval_of_the_ppv_is_that_of_statsmodels(name: str) -> None:
    manifest = load_model(name).manifest
    for row in manifest.thresholds.table:
        found = alerting_of(manifest, row)
        low, high = proportion_confint(row.ppv * found.people, found.people, method="wilson")
        assert found.ppv.low == pytest.approx(low, abs=1e-9)
        assert found.ppv.high == pytest.approx(high, abs=1e-9)
        assert found.needed.value == pytest.approx(row.number_needed_to_alert, abs=0.01)
        assert found.needed.low == pytest.approx(1 / high)
        assert found.needed.high == pytest.approx(1 / low)


@pytest.mark.slow
def test_before_labels_area_events_and_sensitivity_are_within_two_points_in_18_of_20_shifts() -> None:
    """Other patients, to whom the same happens at the same estimate once it is calibrated; the model is too extreme."""
    near = 0
    for seed in range(20):
        random = np.random.default_rng(seed)
        past = random.normal(-1.8, 1.0, 20_000)
        recent = random.normal(-1.8 + random.uniform(-0.8, 0.8), random.uniform(0.6, 1.4), 20_000)
        happened = (random.random(20_000) < 1 / (1 + np.exp(-(0.7 * past - 0.2)))).astype(float)
        made = calibrator(sample(1 / (1 + np.exp(-past)), happened), ())
        assert made is not None
        estimates = 1 / (1 + np.exp(-recent))
        truth = random.random(20_000) < 1 / (1 + np.exp(-(0.7 * recent - 0.2)))
        found = expected_performance(estimates, made[0], 0.3)
        assert found is not None
        assert found.sensitivity is not None
        gaps = (
            found.area.value - roc_auc_score(truth, estimates),
            found.sensitivity.value - (truth & (estimates >= 0.3)).sum() / truth.sum(),
            found.calibration.value * estimates.mean() - truth.mean(),  # of all how many have the event
        )
        near += max(map(abs, gaps)) < 0.02
    assert near >= 18
