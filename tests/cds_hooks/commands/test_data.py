"""`cds-hooks data check` and `cds-hooks model dataset`: what they print, and their exit codes."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cds_hooks.commands.data import app
from cds_hooks.commands.model.main import app as models
from tests.models_onnx.invented import invented_table
from tests.models_onnx.workbench.training.data.test_dataset import write_bundle


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """An invented table of the study's form."""
    path = tmp_path / "nhanes_mortality.csv.gz"
    invented_table(people=400).to_csv(path, index=False)
    return path


def test_a_table_is_checked_and_the_report_is_json_where_wanted(table: Path) -> None:
    told = CliRunner().invoke(app, ["check", str(table), "--json"])
    report = json.loads(told.stdout)
    assert told.exit_code == (0 if report["passed"] else 1)
    assert report["counts"]["rows"] == 400
    assert {"kind", "severity", "where", "count", "examples"} <= set(report["findings"][0])
    assert "look-ahead-column" in CliRunner().invoke(app, ["check", str(table)]).stdout


def test_a_folder_of_charts_is_checked(tmp_path: Path) -> None:
    write_bundle(tmp_path)
    told = CliRunner().invoke(app, ["check", str(tmp_path)])
    assert told.exit_code == 0, told.output
    assert "1 patients" in told.stdout


def test_a_table_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    told = CliRunner().invoke(app, ["check", str(tmp_path / "mine.csv")])
    assert told.exit_code == 2
    assert "mine.csv is not there" in told.stderr


def test_charts_become_rows(tmp_path: Path) -> None:
    write_bundle(tmp_path)
    arguments = ["dataset", "readmission_30d", "--fhir", str(tmp_path), "--out", str(tmp_path / "rows.csv"), "--json"]
    told = CliRunner().invoke(models, arguments)
    assert told.exit_code == 0, told.output
    assert json.loads(told.stdout)["rows"] == 2
    assert len((tmp_path / "rows.csv").read_text().splitlines()) == 3


def test_a_model_of_charts_is_never_written_over_the_projects_own(tmp_path: Path) -> None:
    told = CliRunner().invoke(models, ["train", "readmission_30d", "--fhir", str(tmp_path)])
    assert told.exit_code == 2
    assert "--out" in told.stderr
