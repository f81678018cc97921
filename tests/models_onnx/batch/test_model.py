"""Arrow tables are scored as the bedside scores, and nothing is scored on a guess."""

from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pytest

from models_onnx.batch import BatchModel, TableDeclaration, load
from models_onnx.errors import BatchRefused
from models_onnx.models.mortality_5y import SPEC
from models_onnx.serving.runtime import Model
from models_onnx.workbench.training.data.cohort import inputs_of
from tests.models_onnx.batch.frames import score, typical


@pytest.fixture(scope="module")
def panel() -> BatchModel:
    """The committed model with its twin."""
    return load("mortality_5y")


def person(**other: Any) -> dict[str, list[Any]]:
    """One typical person as columns, some of them changed; a column that is None is left out."""
    return {name: [value] for name, value in (typical() | other).items() if value is not None}


def test_a_frame_of_pandas_is_scored_as_the_training_table_was(panel: BatchModel, rows: pd.DataFrame) -> None:
    inputs = pd.DataFrame(inputs_of(SPEC, rows), columns=list(SPEC.feature_names)).assign(pregnant=rows["pregnant"])
    scored, of_inputs = panel.score(rows), panel.score(inputs)
    assert scored.num_rows == len(rows)
    assert scored.equals(of_inputs)


def test_the_percentile_is_that_of_the_bedside(panel: BatchModel, mortality: Model) -> None:
    told = score(panel, person())
    values = [{"male": 1.0}.get(value, value) for value in (typical() | {"sex_male": 1.0}).values()]
    vector = np.array([(typical() | {"sex_male": 1.0})[name] for name in mortality.features], dtype=np.float64)
    known = mortality.predict(vector)
    assert values
    assert (told["probability"][0], told["percentile"][0]) == (known.probability, known.percentile)


def test_arrow_in_one_batch_or_several_gives_the_numbers_of_a_frame(panel: BatchModel, rows: pd.DataFrame) -> None:
    known = panel.score(rows)
    table = pyarrow.Table.from_pandas(rows, preserve_index=False)
    assert panel.score(table).equals(known)
    assert panel.score(table.combine_chunks().to_batches()[0]).equals(known)
    parts = [panel.score(batch) for batch in table.to_batches(max_chunksize=7)]
    assert pyarrow.concat_tables(parts).combine_chunks().equals(known.combine_chunks())


def test_a_pregnant_woman_is_left_out_and_a_table_without_the_column_is_refused(panel: BatchModel) -> None:
    told = score(panel, person(sex="female", age_years=44, pregnant=1))
    assert (told["reason"][0], np.isnan(told["probability"][0])) == ("outside-population", True)
    with pytest.raises(BatchRefused, match=r"no column pregnancy or pregnant .*--none-has pregnancy"):
        score(panel, person(pregnant=None))
    declared = score(panel, person(pregnant=None), TableDeclaration(none_has=frozenset({"pregnant"})))
    assert declared["probability"][0] == score(panel, person())["probability"][0]


def test_another_coding_is_refused_until_it_is_declared(panel: BatchModel) -> None:
    for coding in ("M", 1, "1"):
        with pytest.raises(BatchRefused, match="--values sex="):
            score(panel, person(sex=coding))
    told = score(panel, person(sex="M"), TableDeclaration(values={"sex": {"M": "male", "F": "female"}}))
    assert told["probability"][0] == score(panel, person())["probability"][0]
    with pytest.raises(BatchRefused, match="'maybe'"):
        score(panel, person(pregnant="maybe"))


def test_a_sex_that_is_neither_is_no_score_as_at_the_bedside(panel: BatchModel) -> None:
    assert score(panel, person(sex="other"))["reason"][0] == "input-missing"


def test_another_unit_is_converted_as_a_chart_is(panel: BatchModel) -> None:
    known = score(panel, person())["probability"][0]
    told = score(panel, person(bun_mg_dl=None, bun=18.0 / 2.8), TableDeclaration(units={"bun": "mmol/L"}))
    assert told["probability"][0] == pytest.approx(known, rel=1e-3)
    with pytest.raises(BatchRefused, match=r"--unit bun=mg/dL"):
        score(panel, person(bun_mg_dl=None, bun=18.0))
    with pytest.raises(BatchRefused, match="unit 'stone' is not known"):
        score(panel, person(), TableDeclaration(units={"bun": "stone"}))


@pytest.mark.parametrize("named", [("pregnancy",), ["pregnancy"], {"pregnancy"}, "pregnancy"])
def test_what_nobody_has_is_named_in_any_collection(panel: BatchModel, named: Any) -> None:
    without = {name: value for name, value in person().items() if name != "pregnant"}
    told = score(panel, without, TableDeclaration(none_has=named))
    assert told["probability"][0] == score(panel, person())["probability"][0]


