"""`cds-hooks model`: what it prints, and the exit codes a pipeline relies on."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cds_hooks.commands.model.main import app
from models_onnx.artifact.keys import local_signer
from models_onnx.serving.registry import load_model
from models_onnx.workbench.release.documentation import model_page
from tests.conftest import ROOT
from tests.models_onnx.invented import invented_table
from tests.program import run_program


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
    for command in ("train", "evaluate", "page"):
        told = run(command, "no_such_model")
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


def test_page_prints_the_page_or_writes_it(tmp_path: Path) -> None:
    name = "mortality_5y"
    text = model_page(load_model(name).manifest)
    assert run("page", "mortality_5y").stdout == text
    out = tmp_path / "page.md"
    assert run("page", "mortality_5y", "--out", str(out)).exit_code == 0
    assert out.read_text(encoding="utf-8") == text


def test_waive_signs_the_declared_waivers_with_the_key_of_a_person(tmp_path: Path) -> None:
    folder = tmp_path / "specs"
    folder.mkdir()
    ours = ROOT / "models_onnx" / "models"
    shutil.copy(ours / "mortality_5y.card.json", folder / "own_5y.card.json")
    (folder / "own_5y.py").write_text((ours / "mortality_5y.py").read_text().replace('"mortality_5y', '"own_5y'))
    local_signer(tmp_path / "my-waivers.pem", "my-waivers")  # makes the key
    done = run("waive", "own_5y", "--key", str(tmp_path / "my-waivers.pem"), "--specs", str(folder))
    assert done.exit_code == 0, done.output
    waivers = json.loads((folder / "own_5y.card.json").read_text())["product"]["waivers"]
    assert waivers
    assert f"Signed {len(waivers)} waiver(s) of own_5y" in done.stdout
    committed = json.loads((ours / "mortality_5y.card.json").read_text())
    assert waivers != committed["product"]["waivers"]


def test_waive_refuses_the_key_of_the_release_and_a_reason_without_substance(tmp_path: Path) -> None:
    ours = ROOT / "models_onnx" / "models"
    card = tmp_path / "own_5y.card.json"
    shutil.copy(ours / "mortality_5y.card.json", card)
    (tmp_path / "own_5y.py").write_text((ours / "mortality_5y.py").read_text().replace('"mortality_5y', '"own_5y'))
    key = tmp_path / "publisher.pem"
    local_signer(key, "trained here")
    words = ("waive", "own_5y", "--specs", str(tmp_path), "--key")
    done = run_program("model", *words, str(key), environment={"CDS_MODEL_SIGNING_KEY": str(key)})
    assert done.returncode == 2
    assert "would not count: it is signed with the key of the release" in done.stderr
    written = json.loads(card.read_text())
    written["product"]["waivers"][0]["reason"] = "It is fine."
    card.write_text(json.dumps(written))
    local_signer(tmp_path / "other.pem", "waivers")
    done = run_program("model", *words, str(tmp_path / "other.pem"))
    assert done.returncode == 2
    assert "its reason has to say why" in done.stderr
    assert json.loads(card.read_text()) == written, "nothing is written"


def test_waive_refuses_a_key_that_is_none(tmp_path: Path) -> None:
    done = run("waive", "mortality_5y", "--key", str(tmp_path / "none.pem"))
    assert done.exit_code == 2
    assert "cannot be read" in done.output
