"""Rounding, knots, the partial likelihood of Cox and the second opinion: worked out by hand."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from models_onnx.errors import ParityRefused, TrainingRefused
from models_onnx.spec import AdditiveCox, AdditiveLogistic, InputSpec
from models_onnx.workbench.compiler.link import LOGIT, Survival
from models_onnx.workbench.training.data.follow_up import FittingRows, Observed
from models_onnx.workbench.training.fitting import additive
from models_onnx.workbench.training.fitting.additive import (
    Hazards,
    Hinges,
    Linear,
    _RiskSets,
    at_least,
    at_most,
    fit_cox,
    fit_cox_model,
    fit_logistic,
    largest_difference,
    place_knots,
    significant,
)

Array = NDArray[np.float64]


@pytest.mark.parametrize(
    ("value", "rounded", "low", "high"),
    [
        (0.123456789, 0.1234568, 0.1234567, 0.1234568),
        (123456712.0, 123456700.0, 123456700.0, 123456800.0),
        (-0.123456789, -0.1234568, -0.1234568, -0.1234567),
        (99.999999, 100.0, 99.99999, 100.0),
        (0.1, 0.1, 0.1, 0.1),
        (0.0, 0.0, 0.0, 0.0),
    ],
)
def test_seven_digits_rounded_down_and_up(value: float, rounded: float, low: float, high: float) -> None:
    assert (significant(value), at_most(value), at_least(value)) == (rounded, low, high)


def test_so_many_digits() -> None:
    assert [significant(2.0 / 3.0, digits) for digits in (1, 3, 8)] == [0.7, 0.667, 0.66666667]
    assert (at_most(2.0 / 3.0, 3), at_least(1.0 / 3.0, 3)) == (0.666, 0.334)


def test_knots_are_the_lowest_value_and_quantiles_between() -> None:
    X = np.array([[0.0, 1.0, 3.0], [10.0, 0.0, 3.0], [20.0, np.nan, 3.0], [30.0, 1.0, np.nan], [40.0, 0.0, 3.0]])
    hinges = place_knots(X, 3)
    assert hinges.knots == ((0.0, 10.0, 20.0, 30.0), (0.0,), (3.0,))
    assert hinges.tops == (40.0, 1.0, 3.0)
    assert hinges.owner.tolist() == [0, 0, 0, 0, 1, 2]
    assert place_knots(X, 0).knots == ((0.0,), (0.0,), (3.0,))
    # three values have quantiles of their own; declared knots count between the ends, an end itself does not
    assert place_knots(np.array([[1.0], [2.0], [3.0]]), 1).knots == ((1.0, 2.0),)
    assert place_knots(X[:, :1], 3, [(0.0, 0.5, 39.5, 40.0)]).knots == ((0.0, 0.5, 39.5),)
    assert place_knots(X[:, :1], 3, [()]).knots == ((0.0,),)


def test_the_basis_is_what_lies_above_each_knot_up_to_the_top() -> None:
    hinges = Hinges(((0.0, 10.0), (5.0,)), (20.0, 8.0))
    X = np.array([[12.0, 9.0], [25.0, 4.0], [-3.0, np.nan]])
    nan = np.nan
    assert np.array_equal(hinges.expand(X), [[12.0, 2.0, 3.0], [20.0, 10.0, 0.0], [0.0, 0.0, nan]], equal_nan=True)


@pytest.mark.parametrize(("time", "hazard"), [(0.5, 0.0), (1.0, 0.25), (1.999, 0.25), (2.0, 0.75), (9.0, 0.75)])
def test_the_hazard_until_a_time_counts_what_happens_at_it(time: float, hazard: float) -> None:
    assert Hazards(np.zeros(1), np.array([1.0, 2.0]), np.array([0.25, 0.75])).until(time) == hazard


# Five people: two die at 2, one is lost at 2, one dies at 3, one is lost at 4.
Z = np.array([[1.0, 0.0], [0.5, -1.0], [-1.0, 2.0], [0.0, 1.0], [2.0, 0.5]])
TIME, EVENT = np.array([2.0, 2.0, 2.0, 3.0, 4.0]), np.array([True, True, False, True, False])
BETA = np.array([0.3, -0.2])


def _likelihood(beta: Array) -> float:
    eta = Z @ beta
    everybody, later = np.exp(eta).sum(), np.exp(eta[3:]).sum()
    return float(eta[0] + eta[1] - 2 * np.log(everybody) + eta[3] - np.log(later))


def test_the_partial_likelihood_its_slope_and_its_curvature() -> None:
    """Breslow: each of two deaths at once is out of everybody who was still there."""
    order = np.array([3, 0, 4, 2, 1])
    risk = _RiskSets(Z[order], TIME[order], EVENT[order])
    assert risk.likelihood(BETA) == pytest.approx(_likelihood(BETA), abs=1e-12)
    gradient, curvature = risk.derivatives(BETA)
    for position in range(2):
        step = 1e-5 * np.eye(2)[position]
        slope = (_likelihood(BETA + step) - _likelihood(BETA - step)) / 2e-5
        assert gradient[position] == pytest.approx(slope, abs=1e-8)
        bend = (risk.derivatives(BETA - step)[0] - risk.derivatives(BETA + step)[0]) / 2e-5
        assert curvature[position] == pytest.approx(bend, abs=1e-8)
    times, cumulative = risk.baseline(BETA)
    weight = np.exp(Z @ BETA)
    assert times.tolist() == [2.0, 3.0]
    assert cumulative == pytest.approx([2 / weight.sum(), 2 / weight.sum() + 1 / weight[3:].sum()])


@pytest.mark.parametrize("penalty", [0.5, 4.0])
def test_at_the_fit_the_slope_is_that_of_the_penalty(penalty: float) -> None:
    fitted = fit_cox(Z, TIME, EVENT, penalty)
    gradient, _ = _RiskSets(Z, TIME, EVENT).derivatives(fitted.coefficients)
    assert gradient == pytest.approx(penalty * fitted.coefficients, abs=1e-8)
    assert fitted.times.tolist() == [2.0, 3.0]


def test_a_regression_in_which_steps_overshoot_is_fitted_all_the_same() -> None:
    """Inputs so far apart that a whole step from nothing overflows any plausible weight."""
    draw = np.random.default_rng(4)
    far = np.column_stack([draw.standard_cauchy(60) * 20.0, draw.normal(size=60)])
    time, event = draw.exponential(1.0, 60), draw.random(60) < 0.7
    fitted = fit_cox(far, time, event, 0.01)
    gradient, _ = _RiskSets(far, time, event).derivatives(fitted.coefficients)
    assert gradient == pytest.approx(0.01 * fitted.coefficients, abs=1e-6)


def test_a_cox_regression_is_refused_where_nothing_happened_or_it_does_not_settle() -> None:
    with pytest.raises(TrainingRefused, match=r"^nobody had the event: there is nothing to fit$"):
        fit_cox(Z, TIME, np.zeros(5, dtype=bool), 1.0)
    apart = np.array([[1.0], [0.0], [0.0]])  # who dies first has it alone: no coefficient is high enough
    with pytest.raises(TrainingRefused) as refusal:
        fit_cox(apart, np.array([1.0, 2.0, 3.0]), np.array([True, False, False]), 0.0)
    assert str(refusal.value) == (
        "the Cox regression does not settle: raise the penalty or leave out inputs that repeat"
    )


INPUTS = (InputSpec("age_years"), InputSpec("sbp_mmhg"))


def _rows(count: int = 40) -> FittingRows:
    """The last ten are followed by nobody; the reference are the first twenty."""
    draw = np.random.default_rng(3)
    X = np.column_stack([draw.uniform(40, 80, count), draw.uniform(90, 180, count)])
    X[3, 1] = np.nan
    y = (draw.random(count) < 0.5).astype(np.int64)
    weight = np.where(np.arange(count) < 30, 1.0 + np.arange(count) % 3, 0.0)
    observed = Observed(y, weight, np.where(y == 1, draw.uniform(0.5, 4, count), 5.0), y == 1)
    return FittingRows(INPUTS, X, observed, np.arange(count) < 20)


def test_a_logistic_fit_counts_whom_it_followed_by_weight_and_is_scaled_on_the_reference() -> None:
    people = _rows()
    model = fit_logistic(AdditiveLogistic(knots=1, C=2.0), people)
    basis = model.hinges.expand(people.X)
    assert model.scaler.mean_ == pytest.approx(np.nanmean(basis[:20], axis=0))
    scaled = model.scaled(people.X)
    assert not np.isnan(scaled).any()
    residual = people.weight * (people.observed.y - LOGIT.probability(model.margin(people.X)))
    assert scaled.T @ residual == pytest.approx(model.coefficients / 2.0, abs=1e-6)
    assert residual.sum() == pytest.approx(0.0, abs=1e-6)
    garbled = replace(people.observed, y=np.where(np.arange(40) < 30, people.observed.y, 1 - people.observed.y))
    again = fit_logistic(AdditiveLogistic(knots=1, C=2.0), replace(people, observed=garbled))
    assert again.coefficients.tolist() == model.coefficients.tolist()


def test_contributions_are_those_of_an_inputs_own_columns() -> None:
    people = _rows()
    model = fit_logistic(AdditiveLogistic(knots=1, C=2.0), people)
    probability, contributions = model.oracle(people.X)
    assert contributions.shape == (40, 2)
    assert contributions.sum(axis=1) + model.intercept == pytest.approx(model.margin(people.X))
    assert contributions[3, 1] == 0.0
    assert probability == pytest.approx(LOGIT.probability(model.margin(people.X)))


def test_a_recalibrated_fit_says_the_same_in_scikit_learns_words_or_without() -> None:
    people = _rows()
    model = fit_logistic(AdditiveLogistic(knots=1, C=2.0), people)
    moved = model.recalibrated(0.5, 2.0)
    assert moved.intercept == pytest.approx(0.5 + 2.0 * model.intercept)
    assert moved.coefficients == pytest.approx(2.0 * model.coefficients)
    assert moved.regression is not None
    assert moved.regression.predict_proba(moved.scaled(people.X))[:, 1] == pytest.approx(
        LOGIT.probability(0.5 + 2.0 * model.margin(people.X))
    )
    assert replace(model, regression=None).recalibrated(0.5, 2.0).regression is None


def test_the_lines_have_slopes_in_each_inputs_unit_and_end_where_the_range_does() -> None:
    people = _rows()
    model = fit_logistic(AdditiveLogistic(knots=1, C=2.0), people)
    form = model.form(("age_years", "sbp_mmhg"), (None, float("inf")), people.X)
    assert form.base == significant(model.intercept, 8)
    first, second = form.lines
    weights = model.coefficients / model.scaler.scale_
    assert first.weights == tuple(significant(float(weight)) for weight in weights[:2])
    assert second.weights == tuple(significant(float(weight)) for weight in weights[2:])
    assert (first.top, first.high, second.top, second.high) == (
        model.hinges.tops[0], model.hinges.tops[0], model.hinges.tops[1], float("inf"),
    )  # fmt: skip
    assert form.margin(people.X) == pytest.approx(model.margin(people.X), abs=1e-5)


def test_a_cox_model_has_a_hazard_for_each_horizon_up_to_its_own() -> None:
    people = _rows()
    model = fit_cox_model(AdditiveCox(knots=0, penalty=10.0, horizons_years=(1.0, 2.0, 4.0, 7.0)), people, 4.0)
    assert isinstance(model.link, Survival)
    assert model.link.horizons == (1.0, 2.0, 4.0)
    _, _, basis = additive.basis_of(0, people)
    cox = fit_cox(basis, people.observed.years, people.observed.event, 10.0)
    risk = model.link.risk(np.array([model.intercept]))[0]
    assert risk == pytest.approx([1 - np.exp(-cox.until(year)) for year in (1.0, 2.0, 4.0)], rel=1e-6)
    assert all(earlier < later for earlier, later in pairwise(risk.tolist()))
    assert model.intercept == model.link.log_hazard


@pytest.mark.parametrize(("by", "is_refused"), [(0.8e-5, False), (1.3e-5, True)])
def test_a_second_opinion_that_differs_by_more_than_a_hundred_thousandth_is_refused(
    by: float, is_refused: bool
) -> None:
    people = _rows()
    model: Linear = fit_logistic(AdditiveLogistic(knots=1, C=2.0), people)
    rows = people.X.astype(np.float32)
    probability = model.oracle(rows.astype(np.float64))[0]
    assert largest_difference(model, rows, probability) < 1e-6
    if is_refused:
        with pytest.raises(ParityRefused, match=r"^skl2onnx's conversion differs by up to 1.3.e-05 \(limit 1e-05\)$"):
            largest_difference(model, rows, probability + by)
    else:
        assert largest_difference(model, rows, probability + by) == pytest.approx(by, abs=1e-6)
