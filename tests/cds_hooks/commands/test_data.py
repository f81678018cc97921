"""`cds-hooks data`: what it prints, and their exit codes."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cds_hooks.cli import app
from tests.models_onnx.invented import invented_table


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """An invented table of the study's form."""
    path = tmp_path / "nhanes_mortality.csv.gz"
    invented_table(people=400).to_csv(path, index=False)
    return path


def test_a_table_is_checked_and_the_report_is_json_where_wanted(table: Path) -> None:
    told = CliRunner().invoke(app, ["data", str(table), "--json"])
    report = json.loads(told.stdout)
    assert told.exit_code == (0 if report["passed"] else 1)
    assert report["counts"]["rows"] == 400
    assert {"kind", "severity", "where", "count", "examples"} <= set(report["findings"][0])
    assert list(report) == ["name", "kind", "counts", "passed", "findings"]
    lines = CliRunner().invoke(app, ["data", str(table)]).stdout.splitlines()
    counts = ", ".join(f"{count:,} {noun}" for noun, count in report["counts"].items())
    assert " ".join(lines[0].split()) == f"{report['name']} ({report['kind']}): {counts}"
    assert lines[-1] == ("No error." if report["passed"] else "There are errors.")
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.startswith("│")]
    first = [row for row in cells if row[0]]
    assert [(row[0], row[3]) for row in first] == [
        (finding["severity"], f"{finding['count']:,}") for finding in report["findings"]
    ]
    words = " ".join(cell for row in cells for cell in row)
    assert all(finding["kind"] in words for finding in report["findings"])
    assert "look-ahead-column" in words


def test_a_table_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    told = CliRunner().invoke(app, ["data", str(tmp_path / "mine.csv"), "--model", "mortality_5y"])
    assert told.exit_code == 2
    assert "mine.csv is not there" in told.stderr


def test_a_folder_without_features_is_a_usage_error(tmp_path: Path) -> None:
    told = CliRunner().invoke(app, ["data", str(tmp_path)])
    assert told.exit_code == 2
    assert "features.toml" in told.stderr


def test_a_declaration_of_a_feature_that_does_not_hold_is_said(tmp_path: Path) -> None:
    (tmp_path / "features.toml").write_text("[[feature]]\nname = 5\n")
    assert CliRunner().invoke(app, ["data", str(tmp_path)]).exit_code == 2
