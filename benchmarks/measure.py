"""One run of the benchmark: both servers up, every body compared, stages and memory read, then the kills."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from rich.progress import Progress

from benchmarks import bare
from benchmarks.charts import load_stays
from benchmarks.explaining import measure_explaining
from benchmarks.killing import KillResult, kill_many_times
from benchmarks.order_sign import figures as order_sign_figures
from benchmarks.rounds import Comparison, Plan, Target, compare
from benchmarks.servers import Server, bare_command, running, service_command
from benchmarks.stages import LoadedStages, model_alone, unloaded_stages
from benchmarks.subject import Subject, find_subject, has_model_card
from benchmarks.trust import measure_trust

_KILL_SIZES_KB = [0, 68]


@dataclass(frozen=True)
class Wanted:
    """What the command line asked for; `plan.rounds` 0 compares nothing, `kills` 0 kills nothing."""

    sizes_kb: list[int]
    plan: Plan
    workers: int
    kills: int
    least_answered: int


@dataclass
class BodyMeasured:
    """What was found with one body."""

    comparison: Comparison
    model_card: bool
    unloaded_us: dict[str, float]
    loaded_us: dict[str, float]


@dataclass
class Measured:
    """Everything one run found; what was not asked for is empty."""

    patient: str
    load_before: float  # processes that wanted to run, mean of the minute before; other people's work
    start_seconds: dict[str, float]
    bodies: dict[int, BodyMeasured] = field(default_factory=dict)
    resident_mb: dict[str, list[float]] = field(default_factory=dict)
    model_us: dict[str, float] = field(default_factory=dict)
    trust_us: dict[str, float] = field(default_factory=dict)
    """Median of the whole trust check of a signed call, key known, by algorithm (benchmarks/trust.py)."""
    explaining: list[dict[str, Any]] = field(default_factory=list)
    """One explained prediction by form of model, next to shap on the same model (benchmarks/explaining.py)."""
    order_sign: list[dict[str, float]] = field(default_factory=list)
    """What checking drafted orders costs beyond decoding (benchmarks/order_sign.py)."""
    kills: KillResult | None = None

    def faults(self) -> list[str]:
        """Sentences about what must not be: errors in answers, a body without its model card, a lost decision."""
        found = []
        for size, body in self.bodies.items():
            for name, side in (("service", body.comparison.service), ("bare handler", body.comparison.bare)):
                found += [f"{size} KB, {name}: {text} ({count} times)" for text, count in side.errors.items()]
            if size and not body.model_card:
                found.append(f"{size} KB: the answer holds no model card, so the full way was not measured")
        if self.kills:
            found += self.kills.faults
            if self.kills.lost:
                found.append(f"{len(self.kills.lost)} answered decisions are not in the record")
        return found


def measure(wanted: Wanted, progress: Progress) -> Measured:
    """Starts the service on a fresh record, finds its subject, compares on every body, then kills."""
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="cds-bench-") as name:
        folder = Path(name)
        database = f"sqlite:///{folder / 'decisions.sqlite3'}"
        command = service_command(wanted.workers)
        with running("service", command, folder, wanted.plan.cores.server, CDS_DATABASE_URL=database) as service:
            subject = find_subject(service.call_json, load_stays(), datetime.now(UTC))
            files = {size: _write(subject, size, folder) for size in {*wanted.sizes_kb, *_KILL_SIZES_KB}}
            measured = Measured(subject.window.words, load_before, _start_seconds(service, subject))
            if wanted.plan.rounds:
                _compare_all(wanted, measured, service, subject, files, folder, progress)
        if wanted.kills:
            measured.kills = _kill(wanted, subject, _in_turn(*(files[size] for size in _KILL_SIZES_KB)), progress)
    return measured


def _write(subject: Subject, size_kb: int, folder: Path) -> list[str]:
    files = []
    for number, body in enumerate(subject.bodies(size_kb)):
        file = folder / f"{size_kb}kb-{number}.json"
        file.write_bytes(body)
        files.append(str(file))
    return files


def _start_seconds(service: Server, subject: Subject) -> dict[str, float]:
    ready = service.ready_seconds
    return {"to ready": ready, "to first answer": ready + subject.first_answer_seconds}


def _compare_all(
    wanted: Wanted,
    measured: Measured,
    service: Server,
    subject: Subject,
    files: dict[int, list[str]],
    folder: Path,
    progress: Progress,
) -> None:
    plan = wanted.plan
    with running("bare", bare_command(wanted.workers), folder, plan.cores.server) as bare_server:
        targets = Target(service, subject.path, True), Target(bare_server, bare.PATH, False)
        for size in wanted.sizes_kb:
            task = progress.add_task(f"{size} KB, service and bare handler in turn", total=2 * plan.rounds)
            measured.bodies[size] = _one_body(targets, files[size], plan, partial(progress.advance, task))
        measured.resident_mb = {"service": service.resident_mb(), "bare handler": bare_server.resident_mb()}
    measured.model_us = model_alone()
    measured.trust_us = {each.algorithm: each.median for each in measure_trust()}
    measured.explaining = measure_explaining()
    measured.order_sign = order_sign_figures()


def _one_body(
    targets: tuple[Target, Target], files: list[str], plan: Plan, advance: Callable[[], None]
) -> BodyMeasured:
    service, bare_handler = targets
    body = Path(files[0]).read_bytes()
    model_card = has_model_card(service.server.call_json("POST", service.path, body))
    unloaded = unloaded_stages(service.server.call_json, service.path, body)
    loaded = LoadedStages(lambda: service.server.call("GET", "/metrics")[1].decode(), service.path)
    comparison = compare(files, len(body), service, bare_handler, plan, advance)
    return BodyMeasured(comparison, model_card, unloaded, loaded.means())


def _in_turn(*kinds: list[str]) -> list[str]:
    return [file for together in zip(*kinds, strict=True) for file in together]


def _kill(wanted: Wanted, subject: Subject, files: list[str], progress: Progress) -> KillResult:
    task = progress.add_task("kill -9 under load", total=wanted.kills)
    advance = partial(progress.advance, task)
    return kill_many_times(
        wanted.kills, subject.path, files, wanted.least_answered, wanted.plan.cores, wanted.workers, advance
    )
