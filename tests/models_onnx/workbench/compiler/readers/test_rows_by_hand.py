"""The inputs of rows by name and order, rows as numbers and as texts again, and what of them has no answer."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler import compile_model
from models_onnx.workbench.compiler.readers import rows as reading
from models_onnx.workbench.compiler.readers.column import Inputs
from tests.models_onnx.workbench.compiler.people import says

NAN = float("nan")
ARRAY = np.array([[1.0, 2.0], [3.0, NAN]])
FRAME = pd.DataFrame({"age": [50.0, 60.0], "sex": [1, 0]})
TEXT = pd.DataFrame({"age": [50.0, 60.0, 70.0], "ward": ["b", None, "a"], "bed": ["x", "x", "y"]})


@pytest.mark.parametrize(
    ("given", "of_model", "chosen", "names"),
    [
        (ARRAY, None, None, ("x0", "x1")),
        (ARRAY.tolist(), None, None, ("x0", "x1")),
        (ARRAY, ("a", "b"), None, ("a", "b")),
        (ARRAY, ("a", "b"), ("c", "d"), ("c", "d")),
        (FRAME, None, None, ("age", "sex")),
        (FRAME, ("sex", "age"), None, ("sex", "age")),
        (FRAME, None, ("sex",), ("sex",)),
        # what libraries call columns without names gives way to the names of the frame
        (FRAME, ("Column_0", "Column_1"), None, ("age", "sex")),
        (FRAME, ("f0", "f1"), ("sex", "age"), ("sex", "age")),
        (ARRAY, ("f0", "f1"), None, ("f0", "f1")),
        (pd.DataFrame({"f1": [1.0], "f0": [2.0]}), ("f0", "f1"), None, ("f0", "f1")),
    ],
)
def test_the_names_of_the_inputs(given: Any, of_model: Any, chosen: Any, names: tuple[str, ...]) -> None:
    inputs = reading.inputs_of(given, of_model, chosen, False)
    assert (inputs.names, inputs.text, inputs.categories) == (names, frozenset(), {})
    assert np.isnan(inputs.gone)


@pytest.mark.parametrize(
    ("given", "of_model", "chosen", "refusal"),
    [
        (np.zeros(3), None, None, "the reference cohort is rows of inputs: a data frame, or an array [n, F]"),
        (np.zeros((2, 2, 2)), None, None, "the reference cohort is rows of inputs: a data frame, or an array [n, F]"),
        (ARRAY, ("a", "b"), ("c",), "the model has 2 inputs, 1 names were given"),
        (ARRAY, ("a", "b"), ("b", "a"), "the inputs are named in another order than the model's: a, b"),
        (ARRAY, None, ("a", "a"), "two inputs have the same name"),
        (FRAME, None, ("age", "race", "ward"), "the reference rows have no column race, ward"),
        (FRAME, ("f0", "f1", "f2"), None, "the reference rows have no column f0, f1, f2"),
        (FRAME, ("Column_0", "of_age"), None, "the reference rows have no column Column_0, of_age"),
        (ARRAY, None, ("a", "b", "c"), "the reference rows have 2 columns, the model 3 inputs"),
        (TEXT, None, None, "bed, ward is text; trees and EBM are compiled on numbers, so code it"),
    ],
)
def test_rows_that_are_not_those_of_the_model(given: Any, of_model: Any, chosen: Any, refusal: str) -> None:
    with pytest.raises(CompileRefused) as refused:
        reading.inputs_of(given, of_model, chosen, False)
    assert str(refused.value) == refusal


def test_a_frame_that_was_made_of_an_array_calls_its_columns_by_number() -> None:
    X = np.random.default_rng(1).normal(size=(300, 2))
    model = LogisticRegression().fit(pd.DataFrame(X), X[:, 0] > 0)
    compiled = compile_model(model, pd.DataFrame(X))
    assert compiled.report.features == ("0", "1")
    assert np.abs(says(compiled.content, X)["probability"] - model.predict_proba(X)[:, 1]).max() < 1e-5
    assert reading.with_text_names(X) is X


def test_text_is_told_by_name_with_what_stands_for_a_missing_one() -> None:
    inputs = reading.inputs_of(TEXT, None, None, True)
    assert (inputs.names, inputs.text, np.isnan(inputs.gone)) == (
        ("age", "ward", "bed"),
        frozenset({"ward", "bed"}),
        True,
    )
    empty = reading.inputs_of(pd.DataFrame({"ward": ["b", None]}, dtype=object), None, None, True)
    assert (empty.text, empty.gone) == (frozenset({"ward"}), None)
    full = reading.inputs_of(TEXT[["bed"]], None, None, True)
    assert (full.text, np.isnan(full.gone)) == (frozenset({"bed"}), True)


CODED = Inputs(("age", "ward"), frozenset({"ward"}), {"ward": ("a", "b")}, None)


def test_a_text_is_its_place_among_the_categories() -> None:
    codes = reading.as_numbers(TEXT, CODED)
    assert np.array_equal(codes, [[50.0, 1.0], [60.0, NAN], [70.0, 0.0]], equal_nan=True)
    assert np.array_equal(reading.as_numbers(ARRAY, CODED), ARRAY, equal_nan=True)
    gaps = pd.DataFrame({"a": pd.array([1, None], dtype="Int64"), "b": [True, False]})
    numbers = reading.as_numbers(gaps, Inputs(("b", "a"), frozenset(), {}))
    assert np.array_equal(numbers, [[1.0, 1.0], [0.0, NAN]], equal_nan=True)


@pytest.mark.parametrize(
    ("given", "inputs", "refusal"),
    [
        (
            TEXT,
            Inputs(("ward",), frozenset({"ward"}), {}),
            "ward is text in the reference rows, and nothing in the model makes it a number: give the rows as the "
            "model was trained on",
        ),
        (
            pd.DataFrame({"day": pd.to_datetime(["2026-01-01"])}),
            Inputs(("day",), frozenset(), {}),
            "day holds dates or times: give numbers, as the model was trained on",
        ),
        (
            pd.DataFrame({"stay": pd.to_timedelta([1], unit="h")}),
            Inputs(("stay",), frozenset(), {}),
            "stay holds dates or times: give numbers, as the model was trained on",
        ),
    ],
)
def test_what_is_no_number(given: Any, inputs: Inputs, refusal: str) -> None:
    with pytest.raises(CompileRefused) as refused:
        reading.as_numbers(given, inputs)
    assert str(refused.value) == refusal


def test_rows_are_given_back_as_scikit_learn_was_fitted_on_them() -> None:
    codes = np.array([[50.0, 1.0], [60.0, NAN]])
    named = LogisticRegression().fit(pd.DataFrame({"years": [1.0, 2.0], "place": [0, 1]}), [0, 1])
    table = reading.framed(named, codes, CODED)
    assert list(table.columns) == ["years", "place"]
    assert table["years"].tolist() == [50.0, 60.0]
    assert table["place"].tolist()[0] == "b"
    assert table["place"].isna().tolist() == [False, True]
    one = LogisticRegression().fit(pd.DataFrame({"years": [1.0, 2.0]}), [0, 1])
    assert list(reading.framed(one, codes, CODED).columns) == ["age", "ward"]
    unnamed = LogisticRegression().fit(ARRAY[:, :1], [0, 1])
    assert reading.framed(unnamed, codes, CODED) is codes


def test_the_probability_is_the_librarys_own_of_the_second_class() -> None:
    model = LogisticRegression().fit(pd.DataFrame({"x": [0.0, 1.0]}), [0, 1])
    model.coef_, model.intercept_ = np.array([[np.log(3.0)]]), np.array([0.0])
    told = reading.library(model, Inputs(("x",), frozenset(), {}))(np.array([[0.0], [1.0], [2.0]]))
    assert told.tolist() == pytest.approx([0.5, 0.75, 0.9])


def test_rows_whose_texts_have_codes() -> None:
    codes = np.array([[0.5, 0.0], [NAN, 1.0], [9.0, NAN], [1.0, 2.0], [1.0, -1.0], [1.0, 0.5]])
    assert reading.known_codes(codes, CODED).tolist() == [True, True, True, False, False, False]
    unread = Inputs(("age", "ward"), frozenset({"ward"}), {})
    assert reading.known_codes(codes, unread).tolist() == [False, False, True, False, False, False]


def test_the_middle_of_each_input() -> None:
    rows = np.array([[1.0, NAN, 0.1], [NAN, NAN, 0.1], [3.0, NAN, 7.0], [10.0, NAN, 0.1]])
    assert reading.medians(rows) == (3.0, 0.0, float(np.float32(0.1)))
