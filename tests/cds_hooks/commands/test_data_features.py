"""`cds-hooks data`: what a site declares, and what each feature is in a chart, whole."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from typer.testing import CliRunner

from cds_hooks.cli import app
from fhir.mapping.features.catalog import FEATURES, features_named
from fhir.mapping.features.declared import values_in_words
from fhir.record.facts import ANALYTE_POSITION
from fhir.record.measurement import KEY_BY_LOINC
from fhir.terminology.analytes import ANALYTE_BY_LOINC, ANALYTES
from tests.fhir.builders import encounter, observation

DECLARED = """
[[feature]]
name = "procalcitonin_ng_ml"
words = "Procalcitonin"
evidence = "an input of a model of this guide"
loinc = ["33959-8"]
unit = "ng/mL"
also_in = { "ug/L" = 1.0 }
low = 0.01
high = 1000.0
window_days = 2

[[feature]]
name = "potassium_2d"
words = "Potassium of two days"
evidence = "an input of a model of this guide"
analyte = "potassium"
window_days = 2
"""


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    """What a test declares is known to its process from then on: forgotten at its end."""
    tables: list[dict[str, Any]] = [
        cast(dict[str, Any], table) for table in (FEATURES, ANALYTES, ANALYTE_BY_LOINC, KEY_BY_LOINC, ANALYTE_POSITION)
    ]
    before = [dict(table) for table in tables]
    yield
    for table, were in zip(tables, before, strict=True):
        table.clear()
        table.update(were)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the declaration of two features."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "features.toml").write_text(DECLARED)
    return tmp_path / "own"


def _chart(folder: Path, *results: dict[str, Any]) -> str:
    patient = {"resourceType": "Patient", "id": "p", "birthDate": "1950-01-01"}
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": r} for r in (patient, *results)]}
    (folder.parent / "chart.json").write_text(json.dumps(bundle))
    return str(folder.parent / "chart.json")


def _output(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["data", *arguments])
    return done.exit_code, done.stdout, done.stderr


def test_a_chart_shows_each_value_with_its_date_or_why_it_is_missing(folder: Path) -> None:
    chart = _chart(
        folder,
        observation("33959-8", 0.5, "ug/L", "2026-11-19", patient="p", id="new"),
        observation("33959-8", 7.0, "ng/mL", "2026-11-21", patient="p", id="later"),
        observation("2823-3", 4.1, "mmol/L", "2026-11-10", patient="p", id="old"),
    )
    assert _output(str(folder), "--chart", chart, "--as-of", "2026-11-20") == (
        0,
        "procalcitonin_ng_ml = 0.5: Procalcitonin 0.5 ug/L of 2026-11-19\n"
        "potassium_2d missing (stale): Potassium of two days 4.1 mmol/L of 2026-11-10: older than 2 days.\n",
        "",
    )
    assert _output(str(folder), "--chart", chart, "--as-of", "2026-11-21")[1].startswith(
        "procalcitonin_ng_ml = 7: Procalcitonin 7 ng/mL of 2026-11-21\n"
    )


def test_an_empty_chart_lacks_everything(folder: Path) -> None:
    code, shown, _ = _output(str(folder), "--chart", _chart(folder), "--as-of", "2026-11-20")
    assert code == 0
    assert shown.splitlines() == [
        "procalcitonin_ng_ml missing (absent): Procalcitonin: not recorded.",
        "potassium_2d missing (absent): Potassium of two days: not recorded.",
    ]


def test_without_a_chart_the_declarations_are_a_page(folder: Path) -> None:
    code, shown, errors = _output(str(folder))
    assert (code, errors) == (0, "")
    lines = shown.splitlines()
    assert [line.split("|")[1].strip(" `") for line in lines if line.startswith("| `")] == [
        "procalcitonin_ng_ml",
        "potassium_2d",
    ]


def test_charts_become_the_table_of_a_site_with_a_report(folder: Path, tmp_path: Path) -> None:
    (folder / "table.toml").write_text('horizon_days = 30\nindex = { classes = ["AMB"], at = "end" }\n')
    visit = encounter(
        "AMB", "finished", patient="p", id="v", period={"start": "2026-01-01T10:00:00Z", "end": "2026-01-01T11:00:00Z"}
    )
    _chart(folder, visit)
    (tmp_path / "charts").mkdir()
    (folder.parent / "chart.json").rename(tmp_path / "charts" / "p.json")
    out = tmp_path / "rows.csv"
    code, printed, errors = _output(str(folder), "--charts", str(tmp_path / "charts"), "--out", str(out), "--json")
    assert (code, errors) == (0, "")
    report = json.loads(printed)
    assert (report["counts"]["patients"], report["counts"]["not followed"]) == (1, 1)
    assert {finding["where"] for finding in report["findings"] if finding["kind"] == "feature"} >= {"age_years"}
    head, row = out.read_text().splitlines()
    assert head.startswith("patient,row,fold,year,age_years,sex_male,")
    assert row.endswith(",0.0,")
    code, _, errors = _output(str(folder), "--charts", str(tmp_path / "charts"))
    assert (code, errors.splitlines()[0]) == (2, "--charts needs --out, the file of the table")


def test_what_cannot_be_read_is_a_sentence(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "chart.json").write_text("{")
    code, shown, errors = _output(str(folder), "--chart", str(tmp_path / "chart.json"), "--as-of", "2026-11-20")
    assert (code, shown) == (2, "")
    assert errors.count("\n") == 1
    assert "chart.json" in errors
    (folder / "features.toml").write_text(DECLARED.replace("low = 0.01", "low = 2000.0"))
    code, shown, errors = _output(str(folder))
    assert (code, shown) == (2, "")
    assert errors.startswith("features.toml")


def test_a_table_is_held_against_its_model_and_one_of_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("id,death\n1,0\n2,1\n")
    code, _, errors = _output(str(tmp_path / "rows.csv"))
    assert (code, errors.startswith("no model is declared whose table is called rows: name one")) == (2, True)
    of_model = _checked(tmp_path / "rows.csv", "--model", "readmission_30d")
    assert (of_model["kind"], of_model["passed"]) == ("table of readmission_30d", False)
    refused = of_model["findings"][-1]
    assert (refused["kind"], refused["severity"], refused["where"]) == ("not-trainable", "error", "table")
    assert " has no column encounter_id, patient_nbr" in refused["text"]


def _checked(table: Path, *options: str) -> dict[str, Any]:
    done = CliRunner().invoke(app, ["data", str(table), *options, "--json"])
    report: dict[str, Any] = json.loads(done.stdout)
    assert done.exit_code == (0 if report["passed"] else 1)
    return report


def test_what_was_looked_for_and_not_found_has_no_day(folder: Path) -> None:
    of_site = features_named(("age_years", "has_diabetes", "albumin_g_dl"))
    assert list(values_in_words(Path(_chart(folder)), datetime(2026, 11, 20, 23, 59, tzinfo=UTC), of_site)) == [
        "age_years = 76: Age 76 of 2026-11-20",
        "has_diabetes = 0: Diabetes not found in the chart",
        "albumin_g_dl missing (absent): Albumin: not recorded.",
    ]
