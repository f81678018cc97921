"""The likelihoods of the survival models, their slopes and curvatures, and the intervals: worked out by hand."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models_onnx.errors import TrainingRefused
from models_onnx.spec import InputSpec, IntervalHazards, WeibullTimes
from models_onnx.workbench.compiler.link import Survival
from models_onnx.workbench.training.data.follow_up import FittingRows, Observed
from models_onnx.workbench.training.fitting import hazards
from models_onnx.workbench.training.fitting.hazards import _Climb, fit_hazards

Array = NDArray[np.float64]

# Three rows of two intervals and an input: the event in the first, half of the second one, the event in it.
DESIGN = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, -1.0], [0.0, 1.0, 2.0]])
SHARES, HAPPENED = np.array([1.0, 0.5, 1.0]), np.array([1.0, 0.0, 1.0])
PENALTY = np.array([0.0, 0.0, 3.0])
THETA = np.array([-0.5, 0.25, 0.125])
LOG_YEARS, EVENT = np.log([0.5, 2.0, 3.0]), np.array([1.0, 0.0, 1.0])
FLAT = np.array([[1.0, 0.5], [1.0, -1.0], [1.0, 2.0]])


def _grouped(theta: Array) -> _Climb:
    return hazards._grouped(theta, DESIGN, SHARES, HAPPENED, PENALTY)


def _weibull(theta: Array) -> _Climb:
    return hazards._weibull(theta, FLAT, LOG_YEARS, EVENT, PENALTY)


def test_the_likelihood_of_hazards_by_interval() -> None:
    """An event has the probability 1 - exp(-exp(a + xb)), who is lost halfway exp(-exp(a + xb) / 2)."""
    first, second, third = np.exp([-0.5 + 0.0625, 0.25 - 0.125, 0.25 + 0.25])
    value = np.log(1 - np.exp(-first)) - second / 2 + np.log(1 - np.exp(-third)) - 1.5 * 0.125**2
    assert _grouped(THETA).value == pytest.approx(value, abs=1e-12)


def test_the_likelihood_of_weibulls_times() -> None:
    """Log density: log r + (r - 1) log t + a + xb, and for everybody minus t^r exp(a + xb)."""
    shape, times = np.exp(-0.5), np.array([0.5, 2.0, 3.0])
    predictor = 0.25 + np.array([0.0625, -0.125, 0.25])
    value = sum(-0.5 + (shape - 1) * np.log(times[row]) + predictor[row] for row in (0, 2))
    value -= (times**shape * np.exp(predictor)).sum() + 1.5 * 0.125**2
    assert _weibull(THETA).value == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize("likelihood", [_grouped, _weibull])
def test_slope_and_curvature_are_those_of_the_likelihood(likelihood: Callable[[Array], _Climb]) -> None:
    here, small = likelihood(THETA), 1e-5
    for position in range(3):
        step = small * np.eye(3)[position]
        ahead, behind = likelihood(THETA + step), likelihood(THETA - step)
        assert here.gradient[position] == pytest.approx((ahead.value - behind.value) / (2 * small), abs=1e-8)
        bend = -(ahead.gradient - behind.gradient) / (2 * small)
        assert here.curvature[position] == pytest.approx(bend, abs=1e-8)


@pytest.mark.parametrize(("theta", "value"), [(40.0, -np.exp(30.0) / 2), (-40.0, 2 * np.log(1e-12))])
def test_a_hazard_beyond_all_reason_stays_a_number(theta: float, value: float) -> None:
    """At -40 events are as good as impossible, at 40 nobody is left; exp(30) and 1e-12 are the ends."""
    climb = hazards._grouped(np.array([theta, theta, 0.0]), DESIGN, SHARES, HAPPENED, 0 * PENALTY)
    assert climb.value == pytest.approx(value, rel=1e-9, abs=1e-6)
    assert np.isfinite(climb.gradient).all()
    assert np.isfinite(climb.curvature).all()
    far = hazards._weibull(np.array([0.0, theta, 0.0]), FLAT, LOG_YEARS, EVENT, 0 * PENALTY)
    assert far.value == pytest.approx(2 * theta - 3 * np.exp(np.clip(theta, -30, 30)), rel=1e-9)


def test_no_hazard_is_greater_than_one_with_a_reciprocal() -> None:
    climb = hazards._grouped(np.array([6.5, 0.0, 0.0]), DESIGN[:1], SHARES[:1], HAPPENED[:1], 0 * PENALTY)
    assert climb.value == 0.0
    assert 0.0 < climb.gradient[0] < 1e-200


@pytest.mark.parametrize(
    ("event_years", "horizons", "ends"),
    [
        (np.arange(1.0, 13.0), [13.0], [*np.arange(1.0, 12.0), 13.0]),
        # within a hundred-and-twentieth of a horizon none of our own: 10 / 120 = 0.083
        (np.array([2.0, 5.0, 8.0]), [5.08, 10.0], [2.0, 5.08, 10.0]),
        (np.array([2.0, 4.99, 5.05, 8.0]), [5.08, 10.0], [2.0, 4.99, 5.08, 10.0]),
        # none of our own after which nobody has the event before the next end
        (np.array([2.0, 4.99, 8.0]), [5.08, 10.0], [2.0, 5.08, 10.0]),
        # everybody at the end has it there
        (np.full(9, 2.0), [2.0], [2.0]),
        # a horizon stays although nobody had the event up to it
        (np.array([3.0, 4.0]), [1.0, 5.0], [1.0, 3.0, 5.0]),
    ],
)  # fmt: skip
def test_intervals_end_at_the_horizons_and_between_them_where_events_are(
    event_years: Array, horizons: list[float], ends: list[float]
) -> None:
    assert hazards._interval_ends(event_years, horizons) == ends


def test_everybody_has_a_row_for_each_interval_begun() -> None:
    """To 2 years in two intervals: an event at 1, one at 1.5, one lost at 0.25, one at the end, one who had it at 2."""
    Z = np.array([[10.0], [20.0], [30.0], [40.0], [50.0]])
    years, event = np.array([1.0, 1.5, 0.25, 2.0, 2.0]), np.array([1.0, 1.0, 0.0, 0.0, 1.0])
    design, shares, happened = hazards._intervals(Z, years, event, [1.0, 2.0])
    assert design.tolist() == [
        [1, 0, 10], [1, 0, 20], [1, 0, 30], [1, 0, 40], [1, 0, 50],
        [0, 1, 20], [0, 1, 40], [0, 1, 50],
    ]  # fmt: skip
    assert shares.tolist() == [1.0, 1.0, 0.25, 1.0, 1.0, 1.0, 1.0, 1.0]
    assert happened.tolist() == [1, 0, 0, 0, 0, 1, 0, 1]


def test_an_interval_without_an_event_is_refused_with_its_ends() -> None:
    with pytest.raises(TrainingRefused) as refusal:
        hazards._intervals(np.zeros((2, 1)), np.array([0.5, 2.0]), np.array([0.0, 1.0]), [1.0, 2.5])
    assert str(refusal.value) == "nobody had the event between 0 and 1 years: leave out this horizon"


def _hill(point: Array) -> _Climb:
    """A hill whose top is at (1, -2)."""
    away = point - np.array([1.0, -2.0])
    steep = np.array([2.0, 8.0])
    return _Climb(float(-0.5 * steep @ away**2), -steep * away, np.diag(steep))


def test_newtons_method_finds_the_top() -> None:
    assert hazards._maximise(_hill, np.array([50.0, 50.0])) == pytest.approx([1.0, -2.0], abs=1e-8)


def test_a_step_beyond_the_top_is_halved_until_it_is_no_worse() -> None:
    """A curvature a hundredth of the true one: the whole step would go a hundred times too far."""
    seen: list[float] = []

    def flat(point: Array) -> _Climb:
        seen.append(float(point[0]))
        return _Climb(float(-(point[0] ** 2)), -2.0 * point, np.array([[0.02]]))

    assert hazards._maximise(flat, np.array([1.0])) == pytest.approx([0.0], abs=1e-7)
    # from 1 the steps of 100, 50, 25, 12.5, 6.25, 3.125 overshoot; 1.5625 reaches -0.5625, which is higher
    assert seen[1:8] == pytest.approx([-99.0, -49.0, -24.0, -11.5, -5.25, -2.125, -0.5625], abs=1e-5)


def test_what_does_not_settle_is_refused() -> None:
    def endless(point: Array) -> _Climb:
        return _Climb(float(point[0]), np.array([1.0]), np.array([[1.0]]))

    with pytest.raises(TrainingRefused) as refusal:
        hazards._maximise(endless, np.array([0.0]))
    assert str(refusal.value) == (
        "the survival model does not settle: raise the penalty or leave out inputs that repeat"
    )


def _people(years: list[float], event: list[int]) -> FittingRows:
    happened = np.array(event)
    X = np.tile([[0.0], [1.0]], (len(event) // 2, 1))
    observed = Observed(happened, np.ones(len(event)), np.array(years), happened == 1)
    return FittingRows((InputSpec("age_years", knots=()),), X, observed, np.ones(len(event), dtype=bool))


def test_hazards_of_two_intervals_are_the_events_by_the_people_at_risk() -> None:
    """Of 8 one has it in the first year, of the 7 left two in the second; the penalty leaves the input nothing."""
    seen = _people([1, 2, 2, 2, 2, 2, 2, 2], [1, 1, 1, 0, 0, 0, 0, 0])
    model = fit_hazards(IntervalHazards(0, 1e9, (1.0, 2.0, 3.0)), seen, 2.0)
    assert isinstance(model.link, Survival)
    assert model.link.horizons == (1.0, 2.0)
    assert model.coefficients == pytest.approx([0.0], abs=1e-8)
    risk = model.link.risk(model.margin(np.array([[0.5]])))[0]
    assert risk == pytest.approx([1 / 8, 1 - 7 / 8 * 5 / 7], abs=1e-6)


def test_weibulls_times_of_people_alike() -> None:
    """The penalty leaves the input nothing: events by years^r at risk is the scale, for the r that is likeliest."""
    years = [0.5, 1.0, 1.5, 2.0, 2.0, 2.0]
    seen = _people(years, [1, 1, 1, 0, 0, 0])
    model = fit_hazards(WeibullTimes(0, 1e9, (1.0,)), seen, 2.0)
    assert isinstance(model.link, Survival)
    risk = model.link.risk(model.margin(np.array([[0.5]])))[0]
    hazard = -np.log(1 - risk)
    shape = float(np.log(hazard[1] / hazard[0]) / np.log(2.0))
    assert hazard[0] == pytest.approx(3 / sum(year**shape for year in years), abs=1e-6)
    # at the likeliest shape: 3 / r + sum of the log times of events = 3 times the mean log time weighted by t^r
    logs = sum(np.log(year) for year in years[:3])
    mean = sum(year**shape * np.log(year) for year in years) / sum(year**shape for year in years)
    assert 3 / shape + logs == pytest.approx(3 * mean, abs=1e-5)


@pytest.mark.parametrize("estimator", [IntervalHazards(0, 1.0, ()), WeibullTimes(0, 1.0, ())])
def test_a_table_in_which_nothing_happened_is_refused(estimator: Any) -> None:
    with pytest.raises(TrainingRefused, match=r"^nobody had the event: there is nothing to fit$"):
        fit_hazards(estimator, _people([1, 2], [0, 0]), 2.0)


def test_who_is_seen_on_the_first_day_only_counts_for_a_moment() -> None:
    seen = _people([0.0, 1.0, 2.0, 2.0], [1, 1, 0, 0])
    risks = []
    for years in (seen.observed.years, np.maximum(seen.observed.years, 1e-6)):
        model = fit_hazards(
            WeibullTimes(0, 10.0, ()),
            FittingRows(seen.inputs, seen.X, Observed(seen.observed.y, np.ones(4), years, seen.observed.event),
                        seen.reference),
            2.0,
        )  # fmt: skip
        risks.append(model.link.probability(model.margin(seen.X)).tolist())
    assert risks[0] == risks[1]
