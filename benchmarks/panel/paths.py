"""Runs one path over the invented patients as a process of its own, and measures its processor time."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.charts import ROOT
from benchmarks.connection import AnswerReader
from benchmarks.panel.people import AS_OF, MODEL, chart_of, identity_of
from benchmarks.servers import Server, program, running, service_command
from benchmarks.subject import WrongAnswer
from cds_hooks.kit.simulator.chart import Chart
from cds_hooks.kit.simulator.request import build_request

SERVICE = "planning-conversation"
_CLOCK = {"CDS_AS_OF": AS_OF.isoformat()}
_TICKS = os.sysconf("SC_CLK_TCK")
_SAMPLED_EVERY_SECONDS = 0.2
_CONNECTIONS = 8


@dataclass(frozen=True, slots=True)
class Cost:
    """What one path took: seconds by the clock, processor seconds of all its processes, and what it said itself."""

    seconds: float
    cpu_seconds: float
    said: dict[str, Any]


class _Watch:
    """Sums the processor time of a process and all it starts, also of those that outlive their parent."""

    def __init__(self, pid: int) -> None:
        self._known = {pid: 0}
        self._ended: set[int] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(_SAMPLED_EVERY_SECONDS):
            self._sample()

    def _sample(self) -> None:
        for pid in list(self._known.keys() - self._ended):
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                self._known[pid] = int(fields[11]) + int(fields[12])  # utime, stime: proc(5)
                for task in Path(f"/proc/{pid}/task").iterdir():
                    for child in map(int, (task / "children").read_text().split()):
                        self._known.setdefault(child, 0)
            except OSError:
                self._ended.add(pid)  # what it had used stays

    def end_all(self) -> None:
        """Ends the process and what it started, as far as it was there a moment ago."""
        self.seconds()
        for pid in self._known.keys() - self._ended:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)

    def seconds(self) -> float:
        self._sample()
        self._stop.set()
        self._thread.join()
        return sum(self._known.values()) / _TICKS


def run_command(words: list[str], log: Path, cores: int | None = None) -> Cost:
    """Runs the command to its end; WrongAnswer with the end of what it printed where it failed.

    `cores` is on how many cores it and all that it starts may run; all of them where it is None.
    """
    began = perf_counter()
    environment = {**os.environ, **_CLOCK, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    command = [*_pinned(cores), *words]
    with (
        log.open("wb") as errors,
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=errors) as process,
    ):
        watch = _Watch(process.pid)
        try:
            printed, _ = process.communicate()
        except BaseException:  # the run is over: nothing of the command goes on
            watch.end_all()
            raise
    cpu = watch.seconds()
    if process.returncode:
        raise WrongAnswer(f"{' '.join(words[:4])} ended with {process.returncode}:\n{log.read_text()[-2000:]}")
    last = printed.decode().strip().rpartition("\n")[2]
    return Cost(perf_counter() - began, cpu, json.loads(last) if last.startswith("{") else {})


def _pinned(cores: int | None) -> list[str]:
    """The words before a command that keep it on so many cores (taskset of util-linux)."""
    allowed = sorted(os.sched_getaffinity(0))
    if cores is None or cores >= len(allowed):
        return []
    return ["taskset", "--cpu-list", ",".join(map(str, allowed[-cores:]))]


def score_charts(folder: Path, out: Path, workers: int = 1, cores: int | None = None) -> Cost:
    """The command line over the export."""
    words = [program(), "score", "--fhir", str(folder / "export"), "--out", str(out), "--workers", str(workers)]
    return run_command([*words, "--restart"], out.with_suffix(".log"), cores)


def write_features(folder: Path, out: Path) -> Cost:
    """The features of every chart as a table, which the paths for tables read."""
    words = [program(), "score", "--fhir", str(folder / "export"), "--features", "--only", MODEL, "--out", str(out)]
    return run_command([*words, "--restart"], out.with_suffix(".log"))


def score_table(rows: Path, out: Path) -> Cost:
    """The command line over the table."""
    words = [program(), "score", MODEL, str(rows), "--out", str(out), "--none-has", "pregnancy", "--explain"]
    return run_command([*words, "--restart"], out.with_suffix(".log"))


def score_on(
    engine: str, kind: str, rows: Path, out: Path, cores: int, partitions: int, *, pinned: bool = False
) -> Cost:
    """Spark or Ray over the resources or over the table; `pinned`: nothing of it runs on more cores than it is told."""
    words = [sys.executable, "-m", "benchmarks.panel.on_engine", engine, kind, "--rows", str(rows), "--out", str(out)]
    words += ["--cores", str(cores), "--partitions", str(partitions)]
    return run_command(words, out.with_suffix(".log"), cores if pinned else None)


def call_server(folder: Path, count: int) -> Cost:
    """One patient-view call about each patient to the real service; its record stays in the folder."""
    began = perf_counter()
    with running("service", service_command(1), folder, None, CDS_DATABASE_URL=record_url(folder), **_CLOCK) as server:
        before = server.cpu_seconds()
        asyncio.run(_call_about_all(server, count))
        return Cost(perf_counter() - began, server.cpu_seconds() - before, {"start_seconds": server.ready_seconds})


def record_url(folder: Path) -> str:
    """Where the record of the called server is."""
    return f"sqlite:///{folder / 'decisions.sqlite3'}"


async def _call_about_all(server: Server, count: int) -> None:
    discovery = json.loads(server.call("GET", "/cds-services")[1])
    entry = next(each for each in discovery["services"] if each["id"] == SERVICE)
    numbers = iter(range(count))
    await asyncio.gather(*(_call_on_one_connection(server.port, entry, numbers) for _ in range(_CONNECTIONS)))


async def _call_on_one_connection(port: int, entry: dict[str, Any], numbers: Iterator[int]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for number in numbers:
            body = json.dumps(build_request(entry, Chart(chart_of(number)), [], today=AS_OF.date())).encode()
            head = f"POST /cds-services/{SERVICE} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            answers = AnswerReader()
            while (found := answers.feed(await reader.read(65_536))) is None:
                if reader.at_eof():
                    raise WrongAnswer(f"The server closed the connection about {identity_of(number)}.")
            if found[0] != 200:
                raise WrongAnswer(f"The call about {identity_of(number)} was answered {found[0]}: {found[1][:300]!r}")
    finally:
        writer.close()
