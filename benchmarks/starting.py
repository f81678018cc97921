"""How long a start takes: the server to its first answer, and the commands that people wait for."""

from __future__ import annotations

import subprocess
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from rich.table import Table

from benchmarks.charts import ROOT
from benchmarks.load import Cores
from benchmarks.servers import program, running, service_command

_TIMES = 5
GOALS = {"to ready": 1.0, "to the first answer": 1.0, "cds-hooks --help": 0.15, "cds-hooks call": 0.6}
WORKER_GOAL_MB = 150


def measure_starting(body: bytes, path: str, cores: Cores, times: int = _TIMES) -> dict[str, Any]:
    """Seconds by the clock (each of the times), and the worker's memory after the first answer, in MB.

    `body` is what the first call sends to `path`.
    """
    seconds: dict[str, list[float]] = {name: [] for name in GOALS}
    memory: list[float] = []
    for _ in range(times):
        with TemporaryDirectory(prefix="cds-start-") as name:
            folder = Path(name)
            database = f"sqlite:///{folder / 'decisions.sqlite3'}"
            with running("service", service_command(1), folder, cores.server, CDS_DATABASE_URL=database) as server:
                started = perf_counter()
                server.call_json("POST", path, body)
                first = perf_counter() - started
                seconds["to ready"].append(server.ready_seconds)
                seconds["to the first answer"].append(server.ready_seconds + first)
                memory.append(server.resident_mb()[0])
                url = f"http://127.0.0.1:{server.port}"
                seconds["cds-hooks call"].append(_run("call", "sample:planning-talk", "--url", url))
        seconds["cds-hooks --help"].append(_run("--help"))
    return {"seconds": seconds, "resident_mb": memory}


def _run(*arguments: str) -> float:
    started = perf_counter()
    subprocess.run([program(), *arguments], check=True, capture_output=True, cwd=ROOT)
    return perf_counter() - started


def table(measured: dict[str, Any]) -> Table:
    """Medians with their range."""
    table = Table("start", "median", "min-max", "goal")
    for name, seconds in measured["seconds"].items():
        table.add_row(name, f"{median(seconds):.2f} s", f"{min(seconds):.2f}-{max(seconds):.2f}", f"< {GOALS[name]} s")
    megabytes = measured["resident_mb"]
    spread = f"{min(megabytes):.0f}-{max(megabytes):.0f}"
    table.add_row("worker's memory, first answer", f"{median(megabytes):.0f} MB", spread, f"< {WORKER_GOAL_MB} MB")
    return table
