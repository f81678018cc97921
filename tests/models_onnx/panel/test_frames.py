"""Frames of three libraries are scored alike, as the bedside scores, and nothing is scored on a guess."""

import shutil
from copy import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from models_onnx.errors import PanelRefused
from models_onnx.models.mortality_5y import SPEC
from models_onnx.panel import PanelModel, TableDeclaration, load
from models_onnx.panel.frames import columns_of, values_of
from models_onnx.panel.run import ScoringJob, score_table
from models_onnx.serving.registry import ARTIFACTS
from models_onnx.serving.runtime import Model
from models_onnx.workbench.training.data.dataset import study_inputs
from tests.models_onnx.workbench.training.data.test_study_inputs import typical


@pytest.fixture(scope="module")
def panel() -> PanelModel:
    """The committed model with its twin."""
    return load("mortality_5y")


def person(**other: Any) -> dict[str, list[Any]]:
    """One typical person as columns, some of them changed; a column that is None is left out."""
    return {name: [value] for name, value in (typical() | other).items() if value is not None}


def test_a_frame_of_pandas_is_scored_as_the_training_table_was(panel: PanelModel, rows: pd.DataFrame) -> None:
    scored, of_inputs = panel.score(rows), panel.score(study_inputs(SPEC, rows))
    assert scored.index.equals(rows.index)
    assert scored.reset_index(drop=True).equals(of_inputs)


def test_the_percentile_is_that_of_the_bedside(panel: PanelModel, mortality: Model) -> None:
    told = panel.score(person())
    values = [{"male": 1.0}.get(value, value) for value in (typical() | {"sex_male": 1.0}).values()]
    vector = np.array([(typical() | {"sex_male": 1.0})[name] for name in mortality.features], dtype=np.float64)
    known = mortality.predict(vector)
    assert values
    assert (told["probability"][0], told["percentile"][0]) == (known.probability, known.percentile)


@pytest.mark.slow
def test_polars_and_arrow_give_the_same_numbers_in_frames_of_their_own(panel: PanelModel, rows: pd.DataFrame) -> None:
    polars = pytest.importorskip("polars", reason="polars is not installed")
    arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    known = panel.score(rows)
    table = arrow.Table.from_pandas(rows)
    for told, kind in (
        (panel.score(polars.DataFrame({name: rows[name].tolist() for name in rows})), polars.DataFrame),
        (panel.score(table), arrow.Table),
        (panel.score(table.to_batches()[0]), arrow.RecordBatch),
    ):
        assert isinstance(told, kind)
        numbers = np.array([np.nan if each is None else each for each in _list(told["probability"])])
        assert np.array_equal(numbers, known["probability"], equal_nan=True)
        assert _list(told["reason"]) == known["reason"].tolist()
    with pytest.raises(PanelRefused, match="LazyFrame"):
        panel.score(polars.DataFrame(person()).lazy())


def _list(column: Any) -> list[Any]:
    found: list[Any] = column.to_list() if hasattr(column, "to_list") else column.to_pylist()
    return found


def test_a_pregnant_woman_is_left_out_and_a_table_without_the_column_is_refused(panel: PanelModel) -> None:
    told = panel.score(person(sex="female", age_years=44, pregnant=1))
    assert (told["reason"][0], np.isnan(told["probability"][0])) == ("outside-population", True)
    with pytest.raises(PanelRefused, match=r"no column pregnancy or pregnant .*--none-has pregnancy"):
        panel.score(person(pregnant=None))
    declared = panel.score(person(pregnant=None), TableDeclaration(none_has=frozenset({"pregnant"})))
    assert declared["probability"][0] == panel.score(person())["probability"][0]


def test_another_coding_is_refused_until_it_is_declared(panel: PanelModel) -> None:
    for coding in ("M", 1, "1"):
        with pytest.raises(PanelRefused, match="--values sex="):
            panel.score(person(sex=coding))
    told = panel.score(person(sex="M"), TableDeclaration(values={"sex": {"M": "male", "F": "female"}}))
    assert told["probability"][0] == panel.score(person())["probability"][0]
    with pytest.raises(PanelRefused, match="'maybe'"):
        panel.score(person(pregnant="maybe"))


def test_a_sex_that_is_neither_is_no_score_as_at_the_bedside(panel: PanelModel) -> None:
    assert panel.score(person(sex="other"))["reason"][0] == "input-missing"


