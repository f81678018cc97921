"""What the check finds in tables and charts that were spoiled one way each; and that it gives nobody away."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from models_onnx.errors import TrainingRefused
from models_onnx.models.mortality_5y import SPEC
from models_onnx.workbench.training.crossvalidate import Folds
from models_onnx.workbench.training.data.check_charts import check_charts
from models_onnx.workbench.training.data.check_columns import check_columns
from models_onnx.workbench.training.data.check_tables import DataReport, check_table, spec_of_table
from models_onnx.workbench.training.data.cohort import build_cohort
from models_onnx.workbench.training.data.leaks import copied_rows

Spoil = Callable[[pd.DataFrame], pd.DataFrame]


def checked(rows: pd.DataFrame, folder: Path) -> DataReport:
    """The report on these rows as the study's table."""
    path = folder / SPEC.table
    rows.to_csv(path, index=False)
    return check_table(SPEC, path)


def errors(report: DataReport) -> set[tuple[str, str]]:
    """Kind and place of every error."""
    return {(each.kind, each.where) for each in report.findings if each.severity == "error"}


def test_a_table_as_it_should_be_has_no_error(rows: pd.DataFrame, tmp_path: Path) -> None:
    sound = rows.assign(**{name: rows[name].clip(*limits) for name, limits in LIMITS.items()})
    report = checked(sound, tmp_path)
    assert errors(report) == set()
    assert report.passed
    assert "look-ahead-column" in {each.kind for each in report.findings}


def test_a_table_without_the_outcome_can_be_scored_and_not_trained_on(rows: pd.DataFrame, tmp_path: Path) -> None:
    report = checked(rows.drop(columns=SPEC.outcome.column), tmp_path)
    assert ("missing-outcome", "warning") in {(each.kind, each.severity) for each in report.findings}


LIMITS = {
    "albumin_g_dl": (3.0, 5.0),
    "alp_u_l": (20, 200),
    "bun_mg_dl": (2, 40),
    "creatinine_mg_dl": (0.3, 3.0),
    "glucose_mg_dl": (40, 290),
    "bilirubin_total_mg_dl": (0.1, 2.0),
    "wbc_10e3_ul": (2, 15),
    "rbc_10e6_ul": (3, 6.5),
    "mcv_fl": (65, 110),
    "rdw_pct": (11, 18),
    "lymphocytes_pct": (5, 60),
    "sbp_mmhg": (80, 200),
    "dbp_mmhg": (30, 110),
    "bmi_kg_m2": (13, 60),
}


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (
            lambda rows: rows.assign(creatinine_mg_dl=rows["creatinine_mg_dl"] * 88.4),
            ("unit-shift", "creatinine_mg_dl"),
        ),
        (
            lambda rows: rows.assign(glucose_mg_dl=rows["glucose_mg_dl"] / np.where(np.arange(len(rows)) % 5, 1, 18)),
            ("out-of-range", "glucose_mg_dl"),
        ),
        (lambda rows: pd.concat([rows, rows.iloc[:3]]), ("duplicate-key", "participant_id")),
        (lambda rows: rows.drop(columns="mcv_fl"), ("missing-column", "columns")),
        (lambda rows: rows.drop(columns="sex"), ("missing-column", "sex_male")),
        (lambda rows: rows.assign(followup_months=-1), ("impossible-follow-up", "death_5y")),
    ],
    ids=["unit of a column", "unit of a fifth", "row twice", "no input", "no sex", "negative time"],
)
def test_what_is_spoiled_is_found_where_it_is(
    spoil: Spoil, found: tuple[str, str], rows: pd.DataFrame, tmp_path: Path
) -> None:
    assert found in errors(checked(spoil(rows), tmp_path))


def test_the_model_of_a_table_is_known_by_its_name_or_told(tmp_path: Path) -> None:
    by_name = spec_of_table(Path("support2.csv.gz"), None)
    assert by_name is not None
    assert by_name.id == "mortality_180d"
    assert spec_of_table(Path("mine.csv"), "mortality_5y") is SPEC
    assert spec_of_table(tmp_path / "mine.csv", None) is None
    with pytest.raises(TrainingRefused, match="no model"):
        spec_of_table(tmp_path / "mine.csv", "mine")


def observation(name: str, **changed: Any) -> dict[str, Any]:
    """A creatinine as it should be."""
    return {
        "resourceType": "Observation",
        "id": name,
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "2160-0"}]},
        "subject": {"reference": "Patient/secret-name"},
        "effectiveDateTime": "2019-05-04T10:00:00Z",
        "valueQuantity": {"value": 1.1, "unit": "mg/dL", "code": "mg/dL", "system": "http://unitsofmeasure.org"},
    } | changed


