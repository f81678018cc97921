"""Where the time of a call goes in process, without HTTP: stage by stage, function by function, beside yardsticks."""

from __future__ import annotations

import cProfile
import hashlib
import pstats
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from io import StringIO
from time import process_time

import orjson
from rich.console import Console
from rich.table import Table

from benchmarks.bare import decode_by_key, decode_in_one_pass
from benchmarks.charts import load_patients
from benchmarks.connection import ChangingRequest
from benchmarks.in_process import InProcess, service_in_process
from benchmarks.stages import LoadedStages
from benchmarks.subject import Subject, discover, find_subjects

_SECONDS = 1.0
_TOGETHER = 8  # calls in flight, as with 8 connections, so that the record commits groups
_LINES = 30


def profile(services: list[str], sizes_kb: list[int], console: Console) -> None:
    """Prints the microseconds of a call and of each stage, yardsticks on the same bytes, and the dearest functions."""
    patients = list(load_patients(datetime.now(UTC)))
    with service_in_process() as service:
        for entry in discover(service.call_json, services):
            for subject in find_subjects(entry, service.call_json, patients):
                _profile_one(service, subject, sizes_kb, console)


def _profile_one(service: InProcess, subject: Subject, sizes_kb: list[int], console: Console) -> None:
    found = {size: subject.body(service.call_json, size) for size in sizes_kb}
    bodies = {size: body for size, body in found.items() if body is not None}
    console.rule(subject.name)
    table = Table("processor µs a call", *(f"{len(body) / 1000:.0f} KB" for body in bodies.values()))
    for row, figures in _rows(service, subject.path, bodies).items():
        table.add_row(row, *(f"{figure:,.1f}" for figure in figures))
    console.print(table)
    for size, body in bodies.items():
        console.print(f"Dearest functions at {size} KB (cProfile: read the order, not the times)")
        console.print(_dearest(service, subject.path, in_flight(body)), highlight=False)


def in_flight(body: bytes) -> list[ChangingRequest]:
    """As many requests as are under way at once under load."""
    return [ChangingRequest(body) for _ in range(_TOGETHER)]


def _rows(service: InProcess, path: str, bodies: dict[int, bytes]) -> dict[str, list[float]]:
    rows: dict[str, list[float]] = {}
    for body in bodies.values():
        requests = in_flight(body)
        stages = LoadedStages(lambda: service.call("GET", "/metrics").decode(), path)
        whole = processor_us(partial(service.many, path, requests)) / _TOGETHER
        figures = {f"the call, {_TOGETHER} in flight": whole}
        figures |= {f"  stage {stage} (wall, with waiting)": mean for stage, mean in stages.means().items()}
        for step, function in _YARDSTICKS.items():
            figures[step] = processor_us(partial(function, body))
        for step, figure in figures.items():
            rows.setdefault(step, []).append(figure)
    return rows


_YARDSTICKS: dict[str, Callable[[bytes], object]] = {
    "yardstick: orjson.loads": orjson.loads,
    "yardstick: lean decode in one pass": decode_in_one_pass,
    "yardstick: lean decode key by key": decode_by_key,
    "yardstick: SHA-256 of the body": lambda body: hashlib.sha256(body).digest(),
}


def processor_us(function: Callable[[], object], seconds: float = _SECONDS) -> float:
    """Processor time of one call: the best of five runs, which together last about so many seconds."""
    best, repeat = float("inf"), 1
    started = process_time()
    while process_time() - started < seconds:
        before = process_time()
        for _ in range(repeat):
            function()
        taken = process_time() - before
        best = min(best, taken / repeat)
        if taken < seconds / 5:
            repeat = max(repeat + 1, int(repeat * min(10.0, seconds / 5 / max(taken, 1e-6))))
    return 1e6 * best


def _dearest(service: InProcess, path: str, requests: list[ChangingRequest]) -> str:
    profiler = cProfile.Profile()
    profiler.enable()
    for _ in range(30):
        service.many(path, requests)
    profiler.disable()
    text = StringIO()
    pstats.Stats(profiler, stream=text).strip_dirs().sort_stats("tottime").print_stats(_LINES)
    return text.getvalue()