def test_another_unit_is_converted_as_a_chart_is(panel: PanelModel) -> None:
    known = panel.score(person())["probability"][0]
    told = panel.score(person(bun_mg_dl=None, bun=18.0 / 2.8), TableDeclaration(units={"bun": "mmol/L"}))
    assert told["probability"][0] == pytest.approx(known, rel=1e-3)
    with pytest.raises(PanelRefused, match=r"--unit bun=mg/dL"):
        panel.score(person(bun_mg_dl=None, bun=18.0))
    with pytest.raises(PanelRefused, match="unit 'stone' is not known"):
        panel.score(person(), TableDeclaration(units={"bun": "stone"}))


def test_a_column_in_two_units_is_scored_by_the_unit_that_each_row_names(panel: PanelModel) -> None:
    known = panel.score(person())["probability"][0]
    charted = float(person()["bun_mg_dl"][0])
    many = {name: values * 5 for name, values in person().items()}
    many["bun_mg_dl"] = [charted, charted / 2.8, charted / 2.8, charted, charted]
    many["bun_unit"] = ["mg/dL", "mmol/L", " mmol/L ", None, "stone"]
    for name in ("bun_mg_dl", "bun"):
        told = panel.score(many, TableDeclaration(unit_columns={name: "bun_unit"}))
        assert told["probability"][:3] == pytest.approx(known, rel=1e-3)
        without = panel.score(person(bun_mg_dl=np.nan))
        assert told["probability"][3:].tolist() == without["probability"].tolist() * 2, "as a chart's without a unit"
        assert told["not_used"].tolist() == ["", "", "", "bun_mg_dl", "bun_mg_dl"]
    many["bun"] = many.pop("bun_mg_dl")
    meant = {"bun_unit": {"stone": "mg/dL"}}
    told = panel.score(many, TableDeclaration(unit_columns={"bun": "bun_unit"}, values=meant))
    assert told["probability"][4] == known
    many["bun_unit"] = ["?"] * 5
    with pytest.raises(PanelRefused, match=r"bun_unit names no unit that is known .*--values bun_unit=TEXT:UNIT"):
        panel.score(many, TableDeclaration(unit_columns={"bun": "bun_unit"}))


@pytest.mark.slow
def test_units_by_row_are_read_from_polars_arrow_and_columns_of_categories(
    panel: PanelModel, rows: pd.DataFrame
) -> None:
    polars = pytest.importorskip("polars", reason="polars is not installed")
    arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    table = rows.assign(unit=np.where(np.arange(len(rows)) % 2, "mg/dL", "mmol/L"))
    table["bun_mg_dl"] = table["bun_mg_dl"].where(table["unit"] == "mg/dL", table["bun_mg_dl"] / 2.8)
    said = TableDeclaration(unit_columns={"bun": "unit"})
    known = panel.score(table, said)["probability"].to_numpy()
    coded = table.assign(unit=table["unit"].astype("category"))
    assert np.array_equal(known, panel.score(coded, said)["probability"].to_numpy(), equal_nan=True)
    for frame in (table, coded):
        of_polars = panel.score(polars.from_pandas(frame), said)["probability"].to_numpy()
        of_arrow = panel.score(arrow.Table.from_pandas(frame), said).column("probability").to_numpy()
        assert np.array_equal(known, of_polars, equal_nan=True)
        assert np.array_equal(known, of_arrow, equal_nan=True)


@pytest.mark.parametrize("named", [("pregnancy",), ["pregnancy"], {"pregnancy"}, "pregnancy"])
def test_what_nobody_has_is_named_in_any_collection(panel: PanelModel, named: Any) -> None:
    without = {name: value for name, value in person().items() if name != "pregnant"}
    told = panel.score(without, TableDeclaration(none_has=named))
    assert told["probability"][0] == panel.score(person())["probability"][0]


@pytest.mark.parametrize(
    ("said", "match"),
    [
        (TableDeclaration(unit_columns={"bun": "nowhere"}), "column 'nowhere', which the table does not have"),
        (TableDeclaration(unit_columns={"bun": "bun_unit"}, units={"bun": "mg/dL"}), "declared twice"),
        (TableDeclaration(unit_columns={"age_years": "bun_unit"}), "has no unit that could be another one"),
        (TableDeclaration(unit_columns={"banana": "bun_unit"}), "unit_columns names 'banana'"),
    ],
)
def test_a_unit_column_that_cannot_be_is_refused(panel: PanelModel, said: TableDeclaration, match: str) -> None:
    with pytest.raises(PanelRefused, match=match):
        panel.score(person(bun_unit="mg/dL"), said)


