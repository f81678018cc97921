"""What a step around the bare handler costs, and another server program: the same load on each, in turn."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from rich.progress import Progress
from rich.table import Table

from benchmarks import bare
from benchmarks.bodies import build_body
from benchmarks.charts import load_patients
from benchmarks.rounds import Plan, Side, Target, one_side
from benchmarks.servers import bare_command, running
from cds_hooks.prefetch.needs import Needs, templates_for
from fhir.mapping.features.catalog import FEATURES

STEPS = {
    "bare handler": "benchmarks.bare:app",
    "raw ASGI, body not parsed": "benchmarks.bare:raw_null",
    "raw ASGI, orjson.loads": "benchmarks.bare:raw_orjson",
    "raw ASGI, lean decode key by key": "benchmarks.bare:raw_lean",
    "raw ASGI, lean decode in one pass": "benchmarks.bare:raw_typed",
}


def plain_bodies(sizes_kb: list[int]) -> dict[int, bytes]:
    """Bodies of the first chart as it is today, by the templates of the project's features; nothing has to serve."""
    templates = templates_for(Needs.of(FEATURES.values(), resources=("Condition",)))
    service = {"hook": "patient-view", "prefetch": {template.key: template.query for template in templates}}
    patient = next(load_patients(datetime.now(UTC)))
    filler = next(patient.fillers())
    return {size: build_body(service, patient, filler, size * 1000) for size in sizes_kb}


def compare_steps(bodies: dict[int, bytes], plan: Plan, progress: Progress) -> Table:
    """Each step under uvicorn."""
    return _compare({name: bare_command(1, app) for name, app in STEPS.items()}, bodies, plan, progress)


def compare_servers(granian: str, bodies: dict[int, bytes], plan: Plan, progress: Progress) -> Table:
    """The bare handler, Starlette and raw ASGI, under uvicorn and under the granian program at that path."""
    commands = {}
    for name, app in (("Starlette", STEPS["bare handler"]), ("raw ASGI", STEPS["raw ASGI, orjson.loads"])):
        commands[f"{name}, uvicorn"] = bare_command(1, app)
        flags = ["--interface", "asgi", "--loop", "uvloop", "--no-ws", "--no-access-log", "--log-level", "warning"]
        commands[f"{name}, granian"] = [granian, "--host", "127.0.0.1", "--port", "{port}", *flags, app]
    return _compare(commands, bodies, plan, progress)


def _compare(commands: dict[str, list[str]], bodies: dict[int, bytes], plan: Plan, progress: Progress) -> Table:
    """Rows of requests per second and processor µs per call; the ratio is to the first row, pair by pair."""
    sides: dict[tuple[str, int], Side] = {}
    task = progress.add_task("variants in turn", total=len(commands) * len(bodies) * plan.rounds)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cds-variants-")))
        servers = {
            name: stack.enter_context(running(f"variant-{number}", command, folder, plan.cores.server))
            for number, (name, command) in enumerate(commands.items())
        }
        for size, body in bodies.items():
            file = folder / f"{size}kb.json"
            file.write_bytes(body)
            for number in range(plan.rounds):
                names = list(servers)[:: 1 if number % 2 == 0 else -1]
                for name in names:
                    side = sides.setdefault((name, size), Side())
                    one_side(side, Target(servers[name], bare.PATH, is_service=False), [str(file)], plan)
                    progress.advance(task)
    return _table(list(commands), list(bodies), sides)


def _table(names: list[str], sizes: list[int], sides: dict[tuple[str, int], Side]) -> Table:
    table = Table("", *(f"{size} KB: /s, ratio (min-max), CPU µs" for size in sizes))
    for name in names:
        table.add_row(name, *(_cell(sides[name, size], sides[names[0], size]) for size in sizes))
    return table


def _cell(side: Side, first: Side) -> str:
    ratios = [a.per_second / b.per_second for a, b in zip(side.tallies, first.tallies, strict=True)]
    errors = f" {side.errors}" if side.errors else ""
    spread = f"{median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
    return f"{side.per_second:,.0f}, {spread}, {median(side.cpu_us):,.0f}{errors}"
