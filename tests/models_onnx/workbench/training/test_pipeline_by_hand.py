"""The steps of a training that need no training: periods, ends of ranges, sentences, and what is refused before it."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from models_onnx.errors import TrainingRefused
from models_onnx.spec import AdditiveLogistic, Fitted, FollowUp, InputSpec, ModelSpec, Period
from models_onnx.workbench import metrics
from models_onnx.workbench.training import pipeline
from models_onnx.workbench.training.data.cohort import Cohort, Table
from models_onnx.workbench.training.data.follow_up import FittingRows, Observed
from models_onnx.workbench.training.evaluate import Evaluator
from models_onnx.workbench.training.fitting.additive import fit_logistic
from models_onnx.workbench.training.pipeline import Trained, train
from tests.models_onnx.invented import INVENTED
from tests.models_onnx.workbench.training.ten_people import SPEC, predicted, ten_people

YEARS = (2018, 2019, 2020, 2020, 2020, 2021, 2021, 2021, 2022, 2022)
FOLLOW_UP = FollowUp(lambda table: table["months"], lambda table: table["death"], per_year=12)
SHORT = (
    " Who was followed for less than the horizon counts through those of the same period who were followed on (IPCW); "
    "a period of whom fewer than a tenth were followed so long counts nowhere."
)
ELSEWHERE = (
    "The model was fitted elsewhere, on stays of 2019; the declaration says that nobody of the table was among them. "
    "95 % intervals: 20 bootstrap samples of patients."
)
HERE = (
    "Out of fold: knots, {} repeated without the person's fold (5 folds by patient). 95 % intervals: 20 bootstrap "
    "samples of patients."
)


def _spec(elsewhere: bool, recalibrated: bool, followed: bool) -> ModelSpec:
    facts = {
        "estimator": Fitted("model.txt", trained_on="stays of 2019") if elsewhere else AdditiveLogistic(knots=1, C=1.0),
        "recalibration": Period("year", 2019, 2020, "2019 and 2020") if recalibrated else None,
        "outcome": SimpleNamespace(follow_up=FOLLOW_UP if followed else None),
    }
    return cast(ModelSpec, SimpleNamespace(**facts))


@pytest.mark.parametrize(
    ("elsewhere", "recalibrated", "followed", "sentence"),
    [
        (False, True, False, HERE.format("fit and recalibration")),
        (False, True, True, HERE.format("fit and recalibration") + SHORT),
        (False, False, True, HERE.format("fit") + SHORT),
        (True, False, False, ELSEWHERE),
        (True, True, True, ELSEWHERE + SHORT),
    ],
)
def test_how_a_model_was_evaluated(elsewhere: bool, recalibrated: bool, followed: bool, sentence: str) -> None:
    assert pipeline._how(_spec(elsewhere, recalibrated, followed), 5, 20) == sentence


def _block(since: float, until: float, unfollowed: tuple[int, ...] = (0,)) -> Any:
    cohort = ten_people()
    observed = replace(cohort.observed, unfollowed=np.isin(np.arange(10), unfollowed))
    cohort = replace(cohort, observed=observed, rows=cohort.rows.assign(year=YEARS))
    evaluator = Evaluator(SPEC, cohort, predicted(), 1.0, 0, 5)
    period = Period("year", since, until, "those years")
    return pipeline._newest(period, cohort, evaluator, {"rate": metrics.event_share})


def test_the_newest_rows_are_those_of_the_latest_period_that_was_followed_to_the_horizon() -> None:
    """The last five, of whom one stands for nobody; of six by weight five had the event."""
    assert _block(2021, 2022) == {
        "words": "those years",
        "n": 5,
        "events": 3,
        "rate": {"value": 0.8333, "low": 0.8333, "high": 0.8333},
    }


@pytest.mark.parametrize(
    ("since", "until", "unfollowed", "refusal"),
    [
        (2021, 2022, (8,), "not all rows of those years were followed to the horizon: name an earlier period"),
        (2023, 2024, (0,), "not all rows of those years were followed to the horizon: name an earlier period"),
        (2020, 2021, (0, 8), "rows after those years were followed to the horizon, too: name a later period"),
        (2020, 2021, (0,), "rows after those years were followed to the horizon, too: name a later period"),
    ],
)
def test_a_period_that_is_not_the_newest_is_refused(
    since: float, until: float, unfollowed: tuple[int, ...], refusal: str
) -> None:
    with pytest.raises(TrainingRefused) as refused:
        _block(since, until, unfollowed)
    assert str(refused.value) == refusal
    assert _block(2020, 2021, (0, 8, 9))["n"] == 6


def test_a_clipped_input_is_never_too_high() -> None:
    assert pipeline._highs(SPEC) == (float("inf"), None)


@pytest.mark.parametrize("outcome", [0, 1])
def test_an_outcome_that_everybody_has_or_nobody_teaches_nothing(outcome: int) -> None:
    everybody = cast(Cohort, SimpleNamespace(observed=SimpleNamespace(y=np.full(1234, outcome))))
    with pytest.raises(TrainingRefused) as refused:
        pipeline._refuse_one_outcome(SPEC, everybody)
    assert str(refused.value) == (
        f"{SPEC.table}: the outcome {SPEC.outcome.column} is {outcome} in all 1,234 rows that are left, so nothing can "
        "be learned from them or said of them"
    )
    pipeline._refuse_one_outcome(SPEC, ten_people())


def test_an_input_without_any_number_is_refused_before_anything_is_fitted(rows: pd.DataFrame) -> None:
    table = Table(name=INVENTED.table, sha256="", rows=rows.assign(bun_mg_dl=np.nan))
    with pytest.raises(TrainingRefused) as refused:
        train(INVENTED, table, 1, 0, lambda *_: None)
    assert str(refused.value) == (
        f"{INVENTED.table}: no row has a number for bun_mg_dl, all are blank; leave it out of the inputs"
    )


@pytest.mark.parametrize(("floors", "passed"), [((), True), ((True, True), True), ((True, False), False)])
def test_a_model_passes_where_every_floor_holds(floors: tuple[bool, ...], passed: bool) -> None:
    manifest: Any = SimpleNamespace(evaluation={"floors": [{"passed": floor} for floor in floors]})
    assert Trained(manifest, b"").passed is passed


def test_a_regression_of_scikit_learn_has_a_second_opinion_and_no_other_model() -> None:
    draw = np.random.default_rng(1)
    X, y = draw.uniform(40, 80, (60, 1)), np.arange(60) % 2
    people = FittingRows((InputSpec("age_years"),), X, Observed(y, np.ones(60), np.ones(60), y == 1), y >= 0)
    fitted = fit_logistic(AdditiveLogistic(knots=1, C=1.0), people)
    opinion = pipeline._second_opinion(fitted, X.astype(np.float32))
    assert opinion is not None
    assert 0.0 <= opinion < 1e-6
    assert pipeline._second_opinion(replace(fitted, regression=None), X.astype(np.float32)) is None
    assert pipeline._second_opinion(cast(Any, SimpleNamespace(regression=1)), X.astype(np.float32)) is None
