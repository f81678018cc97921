"""An earlier version on new people: the line of its margin, or the shift with which as many events are expected."""

import math
from pathlib import Path

import numpy as np
import pytest

from models_onnx.spec import InputSpec, Recalibrated
from models_onnx.workbench.compiler.explaining_graph import write_file
from models_onnx.workbench.compiler.families.piecewise import BrokenLine, PiecewiseLinear
from models_onnx.workbench.compiler.link import LOGIT, Link, Survival
from models_onnx.workbench.training.data.follow_up import FittingRows, Observed
from models_onnx.workbench.training.fitting.additive import Linear
from models_onnx.workbench.training.fitting.own import Own
from models_onnx.workbench.training.fitting.recalibrated import intercept_of, recalibrate
from tests.models_onnx.workbench.compiler.test_compile import REFERENCE


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


INPUTS = (InputSpec("age_years"), InputSpec("sbp_mmhg"))


def _earlier(folder: Path, link: Link = LOGIT) -> Path:
    """A file whose margin is that of the age less 51, in tens, and that knows the pressure too."""
    lines = (
        BrokenLine("age_years", (1.0,), (0.1,), 5.0, 100.0, 100.0),
        BrokenLine("sbp_mmhg", (0.0,), (0.0,), 0.0, 200.0, 200.0),
    )
    metadata = {"features": '["age_years", "sbp_mmhg"]'}
    (folder / "m.onnx").write_bytes(write_file("m", PiecewiseLinear(lines, 0.0, link), REFERENCE, metadata))
    return folder / "m.onnx"


def _people(low: float, high: float, inputs: tuple[InputSpec, ...] = INPUTS) -> FittingRows:
    """Of a hundred people of 41, whose margin is -1, and of a hundred of 61 these shares had it; two count nowhere."""
    X = np.tile([120.0], (30, 2))
    X[:, 0] = [41.0, 41.0, 61.0, 61.0, 91.0, 11.0] * 5
    y = np.array([1, 0, 1, 0, 0, 1] * 5)
    weight = np.array([20 * low, 20 * (1 - low), 20 * high, 20 * (1 - high), 0.0, 0.0] * 5)
    observed = Observed(y, weight, np.ones(30), y == 1)
    return FittingRows(inputs, X[:, : len(inputs)], observed, np.arange(30) < 25)


ROWS = np.array([[41.0, 0.0], [51.0, 0.0], [61.0, 0.0]])


def test_slope_and_intercept_are_those_of_the_rates_of_two_kinds_of_people(tmp_path: Path) -> None:
    declared = Recalibrated(_earlier(tmp_path), "others", slope=True)
    model = recalibrate(declared, _people(0.2, 0.6))
    low, high = math.log(0.2 / 0.8), math.log(0.6 / 0.4)
    assert isinstance(model, Own)
    assert (model.features, model.deepest) == (("age_years", "sbp_mmhg"), 4)
    assert model.margin(ROWS).tolist() == pytest.approx([low, (low + high) / 2, high], abs=1e-6)
    survival = Recalibrated(_earlier(tmp_path, Survival.at({1.0: 0.1, 5.0: 0.6}, 5.0)), "others", slope=True)
    told = recalibrate(survival, _people(0.2, 0.6)).margin(ROWS)
    low, high = (math.log(-math.log(1 - rate)) for rate in (0.2, 0.6))
    assert told.tolist() == pytest.approx([low, (low + high) / 2, high], abs=1e-6)


def test_an_intercept_alone_keeps_the_slope(tmp_path: Path) -> None:
    """The log odds of one in five at -1 and of the mirror image at 1: both at once expect what they have at a shift."""
    declared = Recalibrated(_earlier(tmp_path), "others", slope=False)
    shift = recalibrate(declared, _people(0.5, 0.5)).margin(ROWS)
    assert shift.tolist() == pytest.approx([-1.0, 0.0, 1.0], abs=1e-9)
    moved = recalibrate(declared, _people(0.8, 0.6)).margin(ROWS)
    assert (moved[1] - moved[0], moved[2] - moved[1]) == pytest.approx((1.0, 1.0))
    expected = 1 / (1 + np.exp(-moved[0])) + 1 / (1 + np.exp(-moved[2]))
    assert expected == pytest.approx(0.8 + 0.6, abs=1e-9)


def test_few_inputs_beside_the_model_are_fitted_on_their_own(tmp_path: Path) -> None:
    declared = Recalibrated(_earlier(tmp_path), "others", slope=True)
    assert isinstance(recalibrate(declared, _people(0.2, 0.6, INPUTS[:1])), Linear)
