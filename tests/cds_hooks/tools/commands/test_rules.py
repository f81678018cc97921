"""`cds-hooks rules`: read, check, try, approve, count."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cds_hooks.tools.commands.rules import app
from tests.conftest import ROOT
from tests.each import each_row
from tests.fhir.builders import medication_order

RULE = "renal-metformin"
CASES = ROOT / "tests" / "cases" / "rules"


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def test_cases_are_checked_and_a_wrong_one_is_named(tmp_path: Path) -> None:
    good = run("check", str(CASES / f"{RULE}.json"))
    assert (good.exit_code, " 0 wrong." in good.stdout) == (0, True)
    cases = json.loads((CASES / f"{RULE}.json").read_text())
    wrong = [case | {"indicator": "info"} if case.get("band") == "lt30" else case for case in cases]
    (tmp_path / f"{RULE}.json").write_text(json.dumps(wrong))
    bad = run("check", str(tmp_path), "--json")
    assert bad.exit_code == 1
    faults = [each["faults"] for each in json.loads(bad.stdout)["cases"] if each["faults"]]
    assert any("expected renal-metformin/lt30/info" in fault for each in faults for fault in each)


@each_row(("name", "text", "said"))
def test_a_file_that_holds_no_case_is_said(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    done = run("check", str(tmp_path / name))
    assert done.exit_code == 1
    assert said in done.stdout


def test_what_holds_no_case_in_a_folder_is_left_out_and_named(tmp_path: Path) -> None:
    (tmp_path / f"{RULE}.json").write_text((CASES / f"{RULE}.json").read_text())
    (tmp_path / "table.json").write_text('{"doses": []}')
    done = run("check", str(tmp_path))
    assert done.exit_code == 0
    assert "No cases, left out: table.json." in done.stdout
    assert " cases, 0 wrong." in done.stdout
    (tmp_path / f"{RULE}.json").unlink()
    alone = run("check", str(tmp_path), "--json")
    assert alone.exit_code == 1
    assert json.loads(alone.stdout) == {"cases": [], "wrong": 0, "waiting": 0, "left_out": ["table.json"]}


@pytest.mark.slow
def test_a_folder_of_charts_is_simulated(tmp_path: Path, data_folder: Path) -> None:
    folder = str(data_folder / "fhir" / "synthea")
    said = json.loads(run("simulate", folder, "--orders", "1", "--json").stdout)
    assert said["orders"] > 20
    assert said["cards_per_100_orders"] <= 100
    assert run("simulate", str(tmp_path)).exit_code == 2


def test_an_export_with_a_file_for_each_type_is_one_set_of_charts(tmp_path: Path) -> None:
    order = medication_order(
        "metformin 500 MG Oral Tablet", status="completed", patient="p", id="o", authoredOn="2020-02-01"
    )
    (tmp_path / "Patient.ndjson").write_text('{"resourceType": "Patient", "id": "p", "birthDate": "1950-01-01"}\n')
    (tmp_path / "MedicationRequest.ndjson").write_text(json.dumps(order))
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "strange.json").write_text('{"resourceType": "Bundle", "entry": 3}')
    (tmp_path / "typeless.json").write_text(
        '{"resourceType": "Bundle", "entry": [{"fullUrl": "x", "resource": {"id": "x"}}]}'
    )
    done = run("simulate", str(tmp_path))
    assert done.exit_code == 0
    assert "1 orders of 1 patients" in done.output
    assert "Left out: broken.json is not valid JSON" in done.output