def test_a_column_that_could_be_in_another_unit_by_its_values_is_named(panel: PanelModel, tmp_path: Path) -> None:
    """Urea is plausible in both units; albumin of 4 g/dL would be nobody's in g/L."""
    table = tmp_path / "rows.csv"
    columns = {"id": ["a"], **person()}
    table.write_text(f"{','.join(columns)}\n{','.join(str(values[0]) for values in columns.values())}\n")
    found = score_table(ScoringJob(panel, table, tmp_path / "a.csv")).untold_units
    assert "mmol/L" in found["bun_mg_dl"]
    assert "albumin_g_dl" not in found
    declared = TableDeclaration(units={"bun": "mg/dL"})
    assert "bun_mg_dl" not in score_table(ScoringJob(panel, table, tmp_path / "b.csv", None, declared)).untold_units


def test_a_whole_column_in_another_unit_is_refused_with_the_units_that_would_fit(panel: PanelModel) -> None:
    many = {name: values * 30 for name, values in person(albumin_g_dl=41.0).items()}
    with pytest.raises(PanelRefused, match=r"albumin_g_dl .* g/L"):
        panel.score(many)


def test_a_missing_column_of_an_input_is_declared_or_refused(panel: PanelModel) -> None:
    with pytest.raises(PanelRefused, match=r"Red cell width .*--without rdw_pct"):
        panel.score(person(rdw_pct=None))
    told = panel.score(person(rdw_pct=None), TableDeclaration(without=frozenset({"rdw_pct"})))
    assert told["probability"][0] == panel.score(person(rdw_pct=np.nan))["probability"][0]
    with pytest.raises(PanelRefused, match="declared as not there"):
        panel.score(person(), TableDeclaration(without=frozenset({"rdw_pct"})))


def test_a_result_that_is_no_exact_number_is_missing_and_named(panel: PanelModel) -> None:
    many = {name: values * 3 for name, values in person().items()}
    many["rdw_pct"] = ["<12", 13.9, 14.0]
    told = panel.score(many)
    assert told["not_used"].tolist() == ["rdw_pct", "", ""]
    assert told["probability"][0] == panel.score(person(rdw_pct=np.nan))["probability"][0]
    with pytest.raises(PanelRefused, match="values that are no numbers"):
        panel.score(person(rdw_pct="13,9"))


def test_values_that_nobody_can_have_and_ages_that_nobody_has_give_no_score(panel: PanelModel) -> None:
    assert panel.score(person(glucose_mg_dl=1e6))["reason"][0] == "out-of-range"
    assert panel.score(person(glucose_mg_dl=float("inf")))["reason"][0] == "out-of-range"
    assert panel.score(person(age_years=300))["reason"][0] == "age-unknown"
    assert panel.score(person(age_years=39.9))["reason"][0] == "outside-population"


def test_whom_a_column_of_ones_own_leaves_out_is_said(panel: PanelModel) -> None:
    told = panel.score(person(hospice="yes"), TableDeclaration(exclude=("hospice",)))
    assert told["reason"][0] == "outside-population"
    assert "hospice is on record" in told["reason_text"][0]
    assert panel.score(person(deceased=True))["reason"][0] == "deceased"


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
def test_a_declaration_of_an_unknown_name_is_refused(panel: PanelModel, declared: TableDeclaration) -> None:
    with pytest.raises(PanelRefused, match="banana"):
        panel.score(person(), declared)


