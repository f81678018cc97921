"""The basis, the fits and the lines that are written all say the same."""

import numpy as np
import pytest
from numpy.typing import NDArray

from models_onnx.spec import AdditiveCox, AdditiveLogistic
from models_onnx.workbench.training.data.cohort import Cohort
from models_onnx.workbench.training.data.follow_up import FittingRows
from models_onnx.workbench.training.fitting.additive import fit_cox, fit_cox_model, fit_logistic, place_knots
from models_onnx.workbench.training.fitting.fit import Fit
from tests.libraries import statsmodels
from tests.models_onnx.invented import INVENTED

COX = AdditiveCox(knots=2, penalty=5.0, horizons_years=(1, 2))


def people(cohort: Cohort) -> FittingRows:
    """Everybody of the cohort."""
    return FittingRows(INVENTED.inputs, cohort.X, cohort.observed, cohort.recent)


@pytest.fixture(scope="module", params=["logistic", "cox"])
def fitted(request: pytest.FixtureRequest, cohort: Cohort) -> Fit:
    """Either model on the invented cohort."""
    if request.param == "cox":
        return fit_cox_model(COX, people(cohort), 5.0)
    assert isinstance(INVENTED.estimator, AdditiveLogistic)
    return fit_logistic(INVENTED.estimator, people(cohort))


def test_knots_begin_at_the_lowest_value_rise_and_end_below_the_top(cohort: Cohort) -> None:
    hinges = place_knots(cohort.X, 4)
    for knots, top, column in zip(hinges.knots, hinges.tops, cohort.X.T, strict=True):
        assert knots[0] == np.nanmin(column)
        assert list(knots) == sorted(set(knots))
        assert knots[-1] < top == np.nanmax(column)
    assert len(hinges.knots[0]) == 5
    assert hinges.knots[1] == (0.0,)


def test_the_basis_is_missing_where_the_input_is(cohort: Cohort) -> None:
    hinges = place_knots(cohort.X, 2)
    spread = hinges.expand(cohort.X)
    assert (np.isnan(spread) == np.isnan(cohort.X)[:, hinges.owner]).all()


def test_declared_knots_are_taken_instead_of_quantiles(cohort: Cohort) -> None:
    declared = [None] * cohort.X.shape[1]
    hinges = place_knots(cohort.X, 4, [(50.0, 60.0), *declared[1:]])
    assert hinges.knots[0] == (40.0, 50.0, 60.0)


def test_the_reference_cohorts_mean_contribution_is_nothing(fitted: Fit, cohort: Cohort) -> None:
    means = fitted.oracle(cohort.X[cohort.recent])[1].mean(axis=0)
    assert np.abs(means).max() < 1e-12


def test_the_lines_say_what_was_fitted(fitted: Fit, cohort: Cohort) -> None:
    assert np.abs(fitted.library(cohort.X)[0] - fitted.margin(cohort.X)).max() < 1e-5
    highest = np.nanmax(cohort.X, axis=0)
    clipped = [item.clip_high is not None for item in INVENTED.inputs]
    assert fitted.model.high == pytest.approx(np.where(clipped, np.inf, highest))


def drawn() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Inputs, months with many ties, and who died."""
    draw = np.random.default_rng(0)
    Z = draw.normal(size=(400, 3))
    time = np.ceil(10 * draw.exponential(np.exp(-Z @ [0.5, -0.3, 0.0])))
    left = draw.integers(1, 30, 400)
    return Z, np.minimum(time, left).astype(float), time <= left


def test_cox_without_a_penalty_is_that_of_statsmodels() -> None:
    Z, time, event = drawn()
    mine = fit_cox(Z, time, event, 0.0)
    theirs = statsmodels.PHReg(time, Z, status=event.astype(int), ties="breslow").fit()
    assert mine.coefficients == pytest.approx(theirs.params, abs=1e-8)
    at, hazard, _ = theirs.baseline_cumulative_hazard[0]
    for month in (1.0, 5.0, 12.0):
        # statsmodels counts what happened before that time, we what happened until then
        assert mine.until(month - 0.5) == pytest.approx(hazard[np.searchsorted(at, month)], abs=1e-8)


def test_a_penalty_draws_the_coefficients_to_nothing() -> None:
    Z, time, event = drawn()
    drawn_in, free = (fit_cox(Z, time, event, penalty).coefficients for penalty in (500.0, 0.0))
    assert np.abs(drawn_in).sum() < np.abs(free).sum()
