"""A fitted model that was fitted on people of the table it is evaluated on is found; one of other people is not."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from models_onnx.spec import Fitted, ModelSpec
from models_onnx.workbench.training import seen_before as module
from models_onnx.workbench.training.data.cohort import Cohort, build_cohort
from models_onnx.workbench.training.seen_before import seen_before
from tests.models_onnx.invented import INVENTED, invented_table


def forest() -> Any:
    """Trees so deep that they know each person whom they were fitted on."""
    return make_pipeline(SimpleImputer(), RandomForestClassifier(20, min_samples_leaf=3, random_state=0))


def line() -> Any:
    """A regression, which learns next to nothing of a single person."""
    return make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression())


def fitted(unfitted: Any, cohort: Cohort, rows: Any) -> Any:
    """The model of these rows of the cohort."""
    table = pd.DataFrame(cohort.X[rows].astype(np.float32).astype(float), columns=list(cohort.features))
    return unfitted.fit(table, cohort.y[rows])


@pytest.fixture
def spec() -> ModelSpec:
    return replace(INVENTED, estimator=Fitted("_fit:model", trained_on="others"), inputs=_plain())


def _plain() -> Any:
    return tuple(replace(item, clip_high=None, rises=0, knots=None) for item in INVENTED.inputs)


def asked(spec: ModelSpec, cohort: Cohort, model: Any, monkeypatch: pytest.MonkeyPatch) -> str | None:
    """What is said of this model."""
    monkeypatch.setattr(module, "load", lambda _declared: model)
    return seen_before(spec, cohort)


@pytest.mark.parametrize("unfitted", [line(), forest()], ids=["line", "forest"])
def test_a_model_of_the_very_rows_of_the_table_is_found(
    spec: ModelSpec, unfitted: Any, rows: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    cohort = build_cohort(spec, rows)
    model = fitted(unfitted, cohort, cohort.weight > 0)
    assert "it is the same model: it was fitted on them" in str(asked(spec, cohort, model, monkeypatch))


def test_a_model_of_most_of_the_rows_is_found_where_it_learns_single_people(
    spec: ModelSpec, rows: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    cohort = build_cohort(spec, rows)
    most = (cohort.weight > 0) & (np.arange(len(cohort)) % 5 > 0)
    told = asked(spec, cohort, fitted(forest(), cohort, most), monkeypatch)
    assert "it was fitted on many of these people" in str(told)


@pytest.mark.parametrize("unfitted", [line(), forest()], ids=["line", "forest"])
def test_a_model_of_other_people_is_left_alone(
    spec: ModelSpec, unfitted: Any, rows: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = build_cohort(spec, invented_table(seed=8))
    model = fitted(unfitted, elsewhere, elsewhere.weight > 0)
    assert asked(spec, build_cohort(spec, rows), model, monkeypatch) is None
    assert seen_before(INVENTED, build_cohort(INVENTED, rows)) is None, "a model that is fitted here has its folds"
