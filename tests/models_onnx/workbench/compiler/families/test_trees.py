"""Thresholds in float32 decide as float64 does, for every float32 there is."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models_onnx.workbench.compiler.families.trees import Cuts, at_most, below

FLOAT32 = st.floats(width=32, allow_nan=False)


@given(FLOAT32, st.floats(allow_nan=False))
def test_at_most_decides_as_the_double_threshold_does(x: float, threshold: float) -> None:
    assert (np.float32(x) <= at_most(threshold)) == (x <= threshold)


@given(FLOAT32)
def test_a_threshold_that_is_a_float32_stays_what_it_is(threshold: float) -> None:
    for beside in (-np.inf, np.inf):
        with np.errstate(over="ignore"):
            x = float(np.nextafter(np.float32(threshold), np.float32(beside)))
        assert (np.float32(x) <= at_most(threshold)) == (x <= threshold)


@given(FLOAT32.filter(lambda x: x > -np.inf), st.floats(allow_nan=False))
def test_below_leaves_out_the_threshold_itself(x: float, threshold: float) -> None:
    assert (np.float32(x) <= below(threshold)) == (x < threshold)


def test_a_stand_in_for_the_missing_goes_where_its_value_would() -> None:
    cuts = Cuts((1.0, float("nan")))
    assert cuts.nan_left(0, 1.0, learned=False)
    assert not cuts.nan_left(0, 0.5, learned=True)
    assert cuts.nan_left(1, 0.5, learned=True)
