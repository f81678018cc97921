"""Calibration and discrimination against scikit-learn and statsmodels, and what is expected before labels."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from models_onnx.monitoring.performance import Sample, area_under_curve, calibrator, expected_performance

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
