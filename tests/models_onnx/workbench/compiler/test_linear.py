"""Logistic pipelines and Cox models: every step folded into one curve per input, against the libraries' own sums."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.impute import KNNImputer, MissingIndicator, SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    KBinsDiscretizer,
    MinMaxScaler,
    OneHotEncoder,
    PolynomialFeatures,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
)

from models_onnx.errors import CompileRefused
from tests.models_onnx.workbench.compiler.people import NAMES, Array, compiled, invented, says


def frame(people: int = 500) -> tuple[pd.DataFrame, Any]:
    """Invented people with a ward as a number; nobody misses it."""
    X, y = invented(people)
    table = pd.DataFrame(X, columns=list(NAMES))
    table["count"] = table["count"].fillna(0.0)
    ward = np.random.default_rng(2).integers(0, 3, people).astype(float)
    return table.assign(ward=ward), y


def closed_form(fitted: Pipeline, table: pd.DataFrame, rows: pd.DataFrame) -> Array:
    """Coefficient times (column - its mean over the cohort), summed by the input that the column is named after."""
    coefficients = fitted[-1].coef_[0]
    terms = (fitted[:-1].transform(rows) - fitted[:-1].transform(table).mean(axis=0)) * coefficients
    owners = [name.split("__")[-1].split("_")[0].removeprefix("missingindicator") for name in names_of(fitted)]
    return np.column_stack([terms[:, [o == name for o in owners]].sum(axis=1) for name in table.columns])


def names_of(fitted: Pipeline) -> list[str]:
    """The columns that reach the regression, by scikit-learn's names."""
    return [str(name).replace("missingindicator_", "") for name in fitted[:-1].get_feature_names_out()]


def test_scalers_imputers_and_codes_say_what_scikit_learn_says() -> None:
    table, y = frame()
    scaled = make_pipeline(SimpleImputer(), StandardScaler())
    codes = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    steps = ColumnTransformer(
        [("s", scaled, ["age", "lab"]), ("c", codes, ["count", "ward"]), ("i", MissingIndicator(), ["lab"])],
        remainder=make_pipeline(SimpleImputer(strategy="median"), RobustScaler()),
    )
    fitted = Pipeline([("prepare", steps), ("model", LogisticRegression(max_iter=500))]).fit(table, y)
    file = compiled(fitted, table, outcomes=y)
    rows = table.copy()
    rows["age"] = (rows["age"] * 3).astype(np.float32).astype(float)  # far outside the cohort
    told = says(file.content, rows.to_numpy(dtype=float))
    assert np.abs(told["probability"] - fitted.predict_proba(rows)[:, 1]).max() < 1e-12
    assert np.abs(told["contributions"] - closed_form(fitted, table, rows)).max() < 1e-8


@pytest.mark.parametrize(
    ("step", "word"),
    [
        (PCA(2), "PCA"),
        (PolynomialFeatures(2), "PolynomialFeatures"),
        (KNNImputer(), "KNNImputer"),
        (KBinsDiscretizer(2, strategy="uniform"), "KBinsDiscretizer is not compiled input by input"),
        (SplineTransformer(), "SplineTransformer"),
        (MinMaxScaler(clip=True), "clip"),
        (make_pipeline(StandardScaler(), OneHotEncoder(handle_unknown="ignore")), "as they are"),
        (OneHotEncoder(max_categories=3, handle_unknown="infrequent_if_exist"), "infrequent"),
    ],
    ids=str,
)
def test_a_step_that_mixes_inputs_or_is_not_read_is_refused_by_name(step: Any, word: str) -> None:
    X, y = invented(gaps=0.0, grid=1)
    fitted = make_pipeline(step, LogisticRegression(max_iter=2000)).fit(X, y)
    with pytest.raises(CompileRefused, match=word):
        compiled(fitted, X)


def cohort(people: int = 4000) -> Array:
    """Two inputs that rise together, a third that is nearly constant, gaps, and one wild value."""
    draw = np.random.default_rng(6)
    first = draw.normal(70, 10, people)
    X = np.column_stack([first, first * 2 + draw.normal(0, 3, people), (draw.random(people) < 0.01) * 1.0])
    X[draw.random(X.shape) < 0.1] = np.nan
    X[0, 0] = 1e6
    return X
