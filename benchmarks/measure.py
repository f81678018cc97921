"""One run of the benchmark: the ratios of every service, then everything else that was asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from rich.progress import Progress

from benchmarks import bare
from benchmarks.charts import load_patients
from benchmarks.explaining import measure_explaining
from benchmarks.generator import Tally
from benchmarks.growth import measure_growth
from benchmarks.killing import KillResult, kill_many_times
from benchmarks.mixed import measure_memory, measure_rate
from benchmarks.order_sign import figures as order_figures
from benchmarks.rounds import Comparison, Plan, Target, compare
from benchmarks.servers import Server, bare_command, running, service_command
from benchmarks.stages import unloaded_stages
from benchmarks.starting import measure_starting
from benchmarks.subject import Subject, discover, find_subjects
from benchmarks.touched import measure_touched
from benchmarks.trust import measure_trust

PARTS = ("ratios", "orders", "growth", "start", "rate", "memory", "explaining", "trust", "kills", "files")
_SIZE_OF_OTHERS_KB = 68


@dataclass(frozen=True)
class Wanted:
    """What the command line asked for."""

    parts: frozenset[str]
    services: list[str]
    sizes_kb: list[int]
    plan: Plan
    workers: int
    kills: int
    least_answered: int
    memory_calls: int
    rate_seconds: float
    starts: int


@dataclass
class Cell:
    """One service, outcome and size beside the bare handler."""

    service: str
    hook: str
    outcome: str
    size_kb: int
    comparison: Comparison
    stages_us: dict[str, float]

    def faults(self) -> list[str]:
        """Sentences about what must not be."""
        where = f"{self.service} ({self.hook}), {self.outcome}, {self.size_kb} KB"
        sides = (("service", self.comparison.service), ("bare handler", self.comparison.bare))
        found = [
            f"{where}, {name}: {text} ({count} times)" for name, side in sides for text, count in side.errors.items()
        ]
        share = self.comparison.card_share
        if share != (1.0 if self.outcome == "card" else 0.0):
            found.append(f"{where}: {share:.0%} of the sampled answers hold a card")
        return found


@dataclass
class Measured:
    """Everything one run found; what was not asked for is empty."""

    load_before: float
    """Processes that wanted to run, mean of the minute before: other people's work."""
    cells: list[Cell] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    """Services for which no body with an outcome was found."""
    orders: list[dict[str, float]] = field(default_factory=list)
    growth: list[dict[str, Any]] = field(default_factory=list)
    start: dict[str, Any] = field(default_factory=dict)
    rate: dict[str, Any] = field(default_factory=dict)
    memory: list[dict[str, float]] = field(default_factory=list)
    explaining: list[dict[str, Any]] = field(default_factory=list)
    trust_us: dict[str, float] = field(default_factory=dict)
    kills: KillResult | None = None
    touched: dict[str, Any] = field(default_factory=dict)

    def faults(self) -> list[str]:
        """Sentences about what must not be: errors in answers, wrong outcomes, a lost decision."""
        found = [fault for cell in self.cells for fault in cell.faults()]
        found += [f"{row['calls']:.0f} calls: {row['errors']:.0f} errors" for row in self.memory if row["errors"]]
        found += [f"steady rate: {text} ({count} times)" for text, count in self.rate.get("errors", {}).items()]
        if self.kills:
            found += self.kills.faults
            if self.kills.lost:
                found.append(f"{len(self.kills.lost)} answered decisions are not in the record")
        return found


Bodies = dict[int, bytes]


def measure(wanted: Wanted, progress: Progress) -> Measured:
    """Starts the service on a fresh record and measures the parts that are wanted."""
    measured = Measured(os.getloadavg()[0])
    if wanted.parts & {"ratios", "start", "rate", "memory", "kills"}:
        _measure_servers(wanted, measured, progress)
    if "orders" in wanted.parts:
        measured.orders = order_figures()
    if "growth" in wanted.parts:
        task = progress.add_task("growth", total=None)
        measured.growth = measure_growth(
            wanted.services, lambda words: progress.update(task, description=f"growth: {words}", advance=1)
        )
    if "explaining" in wanted.parts:
        measured.explaining = measure_explaining()
    if "trust" in wanted.parts:
        measured.trust_us = {each.algorithm: each.median for each in measure_trust()}
    if "files" in wanted.parts:
        measured.touched = measure_touched()
    return measured


def _measure_servers(wanted: Wanted, measured: Measured, progress: Progress) -> None:
    with TemporaryDirectory(prefix="cds-bench-") as name:
        folder = Path(name)
        with _service(wanted, folder) as service:
            subjects = _subjects(wanted, service, measured, progress)
            if "ratios" in wanted.parts:
                _compare_all(wanted, measured, service, subjects, folder, progress)
            calls = [(subject.path, bodies[size]) for subject, bodies in subjects for size in (_middle(bodies),)]
            if "rate" in wanted.parts:
                measured.rate = _rates(wanted, service, calls, folder)
        if "memory" in wanted.parts:
            task = progress.add_task(f"memory over {wanted.memory_calls:,} distinct calls", total=5)
            with _service(wanted, folder) as service:
                measured.memory = measure_memory(
                    service, calls, folder, wanted.plan.cores, wanted.memory_calls, lambda: progress.advance(task)
                )
        path, body = calls[0]
        if "start" in wanted.parts:
            measured.start = measure_starting(body, path, wanted.plan.cores, wanted.starts)
        if "kills" in wanted.parts and wanted.kills:
            measured.kills = _kill(wanted, path, body, folder, progress)


