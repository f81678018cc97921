"""Encoders as curves: scikit-learn's own columns on every category, beside it, and where it is missing."""

from typing import Any

import numpy as np
import pytest
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.readers import sklearn_codes
from models_onnx.workbench.compiler.readers.column import Inputs
from models_onnx.workbench.compiler.readers.sklearn_columns import columns_behind

NAN = float("nan")
NUMBERS = np.array([[1.0], [3.0], [3.0], [7.0]])
GAPS = np.array([[1.0], [3.0], [NAN]])
WARDS = np.array([["north"], ["south"], ["west"]], dtype=object)
ABSENT = np.array([["north"], ["south"], [None]], dtype=object)
AFTER = float(np.nextafter(np.float32(3), np.float32(4)))
BETWEEN = [0.0, 1.0, 2.0, float(np.nextafter(np.float32(3), np.float32(0))), 3.0, AFTER, 7.0, 9.0]


def inputs(*text: str, names: tuple[str, ...] = ("count",)) -> Inputs:
    """Inputs by name, some of them text."""
    return Inputs(names, frozenset(text), {})


def curves(step: Any, rows: Any, values: list[float], *text: str) -> list[list[float]]:
    """The columns behind a step that is fitted to these rows, at these values of its input."""
    columns = columns_behind(step.fit(rows), inputs(*text).start(), inputs(*text))
    return [column.curve.values(np.array(values)).tolist() for column in columns]


def refusal(step: Any, rows: Any, *text: str) -> str:
    """The sentence with which a step that is fitted to these rows is refused."""
    with pytest.raises(CompileRefused) as refused:
        columns_behind(step.fit(rows), inputs(*text).start(), inputs(*text))
    return str(refused.value)


def same(ours: list[list[float]], theirs: Any) -> bool:
    return np.array_equal(np.array(ours).T, np.asarray(theirs, dtype=float), equal_nan=True)


@pytest.mark.parametrize("rows", [NUMBERS, GAPS, np.array([[3.0], [AFTER], [7.0]])])
@pytest.mark.parametrize("settings", [{}, {"encoded_missing_value": -5}])
def test_the_order_of_numbers_is_that_of_the_encoder_also_between_them(rows: Any, settings: dict[str, Any]) -> None:
    step = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, **settings)
    values = [*BETWEEN, NAN]
    assert same(curves(step, rows, values), step.fit(rows).transform(np.array(values)[:, None]))


def test_an_imputed_number_is_encoded_as_the_number_it_becomes() -> None:
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    for fill, position in ((3.0, 1.0), (4.0, 2.0)):
        step = make_pipeline(SimpleImputer(strategy="constant", fill_value=fill), encoder)
        assert curves(step, np.array([[1.0], [3.0], [NAN]]), [NAN, 1.0, 3.0]) == [[position, 0.0, 1.0]]
        codes = make_pipeline(SimpleImputer(strategy="constant", fill_value=fill), OneHotEncoder())
        last = [[1.0]] if fill == 4.0 else []
        assert curves(codes, GAPS, [NAN]) == [[0.0], [float(fill == 3.0)], *last]


@pytest.mark.filterwarnings("ignore:Found unknown categories")
@pytest.mark.parametrize("drop", [None, "first", [3.0]])
@pytest.mark.parametrize("handle", ["error", "ignore"])
def test_codes_of_numbers_are_those_of_the_encoder(drop: Any, handle: str) -> None:
    step = OneHotEncoder(drop=drop, handle_unknown=handle, sparse_output=False)
    values = BETWEEN if handle == "ignore" else [1.0, 3.0, 7.0]
    assert same(curves(step, NUMBERS, values), step.fit(NUMBERS).transform(np.array(values)[:, None]))
    of_missing = 0.0 if handle == "ignore" else NAN
    assert np.array_equal(curves(step, NUMBERS, [NAN]), [[of_missing]] * (2 if drop else 3), equal_nan=True)
    gaps = np.array([1.0, 3.0, NAN])[:, None]
    assert same(curves(step, gaps, [1.0, 3.0, NAN]), step.fit(gaps).transform(gaps))


@pytest.mark.parametrize(("handle", "of_missing"), [("error", NAN), ("ignore", 0.0), ("warn", 0.0)])
def test_codes_of_texts_stand_for_their_position_and_for_the_missing(handle: str, of_missing: float) -> None:
    step = OneHotEncoder(handle_unknown=handle)
    assert np.array_equal(
        curves(step, WARDS, [0.0, 1.0, 2.0, NAN], "count"),
        [[1, 0, 0, of_missing], [0, 1, 0, of_missing], [0, 0, 1, of_missing]],
        equal_nan=True,
    )
    assert curves(step, ABSENT, [0.0, 1.0, NAN], "count") == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    dropping = OneHotEncoder(handle_unknown=handle, drop=["south"])
    assert curves(dropping, ABSENT, [0.0, 1.0, NAN], "count") == [[1, 0, 0], [0, 0, 1]]