def unit(code: str, value: float) -> dict[str, Any]:
    """A quantity."""
    return {"value": value, "unit": code, "code": code, "system": "http://unitsofmeasure.org"}


def test_charts_are_counted_and_their_faults_named_without_anybodys_name(tmp_path: Path) -> None:
    resources = [
        {"resourceType": "Patient", "id": "secret-name", "birthDate": "1950-01-01", "deceasedDateTime": "2020-01-01"},
        observation("1"),
        observation("1", effectiveDateTime="2019-06-01T10:00:00Z"),
        observation("2", valueQuantity=unit("furlong", 1.1)),
        observation("3", valueQuantity=unit("mg/dL", 900.0)),
        observation("4", code={"coding": [{"system": "http://loinc.org", "code": "99999-9"}]}),
        observation("5", effectiveDateTime="2021-01-01T10:00:00Z"),
        observation("6", effectiveDateTime="1940-01-01T10:00:00Z"),
        observation("7", effectiveDateTime=None),
        {
            "resourceType": "Condition",
            "id": "8",
            "code": {"coding": [{"system": "http://snomed.info/sct", "code": "444814009"}]},
            "subject": {"reference": "Patient/secret-name"},
        },
    ]
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": each} for each in resources]}
    (tmp_path / "one.json").write_text(json.dumps(bundle))
    report = check_charts(tmp_path)
    found = {(each.kind, each.where) for each in report.findings}
    for kind in ("unmapped-code", "unit", "implausible-value", "duplicate", "look-ahead", "no-date"):
        assert (kind, "Observation") in found, kind
    assert ("unmapped-code", "Condition") in found
    assert report.counts == {"patients": 1, "Condition": 1, "Observation": 8}
    told = str(report)
    for secret in ("secret-name", "1950", "2019", "2021"):
        assert secret not in told
    assert not report.passed


def test_a_file_that_is_no_json_is_counted_and_the_others_are_looked_at(tmp_path: Path) -> None:
    person = {"resourceType": "Patient", "id": "p", "birthDate": "1950-01-01"}
    (tmp_path / "one.json").write_text(json.dumps(person))
    (tmp_path / "two.json").write_text("{nope")
    report = check_charts(tmp_path)
    assert errors(report) == {("unreadable-file", "files")}
    assert report.counts["patients"] == 1
    assert "two" not in str(report)


def own_extract(count: int = 3000) -> pd.DataFrame:
    """An extract of a hospital, as it comes, with the mistakes that the tests look for."""
    draw = np.random.default_rng(3)
    rows = pd.DataFrame({"stay": np.arange(count) + 70_000, "mrn": [f"H{n // 2}" for n in range(count)]})
    rows["age"], rows["crea"] = draw.integers(18, 95, count), draw.lognormal(0, 0.4, count).round(2)
    rows["na"], rows["hgb"] = draw.normal(138, 3, count).round(), draw.normal(13, 2, count).round(1)
    rows["back"] = (draw.random(count) < 0.1).astype(int)
    rows["days_to_next"] = np.where(rows["back"] == 1, draw.integers(1, 30, count), draw.integers(29, 400, count))
    return rows.assign(crea_umol=rows["crea"] * 88.4, site="one", insurance=draw.choice(["a", "b"], count))


def test_a_table_of_no_model_is_described_and_its_traps_are_named(tmp_path: Path) -> None:
    own_extract().to_csv(tmp_path / "extract.csv", index=False)
    assert spec_of_table(tmp_path / "extract.csv", None) is None
    report = check_columns(tmp_path / "extract.csv")
    kinds = {(finding.kind, finding.where): finding for finding in report.findings}
    assert kinds["names-rows", "columns"].examples == ("stay", "mrn")
    assert ("constant-column", "site") in kinds
    assert "crea" in kinds["same-column", "crea_umol"].text
    assert "back" in kinds["tells-outcome", "days_to_next"].text
    assert kinds["group-column", "columns"].examples == ("insurance",)
    assert kinds["yes-or-no", "back"].count == own_extract()["back"].sum()
    assert not [finding for finding in report.findings if finding.kind == "copied-rows"]


def test_copies_of_people_under_other_names_are_counted_and_people_alike_by_chance_are_not(tmp_path: Path) -> None:
    rows = own_extract()
    copies = rows[:90].assign(stay=np.arange(90) + 1, mrn=[f"X{n}" for n in range(90)])
    pd.concat([rows, copies]).to_csv(tmp_path / "extract.csv", index=False)
    (found,) = (item for item in check_columns(tmp_path / "extract.csv").findings if item.kind == "copied-rows")
    assert found.count == 90
    draw = np.random.default_rng(4)
    few_kinds = pd.DataFrame({name: draw.integers(0, 4, 5000) for name in "abcdefg"})
    assert copied_rows(few_kinds) == 0, "people of few answers are alike by chance"


