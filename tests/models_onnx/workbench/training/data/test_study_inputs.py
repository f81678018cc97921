"""The columns of a study become the inputs that `cds-hooks score` reads; their scores are those of the server."""

import asyncio
import csv
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest

from cds_hooks.services._model import estimate
from fhir.mapping.features.catalog import features_named
from fhir.mapping.features.feature import map_features
from fhir.record.record import read_record, read_value
from fhir.terminology.analytes import LOINC
from models_onnx.batch import load
from models_onnx.errors import TrainingRefused
from models_onnx.models.mortality_5y import SPEC, TWIN
from models_onnx.serving.registry import load_model
from models_onnx.serving.runtime import Model, Prediction
from models_onnx.workbench.training.data import study_inputs as dataset
from models_onnx.workbench.training.data.study_inputs import study_inputs, write_inputs


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


def chart_of(person: dict[str, Any], without: tuple[str, ...]) -> dict[str, Any]:
    """The same facts as FHIR."""
    patient = {"resourceType": "Patient", "id": "p1", "gender": person["sex"], "birthDate": "1955-06-01"}
    entries: list[dict[str, Any]] = [patient]
    for name in SPEC.feature_names[2:]:
        (feature,) = features_named((name,))
        if name in without or feature.measured is None:
            continue
        entries.append(
            {
                "resourceType": "Observation",
                "id": name.replace("_", "-"),
                "status": "final",
                "code": {"coding": [{"system": LOINC, "code": feature.measured.loinc[0]}]},
                "subject": {"reference": "Patient/p1"},
                "effectiveDateTime": "2026-10-01",
                "valueQuantity": {"value": person[name], "code": feature.unit, "unit": feature.unit},
            }
        )
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": each} for each in entries]}


@pytest.mark.parametrize(
    "without",
    [
        (),
        ("rdw_pct", "bmi_kg_m2"),
        ("albumin_g_dl", "alp_u_l", "bilirubin_total_mg_dl", "rdw_pct"),
        SPEC.feature_names[2:],
    ],
    ids=["all", "two missing", "small panel", "nothing"],
)
def test_a_row_is_scored_as_the_server_scores_the_same_facts(without: tuple[str, ...]) -> None:
    person = typical() | dict.fromkeys(without, np.nan)
    panel = load("mortality_5y")
    row = panel.score(study_inputs(SPEC, pd.DataFrame([person]))).to_pandas()
    bundle, _ = read_value("chart", msgspec.json.encode(chart_of(person, without)))
    record = read_record({"chart": bundle}, "p1", datetime(2026, 11, 20, 9, tzinfo=UTC))

    async def predict(model: Model, values: np.ndarray) -> Prediction:
        return model.predict(values)

    model, twin = load_model("mortality_5y"), load_model("mortality_5y_small")
    vector = map_features(record, features_named(model.features))
    own = model.predict(vector.values)
    found = asyncio.run(estimate(predict, vector, model, twin, lambda _model: None))
    if not without or len(without) == 2:
        assert row.probability[0] == own.probability
        parts = row[[f"contribution_{name}" for name in panel.features]].to_numpy()
        assert np.array_equal(parts[0], own.contributions)
    elif len(without) == 4:
        assert row.model[0] == TWIN.id
        assert row.probability[0] == twin.predict(vector.only(twin.features).values).probability
    else:
        assert found.refused is not None
        assert (row.reason[0], row.reason_text[0]) == (found.refused.reason, found.refused.text)


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


def test_inputs_are_packed_where_their_name_says_so_and_counted_part_by_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset, "_AT_ONCE", 2)
    people = [typical() | {"participant_id": f"p{number}"} for number in range(5)]
    pd.DataFrame(people).to_csv(tmp_path / "rows.csv", index=False)
    steps: list[int] = []
    assert write_inputs(SPEC, tmp_path / "rows.csv", tmp_path / "inputs.csv.gz", steps.append) == 5
    assert steps == [2, 4, 5]
    told = pd.read_csv(tmp_path / "inputs.csv.gz", compression="gzip")
    assert told["id"].tolist() == ["p0", "p1", "p2", "p3", "p4"]
