"""Bins of the reference cohort: everyone once, rates that rise, limits that are nobody's own value."""

import numpy as np

from models_onnx.workbench.compiler.reference import QUANTILES, build_reference
from models_onnx.workbench.training.pipeline import BIN_PERCENTILES


def test_bins_hold_everyone_once_and_rise() -> None:
    draw = np.random.default_rng(2)
    margin = draw.normal(-3, 1.5, 6000)
    y = (draw.random(6000) < 1 / (1 + np.exp(-margin))).astype(np.int64)
    reference = build_reference(margin, margin + draw.normal(0, 0.05, 6000), y, np.ones(6000))
    assert sum(each.count for each in reference.bins) == 6000
    assert sum(each.events for each in reference.bins) == y.sum()
    rates = [each.rate for each in reference.bins]
    assert rates == sorted(rates)
    assert all(each.low <= each.rate <= each.high for each in reference.bins)
    assert len(reference.quantiles) == QUANTILES
    assert list(reference.quantiles) == sorted(reference.quantiles)


def test_a_bin_in_which_fewer_had_the_event_is_joined_with_the_one_below() -> None:
    margin = np.linspace(-4, 2, 1000)
    y = np.zeros(1000, dtype=np.int64)
    y[300:400] = 1
    rates = [each.rate for each in build_reference(margin, margin, y, np.ones(1000), percentiles=BIN_PERCENTILES).bins]
    assert rates == sorted(rates)
    assert len(rates) < 13
