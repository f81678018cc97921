"""`cds-hooks model gates|import|sign`: what they print, write, and end with."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cds_hooks.settings import settings
from cds_hooks.tools.commands.model.main import app
from models_onnx.artifact.keys import key_file
from models_onnx.artifact.release_file import parse_release
from models_onnx.workbench.release.card import card_words
from tests.conftest import ROOT
from tests.models_onnx.workshop import SIGNER, build


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with one model signed by the tests' key, which this site trusts; a signing key of one's own."""
    (tmp_path / "keys.json").write_text(key_file(SIGNER.public))
    monkeypatch.setenv("CDS_MODEL_KEYS", str(tmp_path / "keys.json"))
    monkeypatch.chdir(tmp_path)
    settings.cache_clear()
    build(tmp_path / "shelf")
    yield tmp_path / "shelf"
    settings.cache_clear()


def run(*arguments: str) -> Result:
    """The command as typed after `cds-hooks model`."""
    return CliRunner().invoke(app, list(arguments))


def test_gates_without_the_table_are_red_and_say_why(shelf: Path, tmp_path: Path) -> None:
    told = run(
        "gates",
        "mortality_5y",
        "--folder",
        str(shelf),
        "--data",
        str(tmp_path),
        "--json",
        "--record",
    )
    assert told.exit_code == 1, told.exception
    document = json.loads(told.stdout)
    states = {each["gate"]: each for each in document["report"]["results"]}
    assert not document["green"]
    assert states["parity"]["status"] == "not run"
    assert "Not without the training table" in states["parity"]["why"]
    assert {states[gate]["status"] for gate in ("discrimination", "calibration", "fairness")} == {"not run"}
    assert states["file"]["status"] == "passed", states["file"]["why"]
    assert "gates.json" in parse_release(shelf / "mortality_5y").files


def test_of_one_gate_alone_it_says_that_the_others_were_not_run(shelf: Path, tmp_path: Path) -> None:
    told = run("gates", "mortality_5y", "--folder", str(shelf), "--data", str(tmp_path), "--only", "file")
    assert told.exit_code == 0
    assert "What was asked for is green. Not run: the 8 other gates" in " ".join(told.stdout.split())
    assert "Not green" not in told.stdout
    told = run("gates", "mortality_5y", "--folder", str(shelf), "--data", str(tmp_path), "--only", "parity")
    assert (told.exit_code, "Not green: parity." in told.stdout) == (1, True)


def test_sign_makes_a_key_once_and_says_what_follows_from_an_own_key(shelf: Path, tmp_path: Path) -> None:
    first = run("sign", "mortality_5y", "--folder", str(shelf))
    assert first.exit_code == 0, first.stderr
    assert "Made a signing key" in first.stderr
    assert "CDS_MODEL_KEYS" in first.stderr
    again = run("sign", "mortality_5y", "--folder", str(shelf))
    assert "Made a signing key" not in again.stderr
    assert (tmp_path / "var" / "model-signing-key.pub.json").is_file()
    assert "Next: cds-hooks model gates mortality_5y --folder" in again.stderr


def test_sign_without_words_for_the_card_says_which_file_is_missing(shelf: Path) -> None:
    shutil.move(shelf / "mortality_5y", shelf / "stranger")
    manifest = shelf / "stranger" / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "id": "stranger"}))
    told = run("sign", "stranger", "--folder", str(shelf))
    assert told.exit_code == 2
    assert "stranger.card.json is not there" in told.stderr
    assert card_words("mortality_5y")["attributes"]


def test_a_file_needs_a_declaration(tmp_path: Path) -> None:
    undeclared = run("import", str(tmp_path / "falls_1y.model.toml"))
    assert undeclared.exit_code == 2
    assert "falls_1y.model.toml is not there" in undeclared.stderr


def test_what_cannot_be_trusted_is_said_in_a_sentence_before_anything_is_served(tmp_path: Path) -> None:
    """A damaged file of keys stops every command that needs the services."""
    (tmp_path / "keys.json").write_text("{")
    environment = {**os.environ, "CDS_MODEL_KEYS": str(tmp_path / "keys.json")}
    done = subprocess.run(
        [sys.executable, "-m", "cds_hooks", "settings", "--services"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("A signature or key file cannot be used: keys.json is not a file of")
    assert "Traceback" not in done.stderr
