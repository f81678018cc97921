"""How long a start takes: the server to its first answer, and the commands that people wait for."""

from __future__ import annotations

import subprocess
from statistics import median
from time import perf_counter

from rich.table import Table

from benchmarks.charts import ROOT
from benchmarks.load import Cores
from benchmarks.servers import program, running_service

GOALS = {"to ready": 1.0, "to the first answer": 1.0, "cds-hooks --help": 0.15, "cds-hooks call": 0.6}
WORKER_GOAL_MB = 150


def starting_times(body: bytes, path: str, cores: Cores, times: int) -> Table:
    """Medians of the seconds by the clock, and of the worker's memory after the first answer, with their range.

    `body` is what the first call sends to `path`.
    """
    seconds: dict[str, list[float]] = {name: [] for name in GOALS}
    memory: list[float] = []
    for _ in range(times):
        with running_service(cores.server) as server:
            started = perf_counter()
            server.call_json("POST", path, body)
            first = perf_counter() - started
            seconds["to ready"].append(server.ready_seconds)
            seconds["to the first answer"].append(server.ready_seconds + first)
            memory.append(server.resident_mb()[0])
            url = f"http://127.0.0.1:{server.port}"
            seconds["cds-hooks call"].append(_run("call", "sample:planning-talk", "--url", url))
        seconds["cds-hooks --help"].append(_run("--help"))
    table = Table("start", "median", "min-max", "goal")
    for name, goal in GOALS.items():
        times_of = seconds[name]
        table.add_row(name, f"{median(times_of):.2f} s", f"{min(times_of):.2f}-{max(times_of):.2f}", f"< {goal} s")
    spread = f"{min(memory):.0f}-{max(memory):.0f}"
    table.add_row("worker's memory, first answer", f"{median(memory):.0f} MB", spread, f"< {WORKER_GOAL_MB} MB")
    return table


def _run(*arguments: str) -> float:
    started = perf_counter()
    subprocess.run([program(), *arguments], check=True, capture_output=True, cwd=ROOT)
    return perf_counter() - started
