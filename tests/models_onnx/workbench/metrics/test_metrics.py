"""Every figure against scikit-learn or its definition, on people, on resampled people and with ties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import beta
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from models_onnx.workbench import metrics
from models_onnx.workbench.metrics import PatientRows, Ranked, jeffreys
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


@given(st.integers(1, 5000).flatmap(lambda count: st.tuples(st.integers(0, count), st.just(count))))
def test_the_interval_is_that_of_scipys_beta(pair: tuple[int, int]) -> None:
    events, count = pair
    low, high = jeffreys(events, count)
    expected = beta.ppf([0.025, 0.975], events + 0.5, count - events + 0.5)
    assert low == pytest.approx(0.0 if events == 0 else expected[0], abs=1e-9)
    assert high == pytest.approx(1.0 if events == count else expected[1], abs=1e-9)


def test_the_rows_of_one_patient_are_drawn_together() -> None:
    patient = np.array([0, 1, 1, 2, 2, 2])
    (drawn,) = PatientRows(patient, np.ones(6)).samples(30, 1)
    assert (drawn[:, 1] == drawn[:, 2]).all()
    assert (drawn[:, 3] == drawn[:, 5]).all()
    assert (drawn[:, [0, 1, 3]].sum(axis=1) == 3).all()
