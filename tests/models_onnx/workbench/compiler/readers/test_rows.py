"""Reference rows from CSV: by name, gaps as gaps, and never a patient's value in a message; rows that do not fit."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler import compile_model
from models_onnx.workbench.compiler.readers.rows import read_rows

TEXT = "id,bun,age,died\np1,,70,1\np2,12.5,NA,0\n\np3, 3e1 ,50,1\n"


def written(folder: Path, text: str = TEXT, name: str = "rows.csv") -> Path:
    """The text as a file, packed where its name says so."""
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize("name", ["rows.csv", "rows.csv.gz"])
def test_columns_are_taken_by_name_in_the_order_asked_for(name: str, tmp_path: Path) -> None:
    rows = read_rows(written(tmp_path, name=name), ("age", "bun"), "died")
    assert np.array_equal(rows.X, np.array([[70, np.nan], [np.nan, 12.5], [50, 30]]), equal_nan=True)
    assert rows.outcomes is not None
    assert rows.outcomes.tolist() == [1, 0, 1]
    assert read_rows(written(tmp_path, name=name), ("bun",)).outcomes is None


@pytest.mark.parametrize(
    ("text", "outcome", "word"),
    [
        (TEXT, "dead", "no column dead"),
        (TEXT.replace("12.5", "Smith"), "died", "column bun holds text"),
        (TEXT.replace(",1\n", ",2\n"), "died", "not 0 or 1"),
        ("bun,age,died\n", "died", "no rows"),
        ("", "died", "no column bun"),
    ],
)
def test_what_does_not_fit_is_refused_without_saying_a_value(
    text: str, outcome: str, word: str, tmp_path: Path
) -> None:
    with pytest.raises(CompileRefused, match=word) as refused:
        read_rows(written(tmp_path, text), ("bun", "age"), outcome)
    assert "Smith" not in str(refused.value)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(CompileRefused, match="not there"):
        read_rows(tmp_path / "none.csv", ("a",))


def _regression(table: pd.DataFrame, *steps: Any) -> Any:
    y = (np.arange(len(table)) % 3 == 0).astype(int)
    return make_pipeline(*steps, LogisticRegression(max_iter=200)).fit(table, y)


def test_text_and_dates_among_numbers_are_named() -> None:
    table = pd.DataFrame({"age": np.linspace(20.0, 90.0, 60), "crp": np.linspace(1.0, 9.0, 60)})
    fitted = _regression(table, SimpleImputer())
    with pytest.raises(CompileRefused, match="age is text; at the bedside inputs are numbers"):
        compile_model(fitted, table.assign(age="old"))
    with pytest.raises(CompileRefused, match="crp holds dates or times: give numbers"):
        compile_model(fitted, table.assign(crp=pd.Timestamp("2020-01-01")))
