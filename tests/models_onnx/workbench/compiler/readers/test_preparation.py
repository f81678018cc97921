"""Which columns come behind a step, and what they hold: scikit-learn's own transform decides."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.feature_selection import SelectKBest
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
from models_onnx.workbench.compiler.readers import preparation
from models_onnx.workbench.compiler.readers.preparation import columns_behind, inputs_as_columns
from tests.each import for_rows

NAN = float("nan")
NAMES = ("age", "lab", "count")
ROWS = np.array([[1.0, 10.0, 0.0], [2.0, NAN, 0.0], [4.0, 30.0, 1.0], [8.0, 70.0, NAN]])
WHOLE = np.array([[1.0, 10.0, 0.0], [2.0, 20.0, 0.0], [4.0, 30.0, 1.0], [8.0, 70.0, 5.0]])
Y = np.array([0, 0, 1, 1])


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


def test_a_selection_keeps_its_columns() -> None:
    step = SelectKBest(k=2).fit(WHOLE, Y)
    agrees(step, WHOLE, step.transform(WHOLE))
    assert [column.input for column in behind(step)] == np.flatnonzero(step.get_support()).tolist()


@pytest.mark.filterwarnings("ignore:Skipping features")
def test_a_column_without_any_value_leaves_or_is_zero() -> None:
    empty = ROWS.copy()
    empty[:, 1] = NAN
    for keeps, inputs in ((False, [0, 2]), (True, [0, 1, 2])):
        step = SimpleImputer(keep_empty_features=keeps).fit(empty)
        assert [column.input for column in behind(step)] == inputs
        agrees(step, empty, step.transform(empty))


WEIGHTED = (
    "a {} with transformer_weights is not compiled: leave the weights out and fit it again; a regression with a "
    "penalty sees the same columns after a scaler behind it"
)


@for_rows(
    ("step", "sentence"),
    [
        (FeatureUnion([("a", SimpleImputer())], transformer_weights={"a": 2.0}), WEIGHTED.format("FeatureUnion")),
        (
            ColumnTransformer([("a", SimpleImputer(), [0])], transformer_weights={"a": 2.0}),
            WEIGHTED.format("ColumnTransformer"),
        ),
        (
            SimpleImputer(missing_values=-9.0),
            "SimpleImputer(missing_values=-9.0) is not compiled, because at the bedside a missing value is NaN: write "
            "NaN for -9.0 in the rows and fit it again with missing_values=nan",
        ),
        (
            PCA(),
            f"PCA is not compiled input by input; read are {', '.join(sorted(preparation._STEPS))}. Declare groups of "
            "the inputs, at most ten, which are then explained",
        ),
    ],
)
def test_a_step_that_is_not_read_is_refused_in_whole(step: Any, sentence: str) -> None:
    with pytest.raises(CompileRefused) as refused:
        behind(step.fit(WHOLE))
    assert str(refused.value) == sentence


def test_a_class_of_another_module_is_not_read_as_that_of_the_library() -> None:
    mine = type("StandardScaler", (), {})
    with pytest.raises(CompileRefused, match=r"^StandardScaler is not compiled input by input; read are"):
        behind(mine())
    assert [len(behind(step)) for step in (None, "passthrough", "drop")] == [3, 3, 0]


NUMBERS = np.array([[1.0], [3.0], [3.0], [7.0]])
AFTER = float(np.nextafter(np.float32(3), np.float32(4)))
BETWEEN = [0.0, 1.0, 2.0, float(np.nextafter(np.float32(3), np.float32(0))), 3.0, AFTER, 7.0, 9.0]


def codes(step: Any, rows: Any, values: list[float]) -> Any:
    """The columns behind a step that is fitted to these rows, at these values of its input, one row for each."""
    columns = behind(step.fit(rows), ("count",))
    return np.column_stack([column.curve.values(np.array(values)) for column in columns])


@pytest.mark.filterwarnings("ignore:Found unknown categories")
@pytest.mark.parametrize("drop", [None, "first", [3.0]])
@pytest.mark.parametrize("handle", ["error", "ignore"])
def test_codes_of_numbers_are_those_of_the_encoder(drop: Any, handle: str) -> None:
    step = OneHotEncoder(drop=drop, handle_unknown=handle, sparse_output=False)
    values = BETWEEN if handle == "ignore" else [1.0, 3.0, 7.0]
    assert (codes(step, NUMBERS, values) == step.fit(NUMBERS).transform(np.array(values)[:, None])).all()
    of_missing = 0.0 if handle == "ignore" else NAN
    assert np.array_equal(codes(step, NUMBERS, [NAN])[0], [of_missing] * (2 if drop else 3), equal_nan=True)
    gaps = np.array([1.0, 3.0, NAN])[:, None]
    assert (codes(step, gaps, [1.0, 3.0, NAN]) == step.fit(gaps).transform(gaps)).all()
    imputed = make_pipeline(SimpleImputer(strategy="constant", fill_value=3.0), OneHotEncoder())
    assert codes(imputed, NUMBERS, [NAN]).tolist() == [[0.0, 1.0, 0.0]]


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


def test_columns_are_chosen_by_name() -> None:
    frame = pd.DataFrame(WHOLE, columns=list(NAMES))
    step = ColumnTransformer([("a", StandardScaler(), ["count", "age"])], remainder="passthrough").fit(frame)
    agrees(step, WHOLE, step.transform(frame))
    assert [column.input for column in behind(step)] == [2, 0, 1]
