"""The columns of a study become the inputs that `cds-hooks score` reads; their scores are those of the server."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from models_onnx.batch import load
from models_onnx.errors import TrainingRefused
from models_onnx.models.mortality_5y import SPEC
from models_onnx.workbench.training.data import study_inputs as dataset
from models_onnx.workbench.training.data.study_inputs import write_inputs


def written(rows: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """The inputs that are written of these rows."""
    table, out = folder / "rows.csv.gz", folder / "inputs.csv"
    rows.to_csv(table, index=False)
    assert write_inputs(SPEC, table, out) == len(rows)
    return pd.read_csv(out, dtype={"id": str}, keep_default_na=False, na_values=[""])


def test_every_row_keeps_its_place_and_scores_as_the_study_reads_it(
    rows: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset, "_AT_ONCE", 400)
    inputs = written(rows, tmp_path)
    assert inputs["id"].tolist() == rows["participant_id"].tolist()
    assert list(inputs) == ["id", *SPEC.feature_names, "under-40", "pregnant"]
    model = load("mortality_5y")
    assert model.score(inputs)["probability"].equals(model.score(rows)["probability"])


def test_an_empty_table_gives_a_header_and_nothing_more(rows: pd.DataFrame, tmp_path: Path) -> None:
    assert len(written(rows.head(0), tmp_path)) == 0


def typical() -> dict[str, Any]:
    """A person in the study's columns."""
    measured = {
        "albumin_g_dl": 4.1,
        "alp_u_l": 80.0,
        "bun_mg_dl": 18.0,
        "creatinine_mg_dl": 1.1,
        "glucose_mg_dl": 110.0,
        "bilirubin_total_mg_dl": 0.6,
        "wbc_10e3_ul": 7.5,
        "rbc_10e6_ul": 4.4,
        "mcv_fl": 91.0,
        "rdw_pct": 13.9,
        "lymphocytes_pct": 27.0,
        "sbp_mmhg": 138.0,
        "dbp_mmhg": 76.0,
        "bmi_kg_m2": 28.4,
    }
    return {"participant_id": "p1", "age_years": 71, "sex": "male", "pregnant": 0, **measured}


@pytest.mark.parametrize("column", ["age_years", "pregnant", "creatinine_mg_dl"])
def test_one_text_among_numbers_is_missing_and_changes_nobody_else(
    rows: pd.DataFrame, tmp_path: Path, column: str
) -> None:
    people = rows.head(300)
    plain = written(people, tmp_path)
    spoiled = people.astype({column: object})
    spoiled.loc[people.index[7], column] = "see note"
    inputs = written(spoiled, tmp_path)
    assert inputs.drop(index=7).equals(plain.drop(index=7))
    assert column not in inputs or column == "pregnant" or np.isnan(inputs[column][7])


@pytest.mark.parametrize("key", ["", "007", 'a,"b"'])
def test_a_key_stays_what_it_is_in_the_table(tmp_path: Path, key: str) -> None:
    pd.DataFrame([typical() | {"participant_id": key}]).to_csv(tmp_path / "rows.csv", index=False)
    write_inputs(SPEC, tmp_path / "rows.csv", tmp_path / "inputs.csv")
    with (tmp_path / "inputs.csv").open(newline="") as file:
        assert [line["id"] for line in csv.DictReader(file)] == [key]


def test_a_table_is_read_by_what_it_is_not_by_its_name(tmp_path: Path) -> None:
    table = pd.DataFrame([typical()])
    plain, packed, out = tmp_path / "plain.csv.gz", tmp_path / "packed.csv", tmp_path / "inputs.csv"
    table.to_csv(plain, index=False, compression=None)
    table.to_csv(packed, index=False, compression="gzip")
    assert write_inputs(SPEC, plain, out) == write_inputs(SPEC, packed, out) == 1


def test_a_table_that_breaks_off_leaves_no_inputs(rows: pd.DataFrame, tmp_path: Path) -> None:
    table, out = tmp_path / "rows.csv.gz", tmp_path / "inputs.csv"
    rows.to_csv(table, index=False)
    table.write_bytes(table.read_bytes()[:-2000])
    with pytest.raises(TrainingRefused, match="cannot be read"):
        write_inputs(SPEC, table, out)
    assert not out.exists()
    with pytest.raises(TrainingRefused, match="the table itself"):
        write_inputs(SPEC, table, table)
    assert table.is_file()


def test_a_table_without_its_key_leaves_no_inputs(tmp_path: Path) -> None:
    pd.DataFrame([typical()]).drop(columns="participant_id").to_csv(tmp_path / "rows.csv", index=False)
    with pytest.raises(TrainingRefused) as refused:
        write_inputs(SPEC, tmp_path / "rows.csv", tmp_path / "inputs.csv")
    assert str(refused.value) == "rows.csv has no column participant_id, by which a line names its row"
    assert not (tmp_path / "inputs.csv").exists()
