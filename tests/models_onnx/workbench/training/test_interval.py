"""95 % bounds of a risk: how often they hold the true risk of people never seen, which invented people have."""

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from models_onnx.artifact.folder import Artifact
from models_onnx.artifact.manifest import RiskInterval
from models_onnx.batch.model import BatchModel
from models_onnx.serving.runtime import Model
from models_onnx.spec import (
    AdditiveLogistic,
    Estimator,
    Fitted,
    Floors,
    InputSpec,
    ModelSpec,
    OutcomeSpec,
    PopulationSpec,
)
from models_onnx.workbench.release.documentation import model_page
from models_onnx.workbench.training.commands import no_progress
from models_onnx.workbench.training.data.cohort import Table
from models_onnx.workbench.training.pipeline import train

INPUTS = ("age_years", "sex_male", "creatinine_mg_dl", "albumin_g_dl")


def people(count: int, seed: int) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    table = pd.DataFrame({"patient": [f"p{number}" for number in range(count)]})
    table["age_years"], table["sex_male"] = draw.integers(18, 90, count) * 1.0, draw.integers(0, 2, count) * 1.0
    table["creatinine_mg_dl"], table["albumin_g_dl"] = draw.lognormal(0, 0.35, count), draw.normal(4, 0.4, count)
    margin = 0.05 * (table["age_years"] - 60) + 0.9 * (table["creatinine_mg_dl"] - 1) + 0.3 * table["sex_male"]
    table["risk"] = 1 / (1 + np.exp(2.2 - margin + 0.9 * (table["albumin_g_dl"] - 4)))
    return table.assign(event=(draw.random(count) < table["risk"]).astype(int), fold=np.arange(count) % 5)


def fitted_elsewhere() -> Any:
    table = people(4000, 3)
    return LogisticRegression(C=1e6, max_iter=2000).fit(table[list(INPUTS)].to_numpy(), table["event"])


SPEC = ModelSpec(
    id="invented",
    version="1.0.0",
    title="Event within 30 days",
    outcome=OutcomeSpec(column="event", words="had the event", horizon_days=30),
    intended_use="A test.",
    users="nobody",
    decision_role="informs",
    not_for=("care",),
    cautions=("The people are invented.",),
    population=PopulationSpec(words="adults", age_low=18),
    table="invented.csv",
    period="2026",
    cohort_words="invented people",
    exclusions=(),
    inputs=tuple(InputSpec(name) for name in INPUTS),
    derived={},
    always_required=("age_years",),
    estimator=AdditiveLogistic(knots=3, C=1.0),
    reference_words="the people of the table",
    capacity=0.1,
    capacities=(0.1,),
    simple_inputs=("age_years",),
    floors=Floors(auroc=0.5, slope=(0.1, 5.0), observed_expected=(0.1, 5.0)),
    subgroups={},
    patient_column="patient",
    interval=True,
)
ELSEWHERE = Fitted(f"{__name__}:fitted_elsewhere", trained_on="4,000 other people", per_year=None)


def trained_model(spec: ModelSpec, count: int = 6000) -> Model:
    told = train(spec, Table(spec.table, "0" * 64, people(count, 1)), 1, 0, no_progress)
    return Model(Artifact(told.manifest, told.content))


@pytest.mark.slow
@pytest.mark.parametrize("estimator", [SPEC.estimator, ELSEWHERE], ids=["own", "adopted"])
def test_the_bounds_hold_the_true_risk_of_people_never_seen(estimator: Estimator) -> None:
    model = trained_model(replace(SPEC, estimator=estimator))
    interval, unseen = model.manifest.interval, people(20_000, 99)
    assert isinstance(interval, RiskInterval)
    assert interval.within >= 0.9 * interval.groups
    answers = BatchModel(model, None).score(unseen[list(INPUTS)]).to_pandas()
    low, high = answers["interval_low"], answers["interval_high"]
    scored = answers["probability"].notna()
    held = ((low <= unseen["risk"]) & (unseen["risk"] <= high))[scored]
    assert held.mean() > 0.92
    for tenth in range(10):
        of_tenth = pd.qcut(answers["probability"][scored], 10, labels=False) == tenth
        assert held[of_tenth].mean() > 0.8
    assert (high - low)[scored].mean() < 0.1
    one = model.predict(unseen[list(INPUTS)].to_numpy()[0])
    assert one.interval == (low[0], high[0])
    assert f"{interval.within} did" in model_page(model.manifest, None)


def test_bounds_are_wider_from_fewer_people_and_for_people_unlike_the_others() -> None:
    few, many = (trained_model(SPEC, count).manifest.interval for count in (2000, 12_000))
    assert isinstance(few, RiskInterval)
    assert isinstance(many, RiskInterval)
    risk = np.array([0.1, 0.1])
    widths = [np.subtract(*item.bounds(risk, np.array([0.1, 0.9]))[::-1]) for item in (few, many)]
    assert (widths[0] > 1.5 * widths[1]).all()
    assert all(width[1] > width[0] for width in widths)


def test_a_model_that_asks_for_no_bounds_has_none() -> None:
    model = trained_model(replace(SPEC, interval=False), 1500)
    assert model.manifest.interval is msgspec.UNSET
    assert model.predict(np.array([70.0, 1.0, 1.0, 4.0])).interval is None
    assert "interval_low" not in BatchModel(model, None).score(people(5, 2)[list(INPUTS)]).schema.names
