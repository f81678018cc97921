"""Which columns come behind a step, and what they hold: scikit-learn's own transform decides."""

from typing import Any

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    RobustScaler,
    StandardScaler,
)

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.readers.preparation import columns_behind, inputs_as_columns
from tests.each import for_rows

NAN = float("nan")
NAMES = ("age", "lab", "count")
ROWS = np.array([[1.0, 10.0, 0.0], [2.0, NAN, 0.0], [4.0, 30.0, 1.0], [8.0, 70.0, NAN]])
WHOLE = np.array([[1.0, 10.0, 0.0], [2.0, 20.0, 0.0], [4.0, 30.0, 1.0], [8.0, 70.0, 5.0]])


def behind(step: Any, names: tuple[str, ...] = NAMES) -> Any:
    """The columns behind a fitted step."""
    return columns_behind(step, inputs_as_columns(len(names)), names)


def agrees(step: Any, rows: Any, expected: Any) -> None:
    """What the columns hold of these rows is what scikit-learn gives."""
    values = [column.curve.values(rows[:, column.input]) for column in behind(step)]
    assert np.column_stack(values) == pytest.approx(np.asarray(expected, dtype=float), abs=1e-12, nan_ok=True)


@pytest.mark.parametrize(
    ("step", "fitted_to"),
    [
        (SimpleImputer(), ROWS),
        (SimpleImputer(strategy="median", add_indicator=True), ROWS),
        (SimpleImputer(strategy="constant", fill_value=-3.0), ROWS),
        (make_pipeline(SimpleImputer(), SimpleImputer(strategy="constant", fill_value=-3.0)), ROWS),
        (MissingIndicator(), ROWS),
        (MissingIndicator(features="all"), ROWS),
        (FeatureUnion([("a", SimpleImputer()), ("b", MissingIndicator()), ("c", "drop")]), ROWS),
        (ColumnTransformer([("a", SimpleImputer(), slice(0, 2)), ("b", "drop", [2])]), ROWS),
        (ColumnTransformer([("a", SimpleImputer(), [False, True, False])], remainder="passthrough"), ROWS),
        (ColumnTransformer([("a", SimpleImputer(), [-1, 0]), ("b", "passthrough", [1])]), ROWS),
        (ColumnTransformer([("a", SimpleImputer(), [])], remainder="passthrough"), ROWS),
        (make_pipeline(SimpleImputer(), StandardScaler(with_std=False)), ROWS),
        (StandardScaler(), ROWS),
        (StandardScaler(with_mean=False), ROWS),
        (RobustScaler(quantile_range=(10, 80)), ROWS),
        (RobustScaler(with_scaling=False), ROWS),
        (MinMaxScaler((-1, 3)), ROWS),
        (MaxAbsScaler(), ROWS),
        (Pipeline([("a", "passthrough"), ("b", StandardScaler())]), WHOLE),
    ],
    ids=str,
)
def test_the_columns_are_those_of_the_library(step: Any, fitted_to: Any) -> None:
    step.fit(fitted_to)
    agrees(step, ROWS, step.transform(ROWS))


NUMBERS = np.array([[1.0], [3.0], [3.0], [7.0]])


def codes(step: Any, rows: Any, values: list[float]) -> Any:
    """The columns behind a step that is fitted to these rows, at these values of its input, one row for each."""
    columns = behind(step.fit(rows), ("count",))
    return np.column_stack([column.curve.values(np.array(values)) for column in columns])


@for_rows(
    ("step", "rows", "sentence"),
    [
        (OneHotEncoder(min_frequency=2), NUMBERS, "OneHotEncoder with infrequent categories is not compiled"),
        (make_pipeline(StandardScaler(), OneHotEncoder()), NUMBERS, "compiled for inputs as they are; count was"),
        (OneHotEncoder(), np.array([[0.1], [1.0]]), "the category 0.1 of count is no float32, so no input could"),
        (OneHotEncoder(), np.array([["north"], ["west"]], dtype=object), "OneHotEncoder codes texts of count; at the"),
        (OneHotEncoder(), np.array([["north"], [None]], dtype=object), "OneHotEncoder codes texts of count; at the"),
        (OrdinalEncoder(), NUMBERS, "OrdinalEncoder is not compiled input by input"),
        (SimpleImputer(strategy="constant", fill_value="x"), np.array([["a"]], dtype=object), "imputed as a text"),
        (OneHotEncoder(), np.arange(2001.0)[:, None], "count has 2,001 categories, and of one input at most 2,000"),
    ],
)
def test_what_no_curve_can_follow_is_refused_with_its_reason(step: Any, rows: Any, sentence: str) -> None:
    with pytest.raises(CompileRefused, match=sentence):
        codes(step, rows, [1.0])
    assert codes(OneHotEncoder(min_frequency=1), NUMBERS, [1.0, 7.0]).tolist() == [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
