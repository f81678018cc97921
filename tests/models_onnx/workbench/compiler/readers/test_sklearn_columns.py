"""Which columns come behind a step, and what they hold: scikit-learn's own transform decides; the rest is refused."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.feature_selection import SelectKBest
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.readers.column import Inputs
from models_onnx.workbench.compiler.readers.sklearn_columns import columns_behind, steps_read

NAN = float("nan")
NAMES = ("age", "lab", "count")
ROWS = np.array([[1.0, 10.0, 0.0], [2.0, NAN, 0.0], [4.0, 30.0, 1.0], [8.0, 70.0, NAN]])
WHOLE = np.array([[1.0, 10.0, 0.0], [2.0, 20.0, 0.0], [4.0, 30.0, 1.0], [8.0, 70.0, 5.0]])
Y = np.array([0, 0, 1, 1])


def behind(step: Any, *text: str) -> Any:
    """The columns behind a fitted step."""
    inputs = Inputs(NAMES, frozenset(text), {})
    return columns_behind(step, inputs.start(), inputs)


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


def test_columns_are_chosen_by_name() -> None:
    frame = pd.DataFrame(WHOLE, columns=list(NAMES))
    step = ColumnTransformer([("a", StandardScaler(), ["count", "age"])], remainder="passthrough").fit(frame)
    agrees(step, WHOLE, step.transform(frame))
    assert [column.input for column in behind(step)] == [2, 0, 1]


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


@pytest.mark.parametrize(
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
            f"PCA is not compiled input by input; read are {', '.join(sorted(steps_read()))}. Declare groups of the "
            "inputs, at most ten, which are then explained",
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


def test_a_scaler_is_a_line_also_for_what_is_imputed_and_takes_no_text() -> None:
    """Of 1 and 5 the mean is 3 and the deviation 2."""
    imputed = make_pipeline(SimpleImputer(strategy="constant", fill_value=7.0), StandardScaler())
    (column,) = columns_behind(imputed.fit([[1.0], [5.0]]), Inputs(("age",), frozenset(), {}).start(), AGE)
    assert (column.input, column.curve.line, column.curve.missing) == (0, (0.5, -1.5), 2.0)
    for step in (StandardScaler(), RobustScaler(), MinMaxScaler(), MaxAbsScaler()):
        with pytest.raises(CompileRefused, match=f"^{type(step).__name__} is fed the text of lab; encode it first$"):
            behind(step.fit(WHOLE), "lab")


AGE = Inputs(("age",), frozenset(), {})
