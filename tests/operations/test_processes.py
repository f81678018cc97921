"""Server processes: none outlives its supervisor, a death is logged, SIGTERM cuts no request."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from cds_hooks.evidence.decision_views.file import Views
from cds_hooks.evidence.storage.queries import newest_number
from tests.cds_hooks.evidence.storage.samples import a_decision, store
from tests.conftest import ROOT
from tests.live import free_port, record_in
from tests.waiting import MOST_SECONDS, until

pytestmark = pytest.mark.slow


@contextmanager
def started(
    folder: Path, *options: str, stdin: Any = None, constants: str = "{}", **environment: str
) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    port = free_port()
    command = [sys.executable, "-m", "tests.constants", "serve", "--port", str(port), *options]
    settings = os.environ | {"CDS_DATABASE_URL": record_in(folder), "PYTHONPATH": str(ROOT)} | environment
    settings["CONSTANTS"] = constants
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=settings, stdin=stdin, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        until(lambda: ready(address))
        yield address, process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(timeout=180)


def ready(address: str) -> bool:
    try:
        return httpx.get(f"{address}/readyz", timeout=180).status_code == 200
    except httpx.HTTPError:
        return False


def lines(folder: Path, event: str) -> list[dict[str, Any]]:
    whole = (folder / "server.log").read_text().rpartition("\n")[0]  # without a line that is being written
    said = (json.loads(line) for line in whole.splitlines() if line.startswith("{"))
    return [line for line in said if line["event"] == event]


def pids(folder: Path) -> list[int]:
    return [line["pid"] for line in lines(folder, "serving")]


def connections_of(pid: int) -> int:
    return sum(1 for found in psutil.Process(pid).net_connections("tcp4") if found.status == psutil.CONN_ESTABLISHED)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_worker_that_dies_is_logged_and_started_again_and_none_outlives_the_supervisor(tmp_path: Path) -> None:
    # on a busy machine a connection that waits to be counted is no idle one
    patient = json.dumps({"head_seconds": MOST_SECONDS})
    with started(tmp_path, "--workers", "2", constants=patient, CDS_DRAIN_SECONDS="0") as (address, supervisor):
        until(lambda: len(lines(tmp_path, "serving")) == 2)
        first = lines(tmp_path, "serving")[0]
        assert {"version", "address", "pid", "database", "workers", "services"} <= set(first)
        assert (first["workers"], first["database"], first["address"]) == (2, "sqlite", address.removeprefix("http://"))
        kept: list[socket.socket] = []
        for _ in range(20):
            kept.append(socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2]))))
            until(lambda: sum(map(connections_of, pids(tmp_path))) == len(kept))
        assert min(map(connections_of, pids(tmp_path))) >= 5
        for connection in kept:
            connection.close()
        os.kill(first["pid"], signal.SIGKILL)
        until(lambda: len(lines(tmp_path, "serving")) == 3)
        died = lines(tmp_path, "worker died")[0]
        assert (died["pid"], died["status"]) == (first["pid"], -signal.SIGKILL)
        assert lines(tmp_path, "worker started again")
        assert "process_open_fds" in httpx.get(f"{address}/metrics").text
        supervisor.kill()
        supervisor.wait(timeout=180)
        until(lambda: not any(map(alive, pids(tmp_path))))
        assert len(lines(tmp_path, "supervisor is gone, this worker ends")) == 2


@pytest.mark.parametrize("options", [(), ("--workers", "2")])
@pytest.mark.parametrize("in_terminal", [False, True])
def test_no_other_signal_ends_a_server_but_with_its_terminal_it_ends_in_order(
    tmp_path: Path, options: tuple[str, ...], in_terminal: bool
) -> None:
    terminal, stdin = os.openpty()
    with (
        os.fdopen(terminal, "wb"),
        os.fdopen(stdin) as end,
        started(tmp_path, *options, stdin=end if in_terminal else None, CDS_DRAIN_SECONDS="1") as (address, server),
    ):
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTTIN, signal.SIGTTOU, signal.SIGHUP):
            server.send_signal(number)
        if in_terminal:
            assert server.wait(timeout=180) == 0
        else:
            until(lambda: lines(tmp_path, "SIGHUP is not used"))
            assert ready(address)
        assert bool(lines(tmp_path, "draining")) is in_terminal


@pytest.mark.parametrize("options", [(), ("--workers", "2")])
def test_what_follows_many_rows_is_a_process_that_is_replaced_and_never_outlives_its_server(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    url, views = record_in(tmp_path), Views(tmp_path / "decisions.views.sqlite3")
    store(url, *(a_decision() for _ in range(600)))
    with started(tmp_path, *options) as (_, server):

        def follower() -> list[psutil.Process]:
            here = [found for found in psutil.process_iter(["cmdline", "cwd"]) if found.info["cwd"] == str(tmp_path)]
            return [found for found in here if "cds_hooks.evidence.record_views" in (found.info["cmdline"] or ())]

        until(lambda: len(follower()) == 1 and views.mark().sequence == newest_number(url))
        follower()[0].kill()
        store(url, *(a_decision() for _ in range(600)))
        until(lambda: len(follower()) == 1 and views.mark().sequence == newest_number(url))
        assert len(lines(tmp_path, "work beside the calls failed and begins again")) == 1
        last = follower()[0].pid
        server.kill()
        until(lambda: not alive(last))
    assert views.read("SELECT count(*) FROM searched") == [(1200,)]
