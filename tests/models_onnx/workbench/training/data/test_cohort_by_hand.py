"""Tables of a few rows: what is read, what is refused with which words, and how folds and periods follow."""

import gzip
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from models_onnx.errors import TrainingRefused
from models_onnx.spec import ModelSpec
from models_onnx.workbench.training.data import cohort as module
from models_onnx.workbench.training.data.cohort import (
    build_cohort,
    input_column,
    read_chunks,
    read_plain,
    texts_among_numbers,
    without_implausible,
)
from tests.models_onnx.invented import INVENTED, invented_table


def _spec(**facts: Any) -> ModelSpec:
    whole = {"id": "m", "table": "t.csv", "patient_column": "patient", "key": "row", "text": False,
             "fold_column": "fold", "derived": {}, "recalibration": None}  # fmt: skip
    return cast(ModelSpec, SimpleNamespace(**{**whole, **facts}))


def _written(folder: Path, text: str | bytes) -> Path:
    (folder / "t.csv").write_bytes(text.encode() if isinstance(text, str) else text)
    return folder / "t.csv"


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("a;b;c\n1;2;3\n", (
            "t.csv has one column, 'a;b;c': its columns are separated by ';', and are read where commas separate them "
            "(in Python: pandas.read_csv(name, sep=None).to_csv(name, index=False))"
        )),
        ("a,b,a\n1,2,3\n", "t.csv has the column 'a' twice: nobody can say which of them is meant"),
        ("a,b\n", "t.csv has no row beneath its header"),
        ('{"a": 1}\n', "t.csv is no CSV file: a table is read from text with commas between its cells"),
        ("PK\x03\x04,b\n1,2\n", "t.csv is no CSV file: a table is read from text with commas between its cells"),
        ("a,b\nM\xfcller,2\n".encode("latin-1"), "t.csv is not in UTF-8: save it as CSV in UTF-8"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_table(text: str | bytes, refusal: str, tmp_path: Path) -> None:
    with pytest.raises(TrainingRefused) as problem:
        read_plain(_written(tmp_path, text))
    assert str(problem.value) == refusal


def test_a_table_is_read_packed_or_not_whatever_it_is_called(tmp_path: Path) -> None:
    plain = read_plain(_written(tmp_path, "a,b\n1,x\n"))
    assert plain.to_dict("list") == {"a": [1], "b": ["x"]}
    assert read_plain(_written(tmp_path, gzip.compress(b"a,b\n1,x\n"))).equals(plain)
    (tmp_path / "t.csv.gz").write_text("a,b\n1,x\n")
    assert read_plain(tmp_path / "t.csv.gz").equals(plain)
    assert read_plain(_written(tmp_path, "only\n1\n2\n")).to_dict("list") == {"only": [1, 2]}
    with pytest.raises(TrainingRefused, match=r"none\.csv is not there$"):
        read_plain(tmp_path / "none.csv")


def test_a_table_is_read_in_parts_with_its_keys_as_text(tmp_path: Path) -> None:
    path = _written(tmp_path, "row,patient,x\n001,,1\n002,07,2\n003,08,<3\n")
    parts = list(read_chunks(_spec(), path, 2))
    assert [part["row"].tolist() for part in parts] == [["001", "002"], ["003"]]
    assert parts[0]["patient"].tolist() == ["", "07"]
    (whole,) = read_chunks(_spec(), path, None)
    assert np.array_equal(whole["x"], [1.0, 2.0, np.nan], equal_nan=True)
    (as_it_is,) = read_chunks(_spec(), path, None, as_it_is=True)
    assert as_it_is["x"].tolist() == ["1", "2", "<3"]


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        (["1", "2", "x"], {"a": ("x",)}),
        (["1", "x"], {}),
        ([1.0, 2.0], {}),
        (["1", "2", None, None, "x"], {"a": ("x",)}),
    ],
)
def test_a_column_of_numbers_with_a_few_texts(values: list[Any], texts: dict[str, tuple[str, ...]]) -> None:
    rows = pd.DataFrame({"a": values, "row": "x", "patient": "y"})
    assert texts_among_numbers(_spec(), rows) == texts
    assert texts_among_numbers(_spec(text=True), rows) == {}


def test_an_input_is_a_column_a_function_of_columns_or_missing_throughout() -> None:
    rows = pd.DataFrame({"a": ["1", "x", None], "c": pd.Categorical(["2", "x", None])})
    spec = _spec(derived={"twice": lambda table: pd.to_numeric(table["a"], errors="coerce") * 2,
                          "none": lambda table: table["absent"]})  # fmt: skip
    nan = np.nan
    for name, column in (("a", [1, nan, nan]), ("c", [2, nan, nan]), ("twice", [2, nan, nan]), ("b", [nan] * 3)):
        assert np.array_equal(input_column(spec, name, rows, is_checked=False), column, equal_nan=True), name
    assert np.isnan(input_column(spec, "none", rows, is_checked=False)).all()


def test_a_value_on_the_limit_of_what_is_plausible_is_believed() -> None:
    spec = cast(ModelSpec, SimpleNamespace(feature_names=("creatinine_mg_dl",)))
    kept = without_implausible(spec, np.array([[0.099], [0.1], [20.0], [20.1], [np.nan]]))
    assert np.array_equal(kept[:, 0], [np.nan, 0.1, 20.0, np.nan, np.nan], equal_nan=True)


def test_patients_go_into_five_folds_in_turn_where_the_table_has_none() -> None:
    patient = np.array([0, 1, 1, 4, 5, 6])
    assert module._folds(_spec(), pd.DataFrame({"x": range(6)}), patient).tolist() == [0, 1, 1, 4, 0, 1]
    assert module._folds(_spec(), pd.DataFrame({"fold": [3, 2, 1, 0, 9, 8]}), patient).tolist() == [3, 2, 1, 0, 9, 8]


def _refusal(spec: ModelSpec, rows: pd.DataFrame) -> str:
    with pytest.raises(TrainingRefused) as problem:
        build_cohort(spec, rows)
    return str(problem.value)


def test_a_table_that_is_not_trained_on_is_refused_with_its_words() -> None:
    rows = invented_table(people=60)
    table, key, patient = INVENTED.table, INVENTED.key, INVENTED.patient_column
    assert _refusal(INVENTED, rows.drop(columns=["rdw_pct", "fold"])) == f"{table} has no column rdw_pct"
    single = pd.DataFrame({"a;b": [1]})
    assert _refusal(INVENTED, single).endswith(
        ". It has one column, with ';' in its name: separate the columns by commas"
    )
    assert _refusal(INVENTED, pd.concat([rows, rows[:1]])) == (
        f"{table} has a {key} twice; the same row in two folds would leak"
    )
    leaking = replace(INVENTED, derived={**INVENTED.derived, "dbp_mmhg": lambda each: 60 + 40 * each["death"]})
    forbidden = ", ".join(name for name in INVENTED.never_inputs if name in rows.columns)
    assert "death" in forbidden
    assert len(INVENTED.never_inputs) > forbidden.count(",") + 1, "some that the table does not have"
    assert _refusal(leaking, rows) == (
        f"{INVENTED.id}: dbp_mmhg is read from a column that no input may be ({forbidden})"
    )
    young = rows.assign(age_years=30)
    assert _refusal(INVENTED, young) == f"{table} has no row that the exclusions leave; there were 60"
    assert patient == "participant_id"
