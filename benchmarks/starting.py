"""How long a start takes, the server to its first answer and the commands that people wait for, and what it loads."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from rich.table import Column, Table

from benchmarks.charts import ROOT
from benchmarks.servers import Cores, program, running_service

GOALS = {"to ready": 1.0, "to the first answer": 1.0, "cds-hooks --help": 0.15, "cds-hooks call": 0.6}
WORKER_GOAL_MB = 150
LOADED_GOAL_LINES = 45_000
OURS = tuple(f"{ROOT / floor}/" for floor in ("cds_hooks", "cards", "models_onnx", "fhir"))
_READY_SERVER = """
import json, sys
from starlette.testclient import TestClient
from cds_hooks.server.app import create_app
from cds_hooks.settings import Settings

with TestClient(create_app(Settings(database_url=sys.argv[1]))):
    print(json.dumps([str(getattr(module, "__file__", "")) for module in list(sys.modules.values())]), flush=True)
"""


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


def loaded_lines() -> Table:
    """Lines of our modules that a server has imported when it says that it is ready, by package, beside the goal."""
    with TemporaryDirectory(prefix="cds-loaded-") as folder:
        command = [sys.executable, "-c", _READY_SERVER, f"sqlite:///{folder}/decisions.sqlite3"]
        output = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout
    lines: Counter[str] = Counter()
    for file in json.loads(output.splitlines()[-1]):
        if file.startswith(OURS) and file.endswith(".py"):
            package = ".".join(Path(file).relative_to(ROOT).with_suffix("").parts[:2])
            lines[package] += len(Path(file).read_text(encoding="utf-8").splitlines())
    packages = Table("package", Column("lines", justify="right"))
    packages.title = f"A ready server has {lines.total():,} of our lines (goal {LOADED_GOAL_LINES:,})"
    for package, count in lines.most_common():
        packages.add_row(package, f"{count:,}")
    return packages


def _run(*arguments: str) -> float:
    started = perf_counter()
    subprocess.run([program(), *arguments], check=True, capture_output=True, cwd=ROOT)
    return perf_counter() - started
