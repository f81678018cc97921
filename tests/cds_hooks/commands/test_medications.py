"""`cds-hooks knowledge medications`."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cds_hooks.commands.knowledge import app


@pytest.mark.slow
def test_what_is_recognised_is_counted_and_what_is_not_is_named(data_folder: Path) -> None:
    done = CliRunner().invoke(app, ["medications", "--data", str(data_folder), "--json"])
    assert done.exit_code == 0
    by_source = {each["source"]: each for each in json.loads(done.stdout)}
    synthea, mimic = by_source["synthea requests"], by_source["mimic-iv-demo requests"]
    assert synthea["recognised"] == synthea["records"]
    assert mimic["recognised"] / mimic["records"] > 0.94
    assert all(count > 0 for _, count in mimic["unrecognised"])


def test_a_folder_without_charts_is_said(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["medications", "--data", str(tmp_path)])
    assert done.exit_code == 2
    assert "no charts" in done.output
