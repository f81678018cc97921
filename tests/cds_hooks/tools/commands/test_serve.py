"""Serving as a person starts it: what is in the way is said in a sentence."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.live import free_port

pytestmark = pytest.mark.slow

COMMAND = str(ROOT / ".venv/bin/cds-hooks")


def _serve(folder: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The outcome of `cds-hooks serve` where it ends by itself."""
    command = [COMMAND, "serve", *options]
    settings = os.environ | environment
    return subprocess.run(command, cwd=folder, env=settings, capture_output=True, text=True, timeout=180)


def test_a_port_that_is_none_is_said_in_a_sentence(tmp_path: Path) -> None:
    ended = _serve(tmp_path, "--port", "99999")
    assert ended.returncode == 2
    assert "65535" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_record_that_cannot_be_opened_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "a-file").write_text("")
    record = f"sqlite:///{tmp_path}/a-file/record.sqlite3"
    done = _serve(tmp_path, "--port", str(free_port()), CDS_DATABASE_URL=record)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "record" in done.stderr


def test_declared_hooks_that_cannot_be_used_are_said_in_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "hooks.toml"
    file.write_text('[[hook]]\nname = "ward-round"\nversion = "1"\nlike = "patient-view"\nservices = ["x"]\n')
    environment = {"CDS_MODELS_FOLDER": str(tmp_path), "CDS_DATABASE_URL": f"sqlite:///{tmp_path}/record.sqlite3"}
    ended = _serve(tmp_path, "--port", str(free_port()), **environment)
    assert ended.returncode == 1
    assert "reverse domain notation" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_dialect_that_is_not_there_is_said_in_a_sentence(tmp_path: Path) -> None:
    ended = _serve(tmp_path, "--port", str(free_port()), CDS_DIALECT="klingon")
    assert ended.returncode == 2
    assert ended.stderr.strip() == (
        "CDS_DIALECT cannot be used: there is no dialect 'klingon'; there are epic, oracle, sandbox, standard"
    )
