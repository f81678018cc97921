"""Starts, watches and ends the servers that are measured: each in a session of its own, on loopback."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

from benchmarks.charts import ROOT
from benchmarks.connection import ChangingRequest
from benchmarks.subject import WrongAnswer

_START_SECONDS = 30.0
_TICKS = os.sysconf("SC_CLK_TCK")


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

    def processes(self) -> list[int]:
        """Return the process and everything it started; only itself where /proc is not at hand."""
        pids, waiting = [], [self.process.pid]
        while waiting:
            pid = waiting.pop()
            pids.append(pid)
            with suppress(OSError):
                for task in Path(f"/proc/{pid}/task").iterdir():
                    waiting += map(int, (task / "children").read_text().split())
        return pids

    def cpu_seconds(self) -> float:
        """Processor time used so far by all its processes; 0.0 where /proc is not at hand."""
        ticks = 0
        for pid in self.processes():
            with suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12])  # utime, stime: proc(5)
        return ticks / _TICKS

    def resident_mb(self) -> list[float]:
        """Resident memory of each process that serves (with workers: not the one that only watches them), in MB."""
        pids = self.processes()
        return [_resident_mb(pid) for pid in (pids[1:] if len(pids) > 1 else pids)]

    def call(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Status and body of one call on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def call_json(self, method: str, path: str, body: bytes | None = None) -> Any:
        """Return the JSON of an answer about another patient each time; WrongAnswer when its status is not 200."""
        status, answer = self.call(method, path, body and ChangingRequest(body).next())
        if status != 200:
            raise WrongAnswer(f"{method} {path} was answered {status}: {answer[:500].decode(errors='replace')}")
        return json.loads(answer)

    def metrics(self) -> str:
        """Return what GET /metrics says."""
        return self.call("GET", "/metrics")[1].decode()

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


def _resident_mb(pid: int) -> float:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    return 0.0


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


def _wait_until_ready(server: Server) -> None:
    deadline = perf_counter() + _START_SECONDS
    ended = False
    while perf_counter() < deadline and not ended:
        with suppress(OSError, http.client.HTTPException):
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


def service_command(workers: int) -> list[str]:
    """Return the real service, as `make serve` starts it."""
    return [program(), "serve", "--host", "127.0.0.1", "--port", "{port}", *_workers(workers)]


def bare_command(workers: int, app: str = "benchmarks.bare:app") -> list[str]:
    """Return the bare handler under the same server program with the same flags."""
    flags = ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
    flags += ["--no-proxy-headers", "--no-server-header"]
    return [sys.executable, "-m", "uvicorn", app, "--host", "127.0.0.1", "--port", "{port}", *flags, *_workers(workers)]


def _workers(workers: int) -> list[str]:
    return ["--workers", str(workers)] if workers > 1 else []


def free_port() -> int:
    """Return a port of loopback that nobody listens on at the moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
