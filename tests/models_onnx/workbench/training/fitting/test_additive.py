"""The basis, the fits and the lines that are written all say the same."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from numpy.typing import NDArray

from models_onnx.errors import DeclarationError, TrainingRefused
from models_onnx.models.mortality_5y import SPEC
from models_onnx.spec import AdditiveCox, AdditiveLogistic, CauseSpecificCox, FollowUp, InputSpec
from models_onnx.workbench.compiler.explaining_graph import compile_fitted
from models_onnx.workbench.compiler.families.incidence import IncidenceModel
from models_onnx.workbench.compiler.parity import proof_rows
from models_onnx.workbench.compiler.reference import build_reference
from models_onnx.workbench.training.data.cohort import Cohort
from models_onnx.workbench.training.data.follow_up import FittingRows, Observed, observe
from models_onnx.workbench.training.fitting.additive import (
    fit_causes,
    fit_cox,
    fit_cox_model,
    fit_logistic,
    place_knots,
)
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


Array = NDArray[np.float64]
INPUTS = (InputSpec("age_years", knots=()), InputSpec("sbp_mmhg", knots=()))
COMPETING_COX = CauseSpecificCox(0, 0.1, (1.0, 2.0))


def competing_people(count: int) -> FittingRows:
    """People with two constant hazards: the first input raises both, the second only the competing one."""
    draw = np.random.default_rng(8)
    X = draw.uniform(-1, 1, (count, 2))
    times = draw.exponential(1, (count, 2)) / np.column_stack(hazards(X))
    end = draw.uniform(1, 9, count)
    first = np.minimum(times.min(axis=1), end)
    event, other = (times[:, 0] <= first) & (first <= 3), (times[:, 1] <= first) & (first <= 3)
    years = np.where(other, 3.0, np.minimum(first, 3.0))
    ended = np.where(other, first, np.inf)
    observed = Observed(event.astype(np.int64), np.ones(count), years, event, competing=ended)
    return FittingRows(INPUTS, X, observed, np.ones(count, dtype=bool))


def hazards(X: Array) -> tuple[Array, Array]:
    return 0.1 * np.exp(0.9 * X[:, 0]), 0.2 * np.exp(0.6 * X[:, 0] + 1.1 * X[:, 1])


def true_risk(X: Array, years: float) -> Array:
    event, other = hazards(X)
    return np.asarray(event / (event + other) * -np.expm1(-(event + other) * years))


def _model(fit: Fit) -> IncidenceModel:
    assert isinstance(fit.model, IncidenceModel)
    return fit.model


def _risk(model: IncidenceModel, X: Array) -> Array:
    """The cumulative incidence at each horizon."""
    return model.link.probability(model.margins(X))


@pytest.fixture(scope="module")
def competing_fitted() -> tuple[FittingRows, IncidenceModel]:
    """The people and the model of them."""
    seen = competing_people(8000)
    return seen, _model(fit_causes(COMPETING_COX, seen, 3.0))


def test_the_risk_at_each_horizon_is_the_cumulative_incidence_that_people_were_made_with(
    competing_fitted: tuple[FittingRows, IncidenceModel],
) -> None:
    seen, model = competing_fitted
    assert model.link.horizons == (1.0, 2.0, 3.0)
    for column, years in enumerate(model.link.horizons):
        difference = _risk(model, seen.X)[:, column] - true_risk(seen.X, years)
        assert np.abs(difference).max() < 0.03
        assert abs(difference.mean()) < 0.005
    low, high = np.array([[0.0, -1.0]]), np.array([[0.0, 1.0]])
    assert _risk(model, high)[0, -1] < _risk(model, low)[0, -1], "who has the competing event sooner has this one less"


def test_the_file_gives_risk_and_shares_in_one_run_each_row_alone(
    competing_fitted: tuple[FittingRows, IncidenceModel],
) -> None:
    seen, model = competing_fitted
    form = model
    margin, count = form.margin(seen.X), len(seen.X)
    y, weight = seen.observed.y, np.ones(count)
    reference = build_reference(margin, margin, y, weight, form.link, None, (0, 50))
    names_of_inputs = {"features": '["age_years", "sbp_mmhg"]'}
    content, agreement = compile_fitted(
        "c",
        form,
        reference,
        names_of_inputs,
        lambda X: (model.link.probability(model.margin(X)), model.contributions(X)),
        proof_rows(seen.X, form),
    )
    assert agreement.probability < 1e-6
    assert agreement.contribution < 1e-9
    session = onnxruntime.InferenceSession(content)
    rows = seen.X[:37].astype(np.float32)
    names = ["probability", "risk", "contributions", "margin"]
    together = session.run(names, {"features": rows})
    np.testing.assert_allclose(together[1], _risk(model, rows.astype(np.float64)), atol=1e-6)
    for number in range(len(rows)):
        alone = session.run(names, {"features": rows[number : number + 1]})
        assert all(np.array_equal(one[0], many[number]) for one, many in zip(alone, together, strict=True))


def test_a_recalibration_moves_every_horizon(competing_fitted: tuple[FittingRows, IncidenceModel]) -> None:
    seen, model = competing_fitted
    moved = model.recalibrated(0.3, 0.9)
    np.testing.assert_allclose(moved.margin(seen.X), 0.3 + 0.9 * model.margin(seen.X))
    np.testing.assert_allclose(moved.margins(seen.X), 0.3 + 0.9 * model.margins(seen.X))


def test_a_declaration_without_competing_events_or_with_one_cause_is_refused() -> None:
    with pytest.raises(DeclarationError, match=r"needs FollowUp\(competing"):
        replace(SPEC, estimator=CauseSpecificCox(2, 1.0, (1.0,)))
    outcome = replace(SPEC.outcome, follow_up=replace(SPEC.outcome.follow_up, competing=lambda rows: rows["other"]))  # type: ignore[type-var]
    assert replace(SPEC, outcome=outcome, estimator=COMPETING_COX).estimator == COMPETING_COX
    with pytest.raises(DeclarationError, match="declare CauseSpecificCox"):
        replace(SPEC, outcome=outcome, estimator=AdditiveCox(2, 1.0, (1.0,)))
    seen = competing_people(300)
    nobody = replace(seen, observed=replace(seen.observed, competing=np.full(300, np.inf)))
    with pytest.raises(TrainingRefused, match="nobody had the competing event"):
        fit_causes(COMPETING_COX, nobody, 3.0)


@pytest.mark.parametrize(
    ("name", "per_year", "expected"),
    [
        ("mgus2", 12.0, {60: 0.0341, 120: 0.0637, 240: 0.0998}),
        ("transplant", 365.25, {90: 0.0444, 365: 0.0729, 730: 0.0783}),
    ],
)
def test_the_mean_risk_of_public_series_is_their_cumulative_incidence(
    data_folder: Path, name: str, per_year: float, expected: dict[int, float]
) -> None:
    table = pd.read_csv(data_folder / "series" / f"{name}.csv")
    if name == "mgus2":
        table["event"], table["time"] = table["pstat"], np.where(table["pstat"] == 1, table["ptime"], table["futime"])
        table["other"] = ((table["pstat"] == 0) & (table["death"] == 1)).astype(float)
    else:
        ends = table["event"]
        other = ends.isin(["ltx", "withdraw"]) * 1.0
        table = table.assign(time=table["futime"], event=(ends == "death") * 1.0, other=other)
    table["time"] = table["time"].astype(float).clip(lower=0.01)
    follow_up = FollowUp(
        lambda rows: rows["time"],
        lambda rows: rows["event"],
        per_year,
        competing=lambda rows: rows["other"],
        strata=lambda rows: np.zeros(len(rows)),
    )
    years = [time / per_year for time in expected]
    outcome = replace(SPEC.outcome, follow_up=follow_up, horizon_days=years[-1] * 365.25)
    observed = observe(outcome, table, np.ones(len(table), dtype=bool))
    X = np.column_stack([table["age"].astype(float), table["sex"].isin(["M", "m"]) * 1.0])
    rows = FittingRows(INPUTS, X, observed, np.ones(len(table), dtype=bool))
    model = _model(fit_causes(replace(COMPETING_COX, horizons_years=tuple(years)), rows, outcome.horizon_years))
    np.testing.assert_allclose(_risk(model, X).mean(axis=0), list(expected.values()), atol=0.0025)
