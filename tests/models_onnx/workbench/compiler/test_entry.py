"""From a fitted model to its file: what goes in, what the file says, what is refused and how it is put."""

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import RobustScaler
from sklearn.tree import DecisionTreeClassifier

from models_onnx.errors import CompileRefused, ParityRefused
from tests.models_onnx.workbench.compiler.people import NAMES, compiled, invented, says

pytestmark = pytest.mark.slow  # They compile whole models.


def boosting(**other: Any) -> Any:
    """Boosted trees that know no missing values."""
    return GradientBoostingClassifier(n_estimators=10, max_depth=3, random_state=0, **other)


@cache
def fitted() -> Any:
    """Shallow boosted trees on a data frame."""
    X, y = invented()
    return HistGradientBoostingClassifier(max_iter=10, max_depth=3).fit(pd.DataFrame(X, columns=list(NAMES)), y)


def table() -> pd.DataFrame:
    """The invented people with names."""
    return pd.DataFrame(invented()[0], columns=list(NAMES))


@pytest.mark.parametrize(
    "model",
    [
        boosting(loss="exponential"),
        GradientBoostingClassifier(n_estimators=40, max_depth=1),
        boosting(init="zero"),
        RandomForestClassifier(8, max_depth=4, random_state=0),
        ExtraTreesClassifier(8, max_depth=4, random_state=0),
        DecisionTreeClassifier(max_depth=4, random_state=0),
        make_pipeline(SimpleImputer(), boosting()),
        make_pipeline(SimpleImputer(), RobustScaler(), boosting()),
        make_pipeline(
            ColumnTransformer([("c", SimpleImputer(), [4, 2])], remainder="passthrough"),
            HistGradientBoostingClassifier(max_iter=10, max_depth=3),
        ),
    ],
    ids=lambda model: type(model[-1] if hasattr(model, "steps") else model).__name__,
)
def test_trees_say_what_scikit_learn_says_on_every_edge(model: Any) -> None:
    X, y = invented(gaps=0.1 if hasattr(model, "steps") or hasattr(model, "n_jobs") else 0.0)
    file = compiled(model.fit(X, y), X)
    agreement = file.agreement
    assert agreement.probability < 1e-9
    assert agreement.contribution < 1e-9
    assert np.abs(says(file.content, X)["probability"] - model.predict_proba(X)[:, 1]).max() < 1e-9


def test_a_library_that_says_otherwise_than_what_was_read_is_not_believed() -> None:
    class Other(type(fitted())):  # type: ignore[misc]  # the class of a fitted object
        def predict_proba(self, X: Any) -> Any:
            return super().predict_proba(X) ** 2

    other = fitted().__class__.__new__(Other)
    other.__dict__.update(fitted().__dict__)
    Other.__name__ = "HistGradientBoostingClassifier"
    with pytest.raises(ParityRefused, match="read wrongly"):
        compiled(other, table())


def test_reference_rows_that_do_not_fit_are_refused_with_a_sentence() -> None:
    X, y = invented()
    plain = HistGradientBoostingClassifier(max_iter=3, max_depth=2).fit(X, y)
    for rows, word in (
        (np.where(X > 2, np.inf, X), "infinite"),
        (X[:19], "20 rows or more"),
    ):
        with pytest.raises(CompileRefused, match=word):
            compiled(plain, rows)


def test_a_model_of_three_classes_is_refused() -> None:
    X, y = invented(gaps=0.0)
    three = np.arange(len(y)) % 3
    for model in (LogisticRegression(), boosting(), RandomForestClassifier(3, max_depth=2)):
        with pytest.raises(CompileRefused, match="3 classes"):
            compiled(model.fit(X, three), X)
