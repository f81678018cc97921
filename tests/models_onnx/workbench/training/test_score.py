"""One line per row, in order, with a score or a reason; the same numbers as the server gives for the same facts."""

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
from fhir.record.reading import read_record, read_value
from fhir.terminology.analytes import LOINC
from models_onnx.errors import TrainingRefused
from models_onnx.models.mortality_5y import SPEC, TWIN
from models_onnx.serving.registry import load_model
from models_onnx.serving.runtime import Model, Prediction
from models_onnx.workbench.training import score
from models_onnx.workbench.training.score import Scorer, score_file

LIVER_AND_WIDTH = ("albumin_g_dl", "alp_u_l", "bilirubin_total_mg_dl", "rdw_pct")
OUTCOMES = ["death_5y", "followup_months", "death", "fold", "linked", "cycle_start"]


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    """The committed models."""
    return Scorer.of("mortality_5y")


def lines(path: Path) -> list[dict[str, str]]:
    """The lines as a reader of CSV gets them."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def scored(scorer: Scorer, rows: pd.DataFrame, folder: Path, explain: bool = False) -> list[dict[str, str]]:
    """The lines for these rows."""
    table, out = folder / "rows.csv.gz", folder / "scores.csv"
    rows.to_csv(table, index=False)
    score_file(scorer, table, out, explain)
    return lines(out)


def test_every_row_has_its_line_in_order_also_without_outcomes(
    scorer: Scorer, rows: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score, "AT_ONCE", 400)
    told = scored(scorer, rows.drop(columns=OUTCOMES), tmp_path)
    assert [line["id"] for line in told] == rows["participant_id"].tolist()
    assert list(told[0]) == ["id", "probability", "reason", "model"]
    for line in told:
        assert bool(line["probability"]) != bool(line["reason"])
        assert bool(line["model"]) == bool(line["probability"])
    kinds = {line["reason"].partition(":")[0] for line in told if line["reason"]}
    assert {"outside-population", "too-few-inputs"} <= kinds


def test_explained_lines_add_up(scorer: Scorer, rows: pd.DataFrame, tmp_path: Path) -> None:
    told = [line for line in scored(scorer, rows.head(300), tmp_path, explain=True) if line["probability"]]
    for line in told:
        parts = [float(v) for name, v in line.items() if name.startswith("contribution_") and v]
        margin = float(line["base"]) + sum(parts)
        assert 1 / (1 + np.exp(-margin)) == pytest.approx(float(line["probability"]), abs=1e-9)


def test_the_small_panel_takes_over_where_too_much_is_missing(
    scorer: Scorer, rows: pd.DataFrame, tmp_path: Path
) -> None:
    few = rows.drop(columns=["albumin_g_dl", "alp_u_l", "bilirubin_total_mg_dl", "rdw_pct", "lymphocytes_pct"])
    told = scored(scorer, few.head(400), tmp_path, explain=True)
    assert {line["model"] for line in told if line["probability"]} == {TWIN.id}
    (line,) = [line for line in told if line["model"]][:1]
    assert line["contribution_rdw_pct"] == ""
    assert line["contribution_mcv_fl"] != ""


def test_an_empty_table_gives_a_header_and_nothing_more(scorer: Scorer, rows: pd.DataFrame, tmp_path: Path) -> None:
    assert scored(scorer, rows.head(0), tmp_path) == []
    assert (tmp_path / "scores.csv").read_text() == "id,probability,reason,model\n"


@pytest.mark.parametrize(("value", "kind"), [(350.0, "out-of-range"), (float("inf"), "out-of-range")])
def test_a_value_outside_the_trained_range_is_named(
    scorer: Scorer, rows: pd.DataFrame, tmp_path: Path, value: float, kind: str
) -> None:
    person = dict.fromkeys(rows, 0.0) | typical()
    told = scored(scorer, pd.DataFrame([person | {"glucose_mg_dl": value}]), tmp_path)
    assert told[0]["reason"].startswith(kind)
    assert "Glucose" in told[0]["reason"]


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
def test_a_row_is_scored_as_the_server_scores_the_same_facts(without: tuple[str, ...], scorer: Scorer) -> None:
    person = typical() | dict.fromkeys(without, np.nan)
    row = scorer.score(pd.DataFrame([person]))
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
        assert np.array_equal(row.contributions[0], own.contributions)
    elif len(without) == 4:
        assert row.model[0] == TWIN.id
        assert row.probability[0] == twin.predict(vector.only(twin.features).values).probability
    else:
        assert found.refused is not None
        assert row.reason[0] == f"{found.refused.reason}: {found.refused.text}"


@pytest.mark.parametrize("column", ["age_years", "pregnant", "creatinine_mg_dl"])
def test_one_text_among_numbers_is_missing_and_changes_nobody_else(
    scorer: Scorer, rows: pd.DataFrame, tmp_path: Path, column: str
) -> None:
    people = rows.head(300)
    plain = scored(scorer, people, tmp_path)
    spoiled = people.astype({column: object})
    spoiled.loc[people.index[7], column] = "see note"
    told = scored(scorer, spoiled, tmp_path)
    assert told[:7] + told[8:] == plain[:7] + plain[8:]
    assert column != "age_years" or told[7]["reason"].startswith("age-unknown")


def test_a_column_of_words_where_numbers_should_be_is_missing_throughout(scorer: Scorer, tmp_path: Path) -> None:
    told = scored(scorer, pd.DataFrame([typical() | {"age_years": "seventy"}]), tmp_path)
    assert told[0]["reason"].startswith("age-unknown")


@pytest.mark.parametrize("key", ["", "007", 'a,"b"'])
def test_a_key_stays_what_it_is_in_the_table(scorer: Scorer, tmp_path: Path, key: str) -> None:
    told = scored(scorer, pd.DataFrame([typical() | {"participant_id": key}]), tmp_path)
    assert [line["id"] for line in told] == [key]


def test_a_table_is_read_by_what_it_is_not_by_its_name(scorer: Scorer, tmp_path: Path) -> None:
    table = pd.DataFrame([typical()])
    plain, packed, out = tmp_path / "plain.csv.gz", tmp_path / "packed.csv", tmp_path / "scores.csv"
    table.to_csv(plain, index=False, compression=None)
    table.to_csv(packed, index=False, compression="gzip")
    assert score_file(scorer, plain, out, False).scored == score_file(scorer, packed, out, False).scored == {SPEC.id: 1}


def test_a_table_that_breaks_off_leaves_no_scores(scorer: Scorer, rows: pd.DataFrame, tmp_path: Path) -> None:
    table, out = tmp_path / "rows.csv.gz", tmp_path / "scores.csv"
    rows.to_csv(table, index=False)
    table.write_bytes(table.read_bytes()[:-2000])
    with pytest.raises(TrainingRefused, match="cannot be read"):
        score_file(scorer, table, out, False)
    assert not out.exists()
    with pytest.raises(TrainingRefused, match="the table itself"):
        score_file(scorer, table, table, False)
    assert table.is_file()