def test_a_whole_column_in_another_unit_is_refused_with_what_to_do(panel: BatchModel) -> None:
    many = {name: values * 30 for name, values in person(albumin_g_dl=41.0).items()}
    with pytest.raises(BatchRefused, match=r"30 of 30 values .*--unit albumin_g_dl=UNIT"):
        score(panel, many)


def test_a_missing_column_of_an_input_is_declared_or_refused(panel: BatchModel) -> None:
    with pytest.raises(BatchRefused, match=r"Red cell width .*--without rdw_pct"):
        score(panel, person(rdw_pct=None))
    told = score(panel, person(rdw_pct=None), TableDeclaration(without=frozenset({"rdw_pct"})))
    assert told["probability"][0] == score(panel, person(rdw_pct=np.nan))["probability"][0]
    with pytest.raises(BatchRefused, match="declared as not there"):
        score(panel, person(), TableDeclaration(without=frozenset({"rdw_pct"})))


def test_a_result_that_is_no_exact_number_is_missing_and_named(panel: BatchModel) -> None:
    many = {name: values * 3 for name, values in person().items()}
    many["rdw_pct"] = ["<12", "13.9", "14.0"]
    told = score(panel, many)
    assert told["not_used"].tolist() == ["rdw_pct", "", ""]
    assert told["probability"][0] == score(panel, person(rdw_pct=np.nan))["probability"][0]
    with pytest.raises(BatchRefused, match="values that are no numbers"):
        score(panel, person(rdw_pct="13,9"))


def test_values_that_nobody_can_have_and_ages_that_nobody_has_give_no_score(panel: BatchModel) -> None:
    assert score(panel, person(glucose_mg_dl=1e6))["reason"][0] == "out-of-range"
    assert score(panel, person(glucose_mg_dl=float("inf")))["reason"][0] == "out-of-range"
    assert score(panel, person(age_years=300))["reason"][0] == "age-unknown"
    assert score(panel, person(age_years=39.9))["reason"][0] == "outside-population"


def test_whom_a_column_of_ones_own_leaves_out_is_said(panel: BatchModel) -> None:
    told = score(panel, person(hospice="yes"), TableDeclaration(exclude=("hospice",)))
    assert told["reason"][0] == "outside-population"
    assert "hospice is on record" in told["reason_text"][0]
    assert score(panel, person(deceased=True))["reason"][0] == "deceased"


@pytest.mark.parametrize(
    "declared",
    [
        TableDeclaration(columns={"banana": "x"}),
        TableDeclaration(units={"banana": "mg/dL"}),
        TableDeclaration(values={"banana": {"1": "yes"}}),
        TableDeclaration(without=frozenset({"banana"})),
        TableDeclaration(none_has=frozenset({"banana"})),
        TableDeclaration(exclude=("banana",)),
    ],
    ids=["columns", "units", "values", "without", "none_has", "exclude"],
)
def test_a_declaration_of_an_unknown_name_is_refused(panel: BatchModel, declared: TableDeclaration) -> None:
    with pytest.raises(BatchRefused, match="banana"):
        score(panel, person(), declared)


def test_the_order_of_rows_and_parts_changes_nothing(
    panel: BatchModel, rows: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = score(panel, rows)["probability"]
    monkeypatch.setattr("models_onnx.batch.model.ROWS_AT_ONCE", 7)
    again = score(panel, rows.iloc[::-1])["probability"]
    assert np.array_equal(again[::-1], known, equal_nan=True)


def test_an_empty_table_gives_an_empty_answer(panel: BatchModel) -> None:
    told = score(panel, {name: [] for name in person()})
    assert len(told["probability"]) == 0


@pytest.mark.parametrize("kind", ["list", "struct", "binary"])
def test_lists_structures_and_bytes_are_no_values(panel: BatchModel, kind: str) -> None:
    values = {"list": [[1.0]], "struct": [{"a": 1.0}], "binary": [b"1.0"]}[kind]
    with pytest.raises(BatchRefused, match="rdw_pct holds lists, structures or bytes, not values"):
        panel.score(pyarrow.table({**person(), "rdw_pct": values}))


def test_whole_numbers_decimals_and_yes_are_read_for_what_they_are(panel: BatchModel) -> None:
    plain = score(panel, person(glucose_mg_dl=95.0, pregnant=0))
    for more in ({"glucose_mg_dl": 95}, {"glucose_mg_dl": Decimal("95.0")}, {"pregnant": False}):
        same = score(panel, person(**{"glucose_mg_dl": 95.0, "pregnant": 0, **more}))
        assert same["probability"] == plain["probability"]
    with pytest.raises(BatchRefused, match="values that are no numbers"):
        panel.score(person(glucose_mg_dl=True))


@pytest.mark.parametrize("table", [[1, 2], {"a": [1, 2], "b": [1]}, {"a": ["<5", 1.0]}])
def test_what_is_no_table_is_refused_with_a_sentence(panel: BatchModel, table: Any) -> None:
    with pytest.raises(BatchRefused, match="that Arrow makes no table of"):
        panel.score(table)