def test_the_order_of_rows_and_parts_changes_nothing(
    panel: PanelModel, rows: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = panel.score(rows)["probability"]
    monkeypatch.setattr("models_onnx.panel.frames.AT_ONCE", 7)
    again = panel.score(rows.iloc[::-1])["probability"]
    assert np.array_equal(again.to_numpy()[::-1], known.to_numpy(), equal_nan=True)


def test_an_empty_table_gives_an_empty_answer(panel: PanelModel) -> None:
    told = panel.score({name: [] for name in person()})
    assert len(told["probability"]) == 0


class Chunks:
    """A column of Arrow, as far as it is asked."""

    def __init__(self, kind: str, values: list[Any]) -> None:
        self.type, self._values = kind, values

    def to_numpy(self, zero_copy_only: bool | None = None) -> Any:
        """Numbers; an Array copies only where it is allowed to."""
        assert (zero_copy_only is None) == (type(self).__name__ == "ChunkedArray")
        return np.array(self._values, dtype=float)

    def to_pylist(self) -> list[Any]:
        """Anything else."""
        return self._values


class OfArrow:
    """A table whose class is of Arrow."""

    __module__ = "pyarrow.lib"

    def __init__(self, kind: type, **columns: tuple[str, list[Any]]) -> None:
        self._kind, self._columns = kind, columns
        self.schema = SimpleNamespace(names=list(columns))

    def column(self, name: str) -> Any:
        """One column, in chunks or not."""
        return self._kind(*self._columns[name])


@pytest.mark.parametrize("name", ["ChunkedArray", "Array"])
def test_columns_of_arrow_are_read_as_numbers_or_as_texts(name: str) -> None:
    table = OfArrow(type(name, (Chunks,), {}), a=("double", [1.5, np.nan]), b=("string", ["x", None]), c=("int8", [1]))
    assert columns_of(table) == ["a", "b", "c"]
    numbers = [values_of(table, column) for column in ("a", "c")]
    assert [type(values) for values in numbers] == [np.ndarray, np.ndarray]
    assert np.array_equal(numbers[0], [1.5, np.nan], equal_nan=True)
    assert values_of(table, "b") == ["x", None]


class LazyFrame:
    """A frame of polars that has not been collected."""

    __module__ = "polars.lazyframe.frame"

    def collect(self) -> None:
        """Nobody calls it."""


@pytest.mark.parametrize(
    ("frame", "sentence"),
    [
        (
            {"a": [1, 2], "b": [1]},
            "The columns are of different lengths: each row needs a value or None in every column.",
        ),
        (
            LazyFrame(),
            "A LazyFrame has no rows yet: call its collect() first, or give cds-hooks score the file.",
        ),
        (
            [1, 2],
            "A list is no table: give a pandas or polars DataFrame, an Arrow Table, or a dictionary of columns.",
        ),
        ({}, "The table has no columns."),
        (pd.DataFrame(), "The table has no columns."),
    ],
)
def test_what_is_no_table_is_refused_with_a_sentence(frame: Any, sentence: str) -> None:
    with pytest.raises(PanelRefused) as refused:
        columns_of(frame)
    assert str(refused.value) == sentence


def test_columns_of_dictionaries_and_of_pandas_are_read_as_they_are() -> None:
    numbers = np.array([1.0])
    assert values_of({"a": numbers}, "a") is numbers
    assert values_of({"a": ("x", None)}, "a") == ["x", None]
    frame = pd.DataFrame({1: [2.0, 3.0]})
    assert columns_of(frame) == ["1"]
    assert values_of(pd.DataFrame({"a": [2, 3]}), "a").tolist() == [2, 3]  # type: ignore[union-attr]


def test_a_whole_answer_has_every_column_in_its_order(panel: PanelModel) -> None:
    answer = panel.score(person())
    assert list(answer) == [
        *("probability", "percentile", "model", "reason", "reason_text", "not_used", "base"),
        *(f"contribution_{name}" for name in panel.features),
    ]
    plain = [answer[name][0] for name in ("model", "reason", "reason_text", "not_used")]
    assert (panel.id, plain) == ("mortality_5y", ["mortality_5y", "", "", ""])
    assert answer["base"][0] == panel.model.manifest.base
    margin = answer["base"][0] + sum(answer[f"contribution_{name}"][0] for name in panel.features)
    assert answer["probability"][0] == pytest.approx(1 / (1 + np.exp(-margin)), abs=1e-6)
    nobody = panel.score(person(age_years=20))
    numbers = [nobody[name][0] for name in ("probability", "percentile", "base", *panel.explained)]
    assert np.isnan(numbers).all()
    assert (nobody["model"][0], nobody["reason"][0]) == ("", "outside-population")


def test_a_model_that_is_sent_to_another_process_loads_itself(panel: PanelModel) -> None:
    again = copy(panel)
    assert (again.id, list(again.manifests)) == ("mortality_5y", ["mortality_5y", "mortality_5y_small"])
    with pytest.raises(TypeError, match=r"^a PanelModel that load\(\) did not give cannot be sent to another process$"):
        copy(PanelModel(panel.model, None))
    assert list(PanelModel(panel.model, None).manifests) == ["mortality_5y"]


def test_a_model_whose_twin_cannot_be_loaded_goes_on_without_it(tmp_path: Path) -> None:
    shutil.copytree(ARTIFACTS / "mortality_5y", tmp_path / "mortality_5y")
    assert list(load("mortality_5y", tmp_path).manifests) == ["mortality_5y"]


class Frame:
    """A frame of polars, as far as it is asked."""

    __module__ = "polars.dataframe.frame"
    index = "a column of this name, which is no index"

    def __init__(self, given: dict[str, list[Any]]) -> None:
        self.given, self.columns = given, list(given)

    def __getitem__(self, name: str) -> Any:
        return pd.Series(self.given[name])


def test_a_frame_without_an_index_gets_nulls_where_there_is_no_score(panel: PanelModel) -> None:
    many = {name: values * 2 for name, values in person().items()} | {"age_years": [70.0, 20.0]}
    answer = panel.score(Frame(many)).given
    assert answer["probability"] == [panel.score(person(age_years=70.0))["probability"][0], None]
    assert (answer["reason"], answer["not_used"]) == (["", "outside-population"], ["", ""])