def test_people_of_a_models_table_who_are_there_twice_are_an_error(rows: pd.DataFrame, tmp_path: Path) -> None:
    some = rows[:: max(1, len(rows) // 100)]
    renamed = some.assign(**{SPEC.patient_column: [f"again{n}" for n in range(len(some))]})
    report = checked(pd.concat([rows, renamed]), tmp_path)
    assert ("copied-rows", "error") in {(finding.kind, finding.severity) for finding in report.findings}


def test_what_other_countries_write_differently_is_named_before_a_model_is_declared(tmp_path: Path) -> None:
    """Times of two offsets (summer and winter), decimal commas, days before months, answers in words, semicolons."""
    count = range(1, 201)
    table = pd.DataFrame(
        {
            "AdmDtTm": [f"2024-{number % 12 + 1:02}-03T08:00:00-0{5 + number % 2}:00" for number in count],
            "Hb": [f"1{number % 7},{number % 10}" for number in count],
            "Disch_Date": [f"{number % 28 + 1:02}.07.2024" for number in count],
            "Wiederaufn30": ["J" if number % 9 == 0 else "N" for number in count],
        }
    )
    table.to_csv(tmp_path / "extract.csv", index=False)
    findings = {(finding.kind, finding.where): finding for finding in check_columns(tmp_path / "extract.csv").findings}
    for kind, where in (("decimal-comma", "Hb"), ("not-iso-date", "Disch_Date"), ("two-answers", "Wiederaufn30")):
        assert findings[kind, where].count == len(table)
    assert findings["not-iso-date", "Disch_Date"].examples == (), "a report holds no date"
    table.to_csv(tmp_path / "semicolons.csv", index=False, sep=";")
    with pytest.raises(TrainingRefused, match="its columns are separated by ';'"):
        check_columns(tmp_path / "semicolons.csv")


def test_codes_for_missing_and_dates_that_only_the_outcome_has_are_named_before_a_model_is_declared(
    tmp_path: Path,
) -> None:
    draw, number = np.random.default_rng(5), np.arange(400)
    table = pd.DataFrame(
        {
            "crea": np.where(number % 9 == 0, 9999, draw.integers(50, 300, 400)),
            "stays": np.where(number % 20 == 0, -1, draw.integers(0, 5, 400)),
            "age": draw.integers(80, 100, 400),
            "answer": draw.integers(1, 10, 400),
            "back": np.where(number % 7 == 0, "oui", "non"),
            "date_back": np.where(number % 7 == 0, "2024-05-01", ""),
        }
    )
    table.to_csv(tmp_path / "extract.csv", index=False)
    report = check_columns(tmp_path / "extract.csv")
    codes = {finding.where: finding.count for finding in report.findings if finding.kind == "missing-code"}
    assert codes == {"crea": 45, "stays": 20}, "99 years and the ninth answer are values"
    (tells,) = (finding for finding in report.findings if finding.kind == "tells-outcome")
    assert (tells.where, "tells back by itself" in tells.text) == ("date_back", True)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a,b\n", "has no row beneath its header"),
        ("a,b,a\n1,2,3\n", "has the column 'a' twice"),
        ("a,b\n1,2,3\n", "Expected 2 fields in line 2, saw 3"),
        ('{"a": 1}\n', "is no CSV file"),
        ("PK\x03\x04,b\n1,2\n", "is no CSV file"),
    ],
)
def test_a_file_that_would_be_read_as_another_table_is_refused(content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(content)
    with pytest.raises(TrainingRefused, match=said):
        check_columns(tmp_path / "rows.csv")


def test_folds_that_nobody_drew_hold_each_patient_once_and_need_patients(rows: pd.DataFrame) -> None:
    without = rows.drop(columns=SPEC.fold_column)
    cohort = build_cohort(SPEC, without)
    assert set(cohort.fold) == set(range(5))
    assert pd.Series(cohort.fold).groupby(cohort.patient).nunique().max() == 1
    by_row = replace(SPEC, row_column="row")
    alone = build_cohort(by_row, without.assign(row=range(len(without)), **{SPEC.patient_column: "p"}))
    with pytest.raises(TrainingRefused, match=f"names 1 patients in its column {SPEC.patient_column}"):
        Folds(by_row, alone, SPEC.feature_names)
