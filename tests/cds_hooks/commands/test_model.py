"""`cds-hooks model`: what it prints, and the exit codes a pipeline relies on."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cds_hooks.commands.model.main import app
from models_onnx.serving.registry import load_model
from tests.models_onnx.invented import invented_table


@pytest.fixture(scope="module")
def invented(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with an invented training table."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "tabular").mkdir()
    invented_table(people=3000).to_csv(folder / "tabular" / "nhanes_mortality.csv.gz", index=False)
    return folder


def run(*arguments: str) -> Result:
    """The command as typed after `cds-hooks model`."""
    return CliRunner().invoke(app, list(arguments))


def test_list_names_the_models_and_ends_well() -> None:
    told = run("list", "--json")
    assert told.exit_code == 0
    assert {each["state"] for each in json.loads(told.stdout)} == {"ready"}
    assert "mortality_5y" in run("list").stdout


def test_an_unknown_model_is_a_usage_error() -> None:
    for command in ("train", "evaluate", "sign", "capacity --capacity 4 --per-day 9"):
        told = run(*command.split()[:1], "no_such_model", *command.split()[1:])
        assert told.exit_code == 2
        assert "mortality_5y" in told.stderr


def test_a_folder_without_the_table_is_a_usage_error(tmp_path: Path) -> None:
    told = run("train", "mortality_5y", "--data", str(tmp_path))
    assert told.exit_code == 2
    assert "CDS_DATA_DIR" in told.stderr


@pytest.mark.slow
def test_check_fails_where_another_table_was_trained_on(invented: Path) -> None:
    told = run("train", "mortality_5y", "--data", str(invented), "--check", "--json")
    assert told.exit_code == 1
    document = json.loads(told.stdout)
    assert not document["passed"]
    assert not document["same_data"]


@pytest.mark.slow
def test_check_agrees_with_what_was_trained_from_the_same_table(invented: Path, tmp_path: Path) -> None:
    first = run("train", "mortality_5y", "--data", str(invented), "--out", str(tmp_path), "--replicates", "0")
    if first.exit_code == 1:
        assert "Nothing was written" in first.stderr
        assert not list(tmp_path.iterdir())
        return
    told = run("train", "mortality_5y", "--data", str(invented), "--out", str(tmp_path), "--check", "--json")
    assert told.exit_code == 0
    assert json.loads(told.stdout)["same_hash"]


@pytest.mark.slow
def test_evaluate_prints_figures_groups_and_floors(invented: Path) -> None:
    told = run("evaluate", "mortality_5y", "--data", str(invented), "--replicates", "5")
    for words in ("AUROC", "O/E", "age band", "What missing inputs do", "Thresholds", "Floor", "sha256"):
        assert words in told.stdout
    assert told.exit_code in (0, 1)
    assert told.exit_code == int("| **no** |" in told.stdout)


@pytest.mark.slow
def test_evaluate_scores_other_rows_with_the_committed_model(invented: Path) -> None:
    rows = str(invented / "tabular" / "nhanes_mortality.csv.gz")
    told = run("evaluate", "mortality_5y", "--rows", rows, "--replicates", "5", "--json")
    assert told.exit_code == 0
    document = json.loads(told.stdout)
    assert document["model"]["sha256"] == load_model("mortality_5y").manifest.file.sha256
    assert document["all"]["n"] > 0
    assert "these rows" in run("evaluate", "mortality_5y", "--rows", rows, "--replicates", "0").stdout