def test_a_filled_text_is_coded_as_the_text_it_becomes() -> None:
    fill = SimpleImputer(strategy="constant", fill_value="south")
    assert curves(make_pipeline(fill, OneHotEncoder()), WARDS, [0.0, 1.0, NAN], "count") == [
        [1, 0, 0],
        [0, 1, 1],
        [0, 0, 0],
    ]
    assert curves(make_pipeline(fill, OrdinalEncoder()), WARDS, [0.0, 1.0, 2.0, NAN], "count") == [[0, 1, 2, 1]]


@pytest.mark.parametrize(
    ("settings", "rows", "of_missing"),
    [
        ({}, WARDS, NAN),
        ({"handle_unknown": "use_encoded_value", "unknown_value": -1}, WARDS, -1.0),
        ({"handle_unknown": "use_encoded_value", "unknown_value": -1}, ABSENT, NAN),
        ({"encoded_missing_value": -9}, ABSENT, -9.0),
    ],
)
def test_positions_of_texts_stay_and_the_missing_get_what_the_encoder_gives(
    settings: dict[str, Any], rows: Any, of_missing: float
) -> None:
    answer = curves(OrdinalEncoder(**settings), rows, [0.0, 1.0, NAN], "count")
    assert np.array_equal(answer, [[0.0, 1.0, of_missing]], equal_nan=True)


def test_categories_of_texts_are_kept_for_whoever_codes_the_rows() -> None:
    for step in (OrdinalEncoder(), OneHotEncoder()):
        kept = inputs("count")
        (column, *_) = columns_behind(step.fit(ABSENT), kept.start(), kept)
        assert (kept.categories, column.coded, column.fill) == ({"count": ("north", "south")}, True, None)
        with pytest.raises(CompileRefused, match=r"^count is encoded twice, with other categories$"):
            columns_behind(step.fit(WARDS), kept.start(), kept)
        columns_behind(step.fit(ABSENT), kept.start(), kept)


@pytest.mark.parametrize(
    ("step", "sentence"),
    [
        (
            OrdinalEncoder(min_frequency=2),
            "OrdinalEncoder with infrequent categories is not compiled: join them before training",
        ),
        (
            OneHotEncoder(min_frequency=2),
            "OneHotEncoder with infrequent categories is not compiled: join them before training",
        ),
        (
            OrdinalEncoder(),
            "OrdinalEncoder of the numbers of count says nothing about other numbers: declare "
            "handle_unknown='use_encoded_value' and unknown_value=-1, or leave the number as it is",
        ),
        (
            OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=NAN),
            "OrdinalEncoder of the numbers of count says nothing about other numbers: declare "
            "handle_unknown='use_encoded_value' and unknown_value=-1, or leave the number as it is",
        ),
        (
            make_pipeline(StandardScaler(), OrdinalEncoder()),
            "OrdinalEncoder is compiled for inputs as they are; count was changed before it",
        ),
        (
            make_pipeline(StandardScaler(), OneHotEncoder()),
            "OneHotEncoder is compiled for inputs as they are; count was changed before it",
        ),
    ],
)
def test_what_no_curve_can_follow_is_refused_with_its_reason(step: Any, sentence: str) -> None:
    assert refusal(step, NUMBERS) == sentence


@pytest.mark.parametrize(
    "step", [OneHotEncoder(), OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)]
)
def test_a_category_that_no_input_can_equal_is_refused(step: Any) -> None:
    sentence = "the category 0.1 of count is no float32, so no input could be equal to it"
    assert refusal(step, np.array([[0.1], [1.0]])) == sentence


@pytest.mark.parametrize(
    "step",
    [
        OneHotEncoder(min_frequency=1),
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, min_frequency=1),
    ],
)
def test_a_limit_that_makes_nothing_infrequent_is_no_reason_to_refuse(step: Any) -> None:
    assert same(curves(step, NUMBERS, [1.0, 3.0, 7.0]), np.asarray(_dense(step.fit_transform(NUMBERS)))[[0, 1, 3]])


def _dense(columns: Any) -> Any:
    return columns.toarray() if hasattr(columns, "toarray") else columns


@pytest.mark.parametrize("step", [OneHotEncoder(), OrdinalEncoder()])
@pytest.mark.parametrize("text", [(), ("count",)])
def test_so_many_categories_that_they_name_people_are_refused(
    step: Any, text: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sklearn_codes, "MOST_CATEGORIES", 2)
    assert refusal(step, WARDS if text else NUMBERS, *text) == (
        "count has 3 categories, and of one input at most 2 are compiled: join those that few people have into one "
        "before training, or leave out what names a person"
    )
    monkeypatch.setattr(sklearn_codes, "MOST_CATEGORIES", 3)
    assert columns_behind(step.fit(WARDS), inputs("count").start(), inputs("count"))
