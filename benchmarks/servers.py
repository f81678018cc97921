"""Starts, watches and ends the servers that are measured: each in a session of its own, on loopback."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, sleep
from typing import Any

import httpx
import psutil

from benchmarks.charts import ROOT
from benchmarks.connection import ChangingRequest
from benchmarks.subject import WrongAnswer
from cds_hooks.evidence import record_views
from tests.live import free_port

_START_SECONDS = 30.0


class DidNotStart(Exception):
    """The server ended, or was not ready in time; the message holds the end of what it printed."""


@dataclass
class Server:
    """A running server process with its workers."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    log: Path
    ready_seconds: float

    def processes(self) -> list[psutil.Process]:
        """Return the process and everything it started."""
        try:
            parent = psutil.Process(self.process.pid)
            return [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def cpu_seconds(self) -> tuple[float, float]:
        """Processor time used so far by all its processes but those that follow the record, and by these."""
        seconds = {False: 0.0, True: 0.0}
        for process in self.processes():
            times = process.cpu_times()
            seconds[_follows(process)] += times.user + times.system
        return seconds[False], seconds[True]

    def resident_mb(self) -> list[float]:
        """Resident memory of each process that serves, in MB: not of what watches workers or follows the record."""
        processes = [process for process in self.processes() if not _follows(process)]
        return [process.memory_info().rss / 2**20 for process in processes[len(processes) > 1 :]]

    def call(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Status and body of one call on a connection of its own."""
        headers = {"Content-Type": "application/json"} if body else {}
        url = f"http://127.0.0.1:{self.port}{path}"
        response = httpx.request(method, url, content=body, headers=headers, timeout=20, trust_env=False)
        return response.status_code, response.content

    def call_json(self, method: str, path: str, body: bytes | None = None) -> Any:
        """Return the JSON of an answer about another patient each time; WrongAnswer when its status is not 200."""
        status, answer = self.call(method, path, body and ChangingRequest(body).next())
        if status != 200:
            raise WrongAnswer(f"{method} {path} was answered {status}: {answer[:500].decode(errors='replace')}")
        return json.loads(answer)

    def kill(self) -> None:
        """`kill -9` for the process and all its workers at once; they have no say."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """End it in good order, and by force when that takes more than 5 s."""
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.kill()


def _follows(process: psutil.Process) -> bool:
    return record_views.__name__ in process.cmdline()


@contextmanager
def running(
    name: str, command: list[str], folder: Path, cores: set[int] | None, **environment: str
) -> Iterator[Server]:
    """Yield the server from `/readyz` answering 200 until the block is left; `{port}` in the command is a free port."""
    port = free_port()
    log = folder / f"{name}.log"
    started = perf_counter()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [part.replace("{port}", str(port)) for part in command],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    if cores:
        os.sched_setaffinity(process.pid, cores)
    server = Server(name, port, process, log, 0.0)
    try:
        _wait_until_ready(server)
        server.ready_seconds = perf_counter() - started
        yield server
    finally:
        if process.poll() is None:
            server.stop()


@contextmanager
def running_service(cores: set[int] | None, workers: int = 1) -> Iterator[Server]:
    """Yield the real service with a new record and so many workers."""
    with TemporaryDirectory(prefix="cds-bench-") as folder:
        database = f"sqlite:///{folder}/decisions.sqlite3"
        command = [*service_command(), "--workers", str(workers)]
        with running("service", command, Path(folder), cores, CDS_DATABASE_URL=database) as server:
            yield server


def _wait_until_ready(server: Server) -> None:
    deadline = perf_counter() + _START_SECONDS
    ended = False
    while perf_counter() < deadline and not ended:
        with suppress(httpx.HTTPError):
            if server.call("GET", "/readyz")[0] == 200:
                return
        sleep(0.005)
        ended = server.process.poll() is not None
    reason = "ended before it was ready" if ended else f"was not ready within {_START_SECONDS:.0f} s"
    printed = server.log.read_text(errors="replace")[-2000:]
    raise DidNotStart(f"The {server.name} server {reason}. It printed:\n{printed}")


def program() -> str:
    """Where the command `cds-hooks` of this environment is."""
    return str(Path(sys.executable).with_name("cds-hooks"))


def service_command() -> list[str]:
    """Return the real service, as `make serve` starts it."""
    return [program(), "serve", "--host", "127.0.0.1", "--port", "{port}"]


@dataclass(frozen=True)
class Cores:
    """Which core is whose; None: the operating system decides."""

    server: set[int] | None
    generator: int | None


def share_out_cores() -> Cores:
    """Return the last core for the generator, the others for the server (one core only where there are two)."""
    if not hasattr(os, "sched_setaffinity"):
        return Cores(None, None)
    cores = sorted(os.sched_getaffinity(0))
    return Cores(set(cores[:-1]), cores[-1]) if len(cores) > 1 else Cores(None, None)
