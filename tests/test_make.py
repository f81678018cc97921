"""`make`: what a newcomer types. The environment is the one that the tests run in."""

import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import ROOT
from tests.live import free_port

# The outer `make test` hands its own settings down by these.
OUTSIDE_MAKE = {
    name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "PORT")
}


def _recipe(target: str, *settings: str) -> str:
    command = ["make", "--dry-run", "--no-print-directory", target, *settings]
    return subprocess.run(command, cwd=ROOT, env=OUTSIDE_MAKE, capture_output=True, text=True, check=True).stdout


def test_run_needs_the_runtime_lock_only_and_test_the_development_lock() -> None:
    assert "environment.sh runtime" in _recipe("run")
    assert "environment.sh dev" in _recipe("test")


def test_without_a_python_that_is_new_enough_a_sentence_says_what_to_do(tmp_path: Path) -> None:
    for name in (*(f"requirements/{file}" for file in ("environment.sh", "runtime.txt", "dev.txt")), "pyproject.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    answer = subprocess.run(
        ["sh", "requirements/environment.sh", "runtime"],
        cwd=tmp_path,
        env={**OUTSIDE_MAKE, "PYTHON": "no-such-python"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 1
    assert answer.stderr.startswith("This needs Python 3.11 or newer")
    assert not (tmp_path / ".venv").exists()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """`make run` in a process group of its own, its decisions in a folder of the test, and its port."""
    port = free_port()
    environment = {**OUTSIDE_MAKE, "CDS_DATABASE_URL": f"sqlite:///{tmp_path}/decisions.sqlite3"}
    process = subprocess.Popen(
        ["make", "--no-print-directory", "run", f"PORT={port}"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process, port
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def _read_until(process: subprocess.Popen[str], words: str) -> str:
    """What it printed until it said the words; it is ended when it has not said them in ten minutes."""
    assert process.stdout is not None
    end = threading.Timer(600, os.killpg, (process.pid, signal.SIGKILL))
    end.start()
    try:
        seen = ""
        for line in process.stdout:
            seen += line
            if words in line:
                return seen
    finally:
        end.cancel()
    raise AssertionError(f"it ended before it said {words!r}:\n{seen}")


@pytest.mark.slow
@pytest.mark.parametrize("how", ["Ctrl-C in a terminal", "SIGTERM to make"])
def test_run_shows_both_hooks_cards_serves_on_and_leaves_nothing_behind(
    running: tuple[subprocess.Popen[str], int], how: str
) -> None:
    process, port = running
    shown = _read_until(process, "More patients")
    assert "patient-view" in shown
    assert "order-select" in shown
    assert "failed" not in shown
    assert httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
    if how == "SIGTERM to make":
        process.terminate()
    else:
        os.killpg(process.pid, signal.SIGINT)
    rest, _ = process.communicate(timeout=180)
    assert "Traceback" not in rest
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/readyz")


@pytest.mark.slow
def test_run_on_a_port_in_use_says_so_and_fails() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = ["make", "--no-print-directory", "run", f"PORT={port}"]
        answer = subprocess.run(
            command, cwd=ROOT, env=OUTSIDE_MAKE, capture_output=True, text=True, timeout=180, check=False
        )
    assert answer.returncode != 0
    assert f"Port {port}" in answer.stderr
    assert "Traceback" not in answer.stderr