def _rates(wanted: Wanted, service: Server, calls: list[tuple[str, bytes]], folder: Path) -> dict[str, Any]:
    """The latencies of the service at the steady rate, and those of the bare handler on the same bodies after it."""
    plan = wanted.plan
    ours = _latencies(measure_rate(service, calls, folder, plan.cores, wanted.rate_seconds))
    with running("bare", bare_command(wanted.workers), folder, plan.cores.server) as bare_server:
        same = [(bare.PATH, body) for _, body in calls]
        tally = measure_rate(bare_server, same, folder, plan.cores, wanted.rate_seconds)
    return {**ours, "bare": _latencies(tally)}


@contextmanager
def _service(wanted: Wanted, folder: Path) -> Iterator[Server]:
    with TemporaryDirectory(prefix="record-", dir=folder) as record:
        database = f"sqlite:///{record}/decisions.sqlite3"
        command = service_command(wanted.workers)
        with running("service", command, folder, wanted.plan.cores.server, CDS_DATABASE_URL=database) as server:
            yield server


def _middle(bodies: Bodies) -> int:
    return min(bodies, key=lambda size: abs(size - _SIZE_OF_OTHERS_KB))


def _subjects(wanted: Wanted, service: Server, measured: Measured, progress: Progress) -> list[tuple[Subject, Bodies]]:
    """Every service and outcome with its bodies, those that were found."""
    entries = discover(service.call_json, wanted.services)
    task = progress.add_task("looking for patients", total=len(entries))
    patients = list(load_patients(datetime.now(UTC)))
    sizes = wanted.sizes_kb if "ratios" in wanted.parts else [_SIZE_OF_OTHERS_KB]
    found = []
    for entry in entries:
        subjects = find_subjects(entry, service.call_json, patients)
        for outcome in {"card", "silent"} - {subject.outcome for subject in subjects}:
            measured.missing.append(f"{entry['id']} ({entry['hook']}): no patient is answered with: {outcome}")
        for subject in subjects:
            bodies = {size: body for size in sizes if (body := subject.body(service.call_json, size)) is not None}
            absent = [f"{size} KB" for size in sizes if size not in bodies]
            if absent:
                measured.missing.append(f"{subject.name}: no body of {', '.join(absent)}")
            if bodies:
                found.append((subject, bodies))
        progress.advance(task)
    return found


def _compare_all(
    wanted: Wanted,
    measured: Measured,
    service: Server,
    subjects: list[tuple[Subject, Bodies]],
    folder: Path,
    progress: Progress,
) -> None:
    plan = wanted.plan
    cells = [(subject, size, body) for subject, bodies in subjects for size, body in bodies.items()]
    task = progress.add_task("service and bare handler in turn", total=2 * plan.rounds * len(cells))
    with running("bare", bare_command(wanted.workers), folder, plan.cores.server) as bare_server:
        for subject, size, body in cells:
            progress.update(task, description=f"{subject.name}, {size} KB")
            file = folder / "body.json"
            file.write_bytes(body)
            targets = Target(service, subject.path, True), Target(bare_server, bare.PATH, False)
            comparison = compare([str(file)], len(body), *targets, plan, lambda: progress.advance(task))
            stages = unloaded_stages(service.call_json, subject.path, body)
            entry = subject.service
            measured.cells.append(Cell(entry["id"], entry["hook"], subject.outcome, size, comparison, stages))


def _latencies(tally: Tally) -> dict[str, Any]:
    milliseconds = {f"{name}_ms": getattr(tally, f"{name}_ns") / 1e6 for name in ("p50", "p90", "p99", "max")}
    return {**milliseconds, "answered": tally.answered, "errors": tally.errors}


def _kill(wanted: Wanted, path: str, body: bytes, folder: Path, progress: Progress) -> KillResult:
    task = progress.add_task("kill -9 under load", total=wanted.kills)
    file = folder / "killed.json"
    file.write_bytes(body)
    plan = wanted.plan
    return kill_many_times(
        wanted.kills,
        path,
        [str(file)],
        wanted.least_answered,
        plan.cores,
        wanted.workers,
        lambda: progress.advance(task),
    )


def goal(cell: Cell) -> float:
    """The ratio to reach (issue 10): order checks have goals of their own."""
    goals = {3: 0.5, 68: 1.0, 683: 1.5}
    if cell.service.startswith("order-safety"):
        goals = {3: 0.5, 68: 0.8, 683: 1.5}
    return goals.get(cell.size_kb, 0.0)


def ratio(cell: Cell) -> float:
    """Median of the rounds' ratios."""
    return median(cell.comparison.ratios)
