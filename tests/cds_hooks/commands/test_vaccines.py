"""`cds-hooks vaccines`: the cases command counts what is right, names what differs, and refuses what is no case."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cds_hooks.commands.knowledge import app

CASE = {
    "id": "own-1",
    "title": "a newborn without doses",
    "birth_date": "2025-11-10",
    "gender": "F",
    "observations": [],
    "assessment_date": "2025-11-10",
    "vaccine_group": "HepB",
    "doses": [],
    "expected": {
        "series_status": "Not complete",
        "forecast_dose": "1",
        "earliest": "2025-11-10",
        "recommended": "2025-11-10",
        "past_due": "",
    },
}


def _file(folder: Path, *cases: object) -> str:
    path = folder / "cases.jsonl"
    path.write_text("\n".join(json.dumps(case) for case in cases))
    return str(path)


def test_right_cases_are_counted_by_antigen(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["vaccine-cases", _file(tmp_path, CASE), "--json"])
    found = json.loads(done.stdout)
    assert done.exit_code == 0
    assert (found["right"], found["total"], found["differences"]) == (1, 1, [])
    assert found["by_antigen"] == {"HepB": {"right": 1, "total": 1}}


def test_a_difference_is_named_with_both_answers_and_ends_with_exit_code_1(tmp_path: Path) -> None:
    wrong = CASE | {"expected": {**CASE["expected"], "forecast_dose": "2"}}  # type: ignore[dict-item]
    done = CliRunner().invoke(app, ["vaccine-cases", _file(tmp_path, CASE, wrong)])
    assert done.exit_code == 1
    assert "forecast_dose 1 (expected 2)" in done.stdout
    assert "1 of 2 cases are right." in done.stdout


def test_an_unknown_vaccine_group_is_a_difference_and_no_error(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["vaccine-cases", _file(tmp_path, CASE | {"vaccine_group": "Smallpox"}), "--json"])
    found = json.loads(done.stdout)
    assert found["right"] == 0
    assert found["differences"][0]["answered"]["series_status"] == "unknown vaccine group"


@pytest.mark.parametrize("line", ["no json", '{"id": "x"}', "[]"])
def test_what_is_no_case_is_said_in_a_sentence(tmp_path: Path, line: str) -> None:
    path = tmp_path / "cases.jsonl"
    path.write_text(line)
    done = CliRunner().invoke(app, ["vaccine-cases", str(path)])
    assert done.exit_code == 2
    assert "is not a file of cases" in done.stderr
