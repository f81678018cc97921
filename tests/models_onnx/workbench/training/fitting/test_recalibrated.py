"""The shift of an earlier version's margin: as many events are expected as were observed."""

import numpy as np
import pytest

from models_onnx.workbench.compiler.link import LOGIT, Survival
from models_onnx.workbench.training.fitting.recalibrated import intercept_of


def test_the_shift_of_people_alike_is_the_logarithm_of_their_odds() -> None:
    """Three of four by weight have it, and the margin says 1 : 1 at -2."""
    margin, y, weight = np.full(3, -2.0), np.array([1, 0, 1]), np.array([1.0, 1.0, 2.0])
    assert intercept_of(margin, y, weight, LOGIT) == pytest.approx(2.0 + np.log(3.0), abs=1e-12)


def test_with_the_shift_as_many_events_are_expected_as_were_observed() -> None:
    draw = np.random.default_rng(1)
    margin, weight = draw.normal(-1.0, 2.0, 50), draw.uniform(0.5, 2.0, 50)
    y = (draw.random(50) < 0.4).astype(np.int64)
    for link in (LOGIT, Survival.at({1.0: 0.1, 2.0: 0.25}, 2.0)):
        shift = intercept_of(margin, y, weight, link)
        assert float(weight @ link.probability(margin + shift)) == pytest.approx(float(weight @ y), abs=1e-9)


@pytest.mark.parametrize(("outcome", "end"), [(1, 20.0), (0, -20.0)])
def test_where_everybody_or_nobody_had_the_event_the_shift_ends_at_twenty(outcome: int, end: float) -> None:
    y = np.full(4, outcome)
    assert intercept_of(np.full(4, 0.25), y, np.ones(4), LOGIT) == pytest.approx(end, abs=1e-9)
