"""Serving as a person starts it: shows itself, ends cleanly, says what is in the way."""

import os
import signal
import socket
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from time import sleep

import httpx
import pytest

from tests.cds_hooks.calls import PLANNING, request_for
from tests.conftest import ROOT
from tests.live import free_port, serving

pytestmark = pytest.mark.slow

COMMAND = str(ROOT / ".venv/bin/cds-hooks")


def _serve(folder: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The outcome of `cds-hooks serve` where it ends by itself."""
    command = [COMMAND, "serve", *options]
    settings = os.environ | environment
    return subprocess.run(command, cwd=folder, env=settings, capture_output=True, text=True, timeout=60)


def test_run_shows_both_cards_and_ends_on_interrupt(tmp_path: Path) -> None:
    port = free_port()
    environment = os.environ | {"CDS_DATABASE_URL": f"sqlite:///{tmp_path}/record.sqlite3", "PYTHONUNBUFFERED": "1"}
    with (tmp_path / "out").open("w") as out:
        process = subprocess.Popen(
            [COMMAND, "serve", "--show", "--port", str(port)], cwd=tmp_path, env=environment, stdout=out, stderr=out
        )
        try:
            for _ in range(300):
                if "Ctrl-C" in (tmp_path / "out").read_text():
                    break
                sleep(0.1)
            assert httpx.get(f"http://127.0.0.1:{port}/livez").status_code == 200
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=60)
    printed = (tmp_path / "out").read_text()
    assert "patient-view → planning-conversation: 1 card" in printed
    assert "order-select → order-safety-select: 1 card" in printed
    assert "Traceback" not in printed


def test_a_port_that_is_none_is_said_in_a_sentence(tmp_path: Path) -> None:
    ended = _serve(tmp_path, "--port", "99999")
    assert ended.returncode == 2
    assert "65535" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_port_in_use_is_said_in_a_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            [COMMAND, "serve", "--port", str(port)], cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
    assert done.returncode == 1
    assert f"Port {port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_trust_file_only_this_machine_is_served(tmp_path: Path) -> None:
    done = _serve(tmp_path, "--host", "192.0.2.1")
    assert done.returncode == 2
    assert "this machine only" in done.stderr


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


def test_several_workers_answer_on_one_port(tmp_path: Path) -> None:
    with serving(tmp_path, "--workers", "2") as address:
        request = request_for(PLANNING, "patient-view", "planning-talk", datetime.now(UTC))
        answers = [httpx.post(f"{address}/cds-services/{PLANNING}", json=request, timeout=30) for _ in range(8)]
    assert [answer.status_code for answer in answers] == [200] * 8
    decisions = {answer.json()["extension"]["org.cds-hooks-onnx"]["decision"] for answer in answers}
    assert len(decisions) == 8
