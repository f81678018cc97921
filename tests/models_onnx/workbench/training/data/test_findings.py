"""What the check of a table writes, finding by finding, on a made-up table that is spoiled in one way each."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from models_onnx.spec import InputSpec, OutcomeSpec
from models_onnx.workbench.training.data import chart_table
from models_onnx.workbench.training.data.check_tables import (
    DataProblem,
    check_table,
)
from tests.fhir.builders import problem
from tests.models_onnx.workbench.training.data.test_chart_table import stay
from tests.models_onnx.workbench.training.ten_people import SPEC as TEN

SPEC = replace(
    TEN,
    id="made_up",
    inputs=tuple(map(InputSpec, ("age_years", "creatinine_mg_dl", "sex_male", "sbp_mmhg"))),
    derived={"sex_male": lambda table: table["sex"].map({"male": 1.0, "female": 0.0})},
    outcome=OutcomeSpec("event", "an event", 30),
    table="made_up.csv",
    exclusions=(),
    recalibration=None,
    newest=None,
    subgroups={},
    panels={},
    age_bands=(),
    patient_column="patient",
    row_column="stay",
    fold_column="fold",
    row_words="stays",
    never_inputs=("payer",),
)
COUNT = 600


def made_up() -> pd.DataFrame:
    """A table without a fault."""
    draw = np.random.default_rng(5)
    age, creatinine = draw.integers(40, 90, COUNT), draw.uniform(0.5, 2.5, COUNT).round(3)
    return pd.DataFrame(
        {
            "stay": [f"s{number}" for number in range(COUNT)],
            "patient": [f"p{number}" for number in range(COUNT)],
            "age_years": age,
            "sex": draw.choice(["female", "male"], COUNT),
            "creatinine_mg_dl": creatinine,
            "sbp_mmhg": draw.normal(130, 15, COUNT).round(2),
            "event": (draw.random(COUNT) < 1 / (1 + np.exp(-(0.04 * (age - 65) + creatinine - 1.5)))).astype(int),
            "fold": np.arange(COUNT) % 5,
        }
    )


def findings(rows: pd.DataFrame, folder: Path, **changed: Any) -> list[DataProblem]:
    """What the check finds in these rows."""
    path = folder / "made_up.csv"
    rows.to_csv(path, index=False)
    report = check_table(replace(SPEC, **changed), path)
    assert (report.name, report.kind) == ("made_up.csv", "table of made_up")
    assert report.counts == {"rows": len(rows), "columns": len(rows.columns)}
    assert report.passed == all(finding.severity != "error" for finding in report.findings)
    return report.findings


Spoil = Callable[[pd.DataFrame], pd.DataFrame]


def refused(sentence: str) -> DataProblem:
    """What training says of a table that it refuses."""
    return DataProblem("not-trainable", "error", "table", sentence, 1)


SPOILED: dict[str, tuple[Spoil, list[DataProblem]]] = {
    "texts": (
        lambda rows: rows.assign(sbp_mmhg=[*["high"] * 2, "low", *rows["sbp_mmhg"][3:]]),
        [
            DataProblem(
                *("not-a-number", "warning", "sbp_mmhg", "texts among numbers: they count as missing", 3),
                ("high (2)", "low"),
            )
        ],
    ),
    "columns": (
        lambda rows: rows.drop(columns=["sbp_mmhg", "stay"]),
        [refused("made_up.csv has no column sbp_mmhg, stay")],
    ),
    "what an input is read from": (
        lambda rows: rows.drop(columns="sex"),
        [
            refused(
                "made_up: sex_male is read from the column 'sex', which made_up.csv does not have; it has stay, "
                "patient, age_years, creatinine_mg_dl, sbp_mmhg, event, fold"
            )
        ],
    ),
    "the outcome": (lambda rows: rows.drop(columns="event"), [refused("made_up.csv has no column event")]),
    "a row twice": (
        lambda rows: pd.concat([rows, rows[:2]]),
        [
            DataProblem("duplicate-rows", "warning", "rows", "rows that repeat another in every column", 2),
            DataProblem(
                *("several-rows-per-patient", "note", "patient"),
                "rows of patients who have another: resample by patient, not by row",
                2,
            ),
            refused("made_up.csv has a stay twice; the same row in two folds would leak"),
        ],
    ),
    "no key": (
        lambda rows: rows.assign(stay=["", *rows["stay"][1:]], patient=["", *rows["patient"][1:]]),
        [
            DataProblem("empty-key", "error", "stay", "rows without a key", 1),
            DataProblem("empty-key", "error", "patient", "rows without a patient: they count as one", 1),
        ],
    ),
    "no folds": (
        lambda rows: rows.drop(columns="fold"),
        [DataProblem("no-folds", "note", "fold", "no folds in the table: the patients go into five in turn", 1)],
    ),
    "a patient in two folds": (
        lambda rows: rows.assign(patient=["p1", *rows["patient"][1:]]),
        [
            DataProblem(
                *("several-rows-per-patient", "note", "patient"),
                "rows of patients who have another: resample by patient, not by row",
                1,
            ),
            refused("made_up.csv has a patient in two folds: folds are by patient"),
        ],
    ),
    "a column of the outcome": (
        lambda rows: rows.assign(payer="x"),
        [
            DataProblem(
                *("look-ahead-column", "note", "columns"),
                "knows the outcome or stands for who pays; in the table, not an input",
                *(1, ("payer",)),
            )
        ],
    ),
    "values that are not believed": (
        lambda rows: rows.assign(age_years=[200, 200, 201, *rows["age_years"][3:]]),
        [
            DataProblem(
                *("implausible-value", "warning", "age_years"),
                "outside 0 to 130 a: not believed at the bedside, and missing here too",
                *(3, ("200 (2)", "201")),
            )
        ],
    ),
    "a column without a number": (
        lambda rows: rows.assign(sbp_mmhg=np.nan),
        [refused("made_up.csv: no row has a number for sbp_mmhg, all are blank; leave it out of the inputs")],
    ),
    "a column of one number": (
        lambda rows: rows.assign(sbp_mmhg=120),
        [
            DataProblem(
                "constant-input", "warning", "sbp_mmhg", "the same in all rows: nothing can be learned from it", COUNT
            )
        ],
    ),
    "an outcome in words": (
        lambda rows: rows.assign(event=["yes", np.nan, "yes", 2, *rows["event"][4:]]),
        [
            DataProblem(
                "not-a-number", "warning", "event", "texts among numbers: they count as missing", 2, ("yes (2)",)
            ),
            refused("the outcome event must be 0 or 1 in each row that is trained on"),
        ],
    ),
    "one outcome": (
        lambda rows: rows.assign(event=0),
        [
            DataProblem(
                *("few-events", "error", "event"),
                "0 rows with the outcome and 600 without it: only from 20 of each on it is told what knows the outcome",
                1,
            )
        ],
    ),
}


@pytest.mark.parametrize("name", SPOILED)
def test_what_is_spoiled_is_the_only_finding_in_these_words(name: str, tmp_path: Path) -> None:
    spoil, expected = SPOILED[name]
    assert findings(spoil(made_up()), tmp_path) == expected


Json = dict[str, Any]
KIDNEY = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "N17.9"}]}
VISIT = stay("er", "2026-01-01T10:00:00Z", "2026-01-01T14:00:00Z", "EMER")


def injury(day: str, **more: Json | str) -> Json:
    """A kidney injury that began on a day."""
    return problem(KIDNEY, status=None, patient="p", id=f"c{day}", onsetDateTime=day) | more


def rows(folder: Path, table: chart_table.SiteTable, *resources: Json, **patient: Any) -> list[Json]:
    """The rows of one chart, without what is the same for all."""
    person = {"resourceType": "Patient", "id": "p", "birthDate": "1950-03-01", "gender": "male", **patient}
    folder.mkdir(exist_ok=True)
    entries = [{"resource": resource} for resource in (person, *resources)]
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    (folder / "p.json").write_text(json.dumps(bundle))
    found = chart_table.feature_table(table, (), folder)
    kept: list[Json] = found[["year", "age_years", "followed_days", "event"]].to_dict("records")
    return kept


OWN = chart_table.SiteTable(
    horizon_days=30, index=chart_table.OwnIndex(("EMER",), "end"), event=chart_table.OwnEvent(codes=("icd10|N17*",))
)


def test_a_value_after_the_index_changes_no_feature(tmp_path: Path) -> None:
    later = stay("later", "2026-06-20T10:00:00Z", "2026-06-29T11:00:00Z")
    (before,), (after,) = rows(tmp_path / "a", OWN, VISIT), rows(tmp_path / "b", OWN, VISIT, later)
    assert before["age_years"] == after["age_years"]


DIABETES = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "E11.9"}]}
OVER = {"clinicalStatus": {"coding": [{"code": "resolved"}]}}


@pytest.mark.parametrize(
    ("more", "is_counted"),
    [
        ({"recordedDate": "2025-05-01"}, False),
        ({"recordedDate": "2025-05-01", **OVER}, True),
        ({"recordedDate": "2025-05-01", **OVER, "abatementDateTime": "2025-08-01"}, False),
        ({"recordedDate": "2026-01-01"}, True),  # the day of the index, which training knows when it is over
        ({"recordedDate": "2026-01-02"}, False),
    ],
)
def test_an_input_that_a_call_would_have_read_otherwise_is_named_in_its_row_and_on_the_card(
    tmp_path: Path, more: Json, is_counted: bool
) -> None:
    person = {"resourceType": "Patient", "id": "p", "birthDate": "1950-03-01", "gender": "male"}
    illness = injury("2025-05-01") | {"code": DIABETES} | more
    illness.pop("onsetDateTime")
    entries = [{"resource": resource} for resource in (person, VISIT, illness)]
    (tmp_path / "p.json").write_text(json.dumps({"resourceType": "Bundle", "entry": entries}))
    table = chart_table.feature_table(OWN, ["has_diabetes"], tmp_path)
    shares = chart_table.undated_shares(table, ["age_years", "has_diabetes"])
    assert shares == ({"has_diabetes": 1.0} if is_counted else {})
    assert [sentence.endswith("decided: has_diabetes 100.0.") for sentence in chart_table.undated_in_words(shares)] == (
        [True] if is_counted else []
    )
