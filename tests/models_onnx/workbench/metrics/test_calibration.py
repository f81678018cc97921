"""Jeffreys intervals against scipy; the recalibration against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta
from sklearn.linear_model import LogisticRegression

from models_onnx.workbench.metrics import jeffreys, logistic_recalibration, sigmoid
from tests.models_onnx.workbench.metrics.test_metrics import people


@given(st.integers(1, 5000).flatmap(lambda count: st.tuples(st.integers(0, count), st.just(count))))
def test_the_interval_is_that_of_scipys_beta(pair: tuple[int, int]) -> None:
    events, count = pair
    low, high = jeffreys(events, count)
    expected = beta.ppf([0.025, 0.975], events + 0.5, count - events + 0.5)
    assert low == pytest.approx(0.0 if events == 0 else expected[0], abs=1e-9)
    assert high == pytest.approx(1.0 if events == count else expected[1], abs=1e-9)


def test_recalibration_is_an_unpenalised_logistic_regression() -> None:
    margin, y = people(3000)
    regression = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-12).fit(margin[:, None], y)
    intercept, slope = logistic_recalibration(margin, y)
    assert intercept == pytest.approx(regression.intercept_[0], abs=1e-8)
    assert slope == pytest.approx(regression.coef_[0, 0], abs=1e-8)


def test_a_margin_that_misleads_is_turned_round_not_lost() -> None:
    margin, y = people(3000)
    intercept, slope = logistic_recalibration(-8.0 * margin, y)
    right = logistic_recalibration(margin, y)
    assert (intercept, -8.0 * slope) == pytest.approx(right, abs=1e-7)


def test_the_sigmoid_does_not_overflow() -> None:
    assert sigmoid(np.array([-1e6, 0.0, 1e6])).tolist() == [0.0, 0.5, 1.0]
