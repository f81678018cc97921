"""Survival models of one's own: hazards by interval and Weibull's times find what invented people were made with."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from models_onnx.errors import DeclarationError, TrainingRefused
from models_onnx.models.mortality_5y import SPEC
from models_onnx.spec import AdditiveCox, AdditiveLogistic, FollowUp, InputSpec, IntervalHazards, WeibullTimes
from models_onnx.workbench.compiler.link import Survival
from models_onnx.workbench.training.data.follow_up import FittingRows, Observed, observe
from models_onnx.workbench.training.fitting.families import fit
from tests.libraries import statsmodels

Array = NDArray[np.float64]
INPUTS = (InputSpec("age_years", knots=()), InputSpec("sbp_mmhg", knots=()))


def people(count: int, shape: float = 1.4, lost: bool = True) -> FittingRows:
    """People whose time is Weibull by two inputs; some are lost, all are followed for two years at most."""
    draw = np.random.default_rng(6)
    X = np.column_stack([draw.uniform(-1, 1, count), draw.uniform(-1, 1, count)])
    scale = 0.25 * np.exp(0.9 * X[:, 0] - 0.5 * X[:, 1])
    time = (draw.exponential(1, count) / scale) ** (1 / shape)
    end = np.minimum(2.0, draw.uniform(0.2, 6, count)) if lost else np.full(count, 2.0)
    event = time <= end
    years = np.minimum(time, end)
    observed = Observed(event.astype(np.int64), np.ones(count), years, event)
    return FittingRows(INPUTS, X, observed, np.ones(count, dtype=bool))


def true_risk(X: Array, years: float, shape: float = 1.4) -> Array:
    return np.asarray(-np.expm1(-0.25 * np.exp(0.9 * X[:, 0] - 0.5 * X[:, 1]) * years**shape))


@pytest.mark.parametrize("estimator", [WeibullTimes(0, 0.01, (0.5, 1.0)), IntervalHazards(0, 0.01, (0.5, 1.0))])
def test_the_risk_at_each_horizon_is_the_one_that_people_were_made_with(
    estimator: WeibullTimes | IntervalHazards,
) -> None:
    seen = people(8_000)
    model = fit(estimator, seen, 2.0)
    assert isinstance(model.link, Survival)
    assert model.link.horizons == (0.5, 1.0, 2.0)
    risk = model.link.risk(model.margin(seen.X))
    for column, years in enumerate(model.link.horizons):
        assert np.abs(risk[:, column] - true_risk(seen.X, years)).max() < 0.04
        assert risk[:, column].mean() == pytest.approx(true_risk(seen.X, years).mean(), abs=0.015)


def test_hazards_of_one_interval_with_everybody_followed_are_the_regression_with_cloglog() -> None:
    seen = people(1500, lost=False)
    seen = replace(seen, observed=replace(seen.observed, years=np.full(1500, 2.0)))
    model = fit(IntervalHazards(0, 1e-6, ()), seen, 2.0)
    link = statsmodels.families.links.CLogLog()
    glm = statsmodels.GLM(
        seen.observed.y,
        statsmodels.add_constant(seen.X),
        family=statsmodels.families.Binomial(link=link),
        var_weights=None,
    ).fit()
    expected = glm.predict(statsmodels.add_constant(seen.X))
    assert np.abs(model.link.probability(model.margin(seen.X)) - expected).max() < 1e-4


def test_a_horizon_before_which_nothing_happened_is_refused() -> None:
    with pytest.raises(TrainingRefused, match="nobody had the event between 0 and 1e-05 years"):
        fit(IntervalHazards(0, 0.1, (1e-5,)), people(300), 2.0)


def outcome_with(table: pd.DataFrame) -> Observed:
    follow_up = FollowUp(
        lambda rows: rows["time"],
        lambda rows: rows["event"],
        1.0,
        competing=lambda rows: rows["other"],
        strata=lambda rows: np.zeros(len(rows)),
    )
    spec = replace(SPEC.outcome, follow_up=follow_up, horizon_days=2 * 365.25)
    return observe(spec, table, np.ones(len(table), dtype=bool))


def aalen_johansen(time: Array, kind: NDArray[np.int64], horizon: float) -> float:
    """The cumulative incidence of kind 1; 0 is lost, 2 the competing event."""
    alive, incidence = 1.0, 0.0
    for at in np.unique(time[(kind > 0) & (time <= horizon)]):
        at_risk = float((time >= at).sum())
        incidence += alive * ((time == at) & (kind == 1)).sum() / at_risk
        alive *= 1 - ((time == at) & (kind > 0)).sum() / at_risk
    return incidence


def test_the_weighted_share_with_competing_events_is_the_cumulative_incidence() -> None:
    draw = np.random.default_rng(2)
    times = draw.exponential([3.0, 2.0, 4.0], (800, 3))
    kind = np.array([1, 2, 0])[times.argmin(axis=1)]
    time = times.min(axis=1)
    table = pd.DataFrame({"time": time, "event": (kind == 1) * 1.0, "other": (kind == 2) * 1.0})
    observed = outcome_with(table)
    share = float((observed.weight * observed.y).sum() / len(table))
    assert share == pytest.approx(aalen_johansen(time, kind, 2.0), abs=1e-9)
    wrong = 1 - np.prod([1 - (kind[time == at] == 1).sum() / (time >= at).sum() for at in np.sort(time[time <= 2])])
    assert wrong > share + 0.05, "taking competing events for losses gives too high a risk"


def test_both_events_in_one_row_and_hazards_of_one_cause_are_refused() -> None:
    table = pd.DataFrame({"time": [1.0, 3.0], "event": [1.0, 0.0], "other": [1.0, 0.0]})
    with pytest.raises(TrainingRefused, match="competing is 0 or 1"):
        outcome_with(table)
    follow_up = replace(SPEC.outcome.follow_up, competing=lambda rows: rows["other"])  # type: ignore[type-var]
    outcome = replace(SPEC.outcome, follow_up=follow_up)
    assert replace(SPEC, outcome=outcome).estimator == SPEC.estimator
    assert isinstance(SPEC.estimator, AdditiveLogistic)
    with pytest.raises(DeclarationError, match="too high a risk"):
        replace(SPEC, outcome=outcome, estimator=AdditiveCox(2, 1.0, (1.0,)))
    with pytest.raises(DeclarationError, match="needs a follow_up"):
        replace(SPEC, outcome=replace(SPEC.outcome, follow_up=None), estimator=WeibullTimes(2, 1.0, (1.0,)))


@pytest.mark.parametrize(
    ("name", "per_year", "expected"),
    [
        ("mgus2", 12.0, {60: 0.0341, 120: 0.0637, 240: 0.0998}),
        ("transplant", 365.25, {90: 0.0444, 365: 0.0729, 730: 0.0783}),
    ],
)
def test_public_series_give_the_published_cumulative_incidence(
    data_folder: Path, name: str, per_year: float, expected: dict[int, float]
) -> None:
    table = pd.read_csv(data_folder / "series" / f"{name}.csv")
    if name == "mgus2":
        table["event"], table["time"] = table["pstat"], np.where(table["pstat"] == 1, table["ptime"], table["futime"])
        table["other"] = ((table["pstat"] == 0) & (table["death"] == 1)).astype(float)
    else:
        ends = table["event"]
        table = table.assign(
            time=table["futime"], event=(ends == "death") * 1.0, other=ends.isin(["ltx", "withdraw"]) * 1.0
        )
    follow_up = FollowUp(
        lambda rows: rows["time"],
        lambda rows: rows["event"],
        per_year,
        competing=lambda rows: rows["other"],
        strata=lambda rows: np.zeros(len(rows)),
    )
    for time, incidence in expected.items():
        outcome = replace(SPEC.outcome, follow_up=follow_up, horizon_days=time / per_year * 365.25)
        observed = observe(outcome, table, np.ones(len(table), dtype=bool))
        assert (observed.weight * observed.y).sum() / len(table) == pytest.approx(incidence, abs=6e-5)
