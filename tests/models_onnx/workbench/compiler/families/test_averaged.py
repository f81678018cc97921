"""Calibrations and averages by hand, and the file that says the same."""

import numpy as np
import pytest
from numpy.typing import NDArray

from models_onnx.workbench.compiler.explaining_graph import write_file
from models_onnx.workbench.compiler.families.averaged import Averaged, Calibration, Member, isotonic
from models_onnx.workbench.compiler.families.piecewise import BrokenLine, Curve, PiecewiseLinear
from models_onnx.workbench.compiler.link import LOGIT
from tests.models_onnx.workbench.compiler.people import says
from tests.models_onnx.workbench.compiler.test_compile import REFERENCE

Array = NDArray[np.float64]


def _model(base: float, first: float, second: float, knot: float = 0.0) -> PiecewiseLinear:
    return PiecewiseLinear(
        (
            BrokenLine("a", (knot, 5.0), (first, 0.0), 0.25, 10.0, 10.0),
            BrokenLine("b", (0.0,), (second,), 0.0, 8.0, 8.0),
        ),
        base,
    )


CURVE = isotonic([0.2, 0.5, 0.9], [0.1, 0.4, 0.8])
STRAIGHT = Calibration(((0.5, 2.0),))
STEPPED = Calibration(((0.0, 1.0), CURVE))
FIRST, SECOND = Member(_model(-1.0, 0.5, -0.25), STRAIGHT), Member(_model(0.5, 0.25, 0.125, 1.0), STEPPED)
ROWS = np.array([[1.0, 2.0], [9.0, 0.0], [np.nan, 3.0], [0.5, np.nan], [0.5, 0.0], [1.5, 0.0]])


def test_a_calibration_is_a_sigmoid_of_a_line_and_then_a_curve() -> None:
    assert STRAIGHT.probability(np.array([0.0, 1.0])) == pytest.approx(1 / (1 + np.exp(-np.array([0.5, 2.5]))))
    assert STEPPED.probability(np.array([0.0])) == pytest.approx([0.4])
    assert STRAIGHT.slope(0.25) == pytest.approx(2.0 * 0.25 * (1 / np.cosh(0.5)) ** 2, abs=1e-8)


@pytest.mark.parametrize(
    ("x", "y"), [(0.0, 0.1), (0.2, 0.1), (0.35, 0.25), (0.5, 0.4), (0.7, 0.6), (0.9, 0.8), (1.0, 0.8)]
)
def test_an_isotonic_calibration_goes_from_point_to_point_and_is_level_beyond(x: float, y: float) -> None:
    assert CURVE.values(np.array([x])) == pytest.approx([y])
    assert isotonic([0.3], [0.7]).values(np.array([x])) == pytest.approx([0.7])


def test_a_share_is_the_contribution_by_the_mean_slope_on_the_way_from_the_reference() -> None:
    contributions = FIRST.model.contributions(ROWS)
    away = contributions.sum(axis=1)
    gained = STRAIGHT.probability(-1.0 + away) - STRAIGHT.probability(np.array([-1.0]))
    assert away[4] == 0.0, "0.5 x 0.5 - 0.25"
    expected = contributions[:3] * (gained[:3] / away[:3])[:, None]
    assert FIRST.share(ROWS)[:3] == pytest.approx(expected)
    assert FIRST.share(ROWS).sum(axis=1) == pytest.approx(gained)
    # at the reference itself, where nothing is gained by what cancels, the slope there counts
    cancels = np.array([[1.5, 2.0]])  # 0.5 and -0.5
    assert FIRST.share(cancels) == pytest.approx(np.array([[0.5, -0.5]]) * STRAIGHT.slope(-1.0), abs=1e-9)


@pytest.mark.parametrize(("weights", "of_first"), [((), 0.5), ((3.0, 1.0), 0.75), ((0.5, 1.5), 0.25)])
def test_the_mean_of_members_by_their_weights_in_numpy_and_in_the_file(
    weights: tuple[float, ...], of_first: float
) -> None:
    model = Averaged((FIRST, SECOND), weights=weights)
    first, second = (member.calibration.probability(member.model.margin(ROWS)) for member in (FIRST, SECOND))
    assert model.margin(ROWS) == pytest.approx(of_first * first + (1 - of_first) * second)
    shares = of_first * FIRST.share(ROWS) + (1 - of_first) * SECOND.share(ROWS)
    assert model.contributions(ROWS) == pytest.approx(shares)
    before = [float(member.calibration.probability(np.array([member.model.base]))[0]) for member in (FIRST, SECOND)]
    assert model.base == pytest.approx(of_first * before[0] + (1 - of_first) * before[1])
    told = says(write_file("m", model, REFERENCE, {}), ROWS)
    assert told["contributions"] == pytest.approx(shares, abs=1e-7)
    assert told["probability"] == pytest.approx(model.margin(ROWS), abs=1e-7)


def test_a_recalibrated_mean_is_a_line_on_it() -> None:
    model = Averaged((FIRST, SECOND))
    moved = model.recalibrated(0.1, 0.5).recalibrated(0.05, 0.8)
    assert (moved.scale, moved.shift) == pytest.approx((0.4, 0.13))
    assert moved.margin(ROWS) == pytest.approx(0.13 + 0.4 * model.margin(ROWS))
    assert moved.contributions(ROWS) == pytest.approx(0.4 * model.contributions(ROWS))
    assert moved.base == pytest.approx(0.13 + 0.4 * model.base)
    told = says(write_file("m", moved, REFERENCE, {}), ROWS)
    assert told["contributions"] == pytest.approx(moved.contributions(ROWS), abs=1e-7)


def test_the_inputs_their_range_and_the_edges_of_every_member() -> None:
    model = Averaged((FIRST, SECOND))
    assert (model.features, model.low, model.high, model.link.name) == (("a", "b"), (0.0, 0.0), (10.0, 8.0), "identity")
    assert model.edges == ((0.0, 1.0, 5.0, 10.0), (0.0, 8.0))
    assert LOGIT.probability(np.zeros(1)).tolist() == [0.5]
    assert isinstance(CURVE, Curve)
