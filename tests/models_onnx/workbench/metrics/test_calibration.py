"""Jeffreys intervals against scipy; the recalibration against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from models_onnx.workbench.metrics import jeffreys, sigmoid


@given(st.integers(1, 5000).flatmap(lambda count: st.tuples(st.integers(0, count), st.just(count))))
def test_the_interval_is_that_of_scipys_beta(pair: tuple[int, int]) -> None:
    events, count = pair
    low, high = jeffreys(events, count)
    expected = beta.ppf([0.025, 0.975], events + 0.5, count - events + 0.5)
    assert low == pytest.approx(0.0 if events == 0 else expected[0], abs=1e-9)
    assert high == pytest.approx(1.0 if events == count else expected[1], abs=1e-9)


def test_the_sigmoid_does_not_overflow() -> None:
    assert sigmoid(np.array([-1e6, 0.0, 1e6])).tolist() == [0.0, 0.5, 1.0]
