"""Every figure against scikit-learn or its definition, on people, on resampled people and with ties."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from models_onnx.workbench import metrics
from models_onnx.workbench.metrics import Ranked

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


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(4))
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
