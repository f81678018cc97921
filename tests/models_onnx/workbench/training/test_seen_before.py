"""A fitted model that was fitted on people of the table it is evaluated on is found; one of other people is not."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from models_onnx.errors import CompileRefused
from models_onnx.spec import Fitted, ModelSpec
from models_onnx.workbench.training.data import leaks as module
from models_onnx.workbench.training.data.cohort import Cohort, build_cohort
from models_onnx.workbench.training.data.leaks import seen_before
from tests.models_onnx.invented import INVENTED


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
    return tuple(replace(item, clip_high=None, knots=None) for item in INVENTED.inputs)


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


class _Rote(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Knows the outcome of every row that it was fitted on, and nothing of others."""

    def fit(self, rows: pd.DataFrame, y: Any) -> "_Rote":
        self.known_ = dict(zip(rows.iloc[:, 0], y, strict=True))
        self.classes_ = np.array([0, 1])
        self.feature_names_in_ = np.array(list(map(str, rows.columns)))
        self.shift_ = 0.0
        return self

    def predict_proba(self, rows: pd.DataFrame) -> Any:
        assert list(rows.columns) == self.feature_names_in_.tolist(), "called as the model calls them"
        p = np.array([self.known_.get(row, 0.5) for row in rows.iloc[:, 0]]) + self.shift_
        return np.column_stack([1 - p, p])


Y = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 1])


def _told(known: tuple[int, ...], shift: float = 0.0) -> str | None:
    """What is said of a model that remembers these of nine people; the tenth is of a year that nobody followed."""
    X = np.arange(10.0)[:, None]
    model = _Rote().fit(pd.DataFrame(X[list(known)], columns=["theirs"]), Y[list(known)])
    model.shift_ = shift
    cohort: Any = SimpleNamespace(
        X=X, y=Y, weight=np.where(np.arange(10) < 9, 1.0, 0.0), patient=np.arange(10), features=("age_years",)
    )
    declared: Any = SimpleNamespace(estimator=Fitted("_fit:model", trained_on="others"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "load", lambda _declared: model)
        return seen_before(declared, cohort)


MANY = (
    "its AUROC on the rows of the table is {}; an estimator of its kind reaches 1.000 on rows that it was fitted on "
    "and 0.500 on rows that it was not: it was fitted on many of these people"
)


@pytest.mark.parametrize(
    ("known", "shift", "sentence"),
    [
        (tuple(range(9)), 0.0, "fitted again on the 9 rows of the table it is the same model: it was fitted on them"),
        (tuple(range(9)), 5e-7, "fitted again on the 9 rows of the table it is the same model: it was fitted on them"),
        (tuple(range(9)), 2e-6, MANY.format("1.000")),
        # unknown are one of the four with the event and all five without: 5 of 20 pairs are drawn by lot
        ((0, 1, 2), 0.0, MANY.format("0.875")),
        # two of the four and all five: 10 of 20 pairs, half way between seen and unseen
        ((0, 1), 0.0, None),
        ((), 0.0, None),
    ],
)
def test_a_model_that_remembers_people_of_the_table(known: tuple[int, ...], shift: float, sentence: str | None) -> None:
    assert _told(known, shift) == sentence


@pytest.mark.parametrize(("optimism", "is_said"), [(0.5, True), (0.51, False)])
def test_an_estimator_that_hardly_learns_single_people_tells_nothing(
    optimism: float, is_said: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "OPTIMISM", optimism)
    assert (_told((0, 1, 2)) is not None) is is_said


def test_of_a_model_that_cannot_be_fitted_again_nothing_is_said(
    spec: ModelSpec, rows: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_declared: Fitted) -> Any:
        raise CompileRefused("no such file")

    cohort = build_cohort(spec, rows)
    assert asked(spec, cohort, SimpleNamespace(), monkeypatch) is None
    monkeypatch.setattr(module, "load", refuse)
    assert seen_before(spec, cohort) is None
