"""Calibration and discrimination from counts, against scikit-learn, statsmodels and the rows themselves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from statsmodels.stats.proportion import proportion_confint

from models_onnx.monitoring.alerting import alerting_of
from models_onnx.monitoring.labelled import LabelCounts, Labelled, labelled
from models_onnx.monitoring.performance import (
    area_under_curve,
    calibration_slope,
)
from models_onnx.monitoring.sketch import WIDTH, log_odds_bucket
from models_onnx.serving.registry import load_model, model_ids

Rows = tuple[np.ndarray, np.ndarray]


def rows(seed: int, people: int = 4000, slope: float = 1.0, shift: float = 0.0) -> Rows:
    """Estimates and what happened, where the log-odds of the truth are `shift` + `slope` times the estimate's."""
    random = np.random.default_rng(seed)
    odds = random.normal(-1.8, 1.0, people)
    happened = random.random(people) < 1 / (1 + np.exp(-(shift + slope * odds)))
    return 1 / (1 + np.exp(-odds)), happened.astype(int)


def counted(estimates: np.ndarray, happened: np.ndarray) -> Labelled:
    counts = LabelCounts()
    for place, (estimate, event) in enumerate(zip(estimates, happened, strict=True)):
        counts.count("m all", float(estimate), "yes" if event else "no", with_card=place % 3 == 0)
    return labelled(counts, "m all")


@given(st.floats(min_value=0, max_value=1))
def test_an_estimate_is_kept_within_one_percent_of_its_odds(estimate: float) -> None:
    inside = min(max(estimate, 1e-9), 1 - 1e-9)
    assert np.exp(log_odds_bucket(estimate) * WIDTH) == pytest.approx(inside / (1 - inside), rel=0.0101)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_area_under_the_curve_is_that_of_scikit_learn(seed: int) -> None:
    estimates, happened = rows(seed)
    found = area_under_curve(counted(estimates, happened))
    assert found is not None
    assert found.value == pytest.approx(roc_auc_score(happened, estimates), abs=2e-3)
    coarse = np.round(np.log(estimates / (1 - estimates)) / 0.02)
    assert found.value == pytest.approx(roc_auc_score(happened, coarse), abs=1e-12)


def test_the_variance_of_the_area_is_delongs_computed_from_all_pairs() -> None:
    estimates, happened = rows(4, 600)
    coarse = np.round(np.log(estimates / (1 - estimates)) / 0.02)
    one, other = coarse[happened == 1][:, None], coarse[happened == 0][None, :]
    kernel = (one > other) + 0.5 * (one == other)
    variance = kernel.mean(1).var(ddof=1) / len(one) + kernel.mean(0).var(ddof=1) / other.shape[1]
    found = area_under_curve(counted(estimates, happened))
    assert found is not None
    assert (found.high - found.low) / 2 == pytest.approx(1.959964 * np.sqrt(variance), rel=1e-6)


@pytest.mark.parametrize(("slope", "shift"), [(1.0, 0.0), (0.6, -0.3), (1.4, 0.5)])
def test_the_calibration_slope_and_its_interval_are_those_of_statsmodels(slope: float, shift: float) -> None:
    import statsmodels.api as sm  # takes half a second, which each process would spend while it collects

    estimates, happened = rows(5, slope=slope, shift=shift)
    fit = sm.Logit(happened, sm.add_constant(np.log(estimates / (1 - estimates)))).fit(disp=False)
    low, high = fit.conf_int()[1]
    found = calibration_slope(counted(estimates, happened))
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
