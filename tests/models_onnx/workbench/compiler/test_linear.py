"""Logistic pipelines: a file that is a sum of single inputs is told from one that is not, against the libraries."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    KBinsDiscretizer,
    OneHotEncoder,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)

from models_onnx.workbench.compiler.families.grouped import AdditiveFile, GroupedModel
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
        [("s", scaled, ["age", "lab"]), ("c", codes, ["count", "ward"])],
        remainder=make_pipeline(SimpleImputer(strategy="median"), RobustScaler()),
    )
    fitted = Pipeline([("prepare", steps), ("model", LogisticRegression(max_iter=500))]).fit(table, y)
    file = compiled(fitted, table, outcomes=y)
    rows = table.copy()
    rows["age"] = (rows["age"] * 3).astype(np.float32).astype(float)  # far outside the cohort
    told = says(file.content, rows.to_numpy(dtype=float))
    assert np.abs(told["probability"] - fitted.predict_proba(rows)[:, 1]).max() < 1e-6
    assert np.abs(told["contributions"] - closed_form(fitted, table, rows)).max() < 1e-5


def test_a_file_of_many_inputs_is_explained_by_each_and_says_the_same_alone() -> None:
    draw = np.random.default_rng(4)
    X = draw.normal(size=(400, 150)).astype(np.float32).astype(float)
    fitted = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, draw.integers(0, 2, 400))
    file = compiled(fitted, X)
    assert isinstance(file.fitted, AdditiveFile)
    told, alone = says(file.content, X), says(file.content, X[:1])
    columns = fitted[:-1].transform(X)
    terms = (columns - columns.mean(axis=0)) * fitted[-1].coef_[0]
    assert np.abs(told["contributions"] - terms).max() < 1e-6
    assert np.array_equal(told["contributions"][:1], alone["contributions"])


@pytest.mark.parametrize(
    ("step", "family"),
    [
        (PCA(2), AdditiveFile),
        (PolynomialFeatures(2), GroupedModel),
        (KBinsDiscretizer(2, encode="onehot-dense", strategy="uniform"), AdditiveFile),
    ],
    ids=str,
)
def test_steps_that_keep_inputs_apart_are_explained_input_by_input_and_others_together(step: Any, family: Any) -> None:
    X, y = invented(gaps=0.0, grid=1)
    fitted = make_pipeline(step, LogisticRegression(max_iter=2000)).fit(X, y)
    file = compiled(fitted, X)
    assert type(file.fitted) is family
    assert np.abs(says(file.content, X)["probability"] - fitted.predict_proba(X)[:, 1]).max() < 1e-5
