"""What a run found, as tables for the terminal and as JSON."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks import growth, mixed, order_sign, starting, touched
from benchmarks.explaining import table_of as explaining_table
from benchmarks.killing import KillResult
from benchmarks.measure import Cell, Measured, Wanted, goal, ratio
from benchmarks.rounds import Side

_QUIET = 0.5


def print_report(measured: Measured, wanted: Wanted, console: Console) -> None:
    """Everything for a person to read; faults last, where they are seen."""
    console.print(f"{wanted.plan.cores.words}; {wanted.workers} worker(s), {wanted.plan.connections} connections")
    if measured.load_before > _QUIET:
        busy = f"The machine was busy before the run (load {measured.load_before:.1f} on {os.cpu_count()} cores)"
        console.print(f"{busy}: believe the CPU ratio more than the ratio, and measure again when it is quiet.")
    if measured.cells:
        console.print(_ratios(measured.cells), _stages(measured.cells), sep="\n")
    _print_others(measured, console)
    for missing in measured.missing:
        console.print(Text("not measured: ", style="yellow") + Text(missing, style="default"))
    for fault in measured.faults():
        console.print(Text("FAULT ", style="red") + Text(fault, style="default"))


def _print_others(measured: Measured, console: Console) -> None:
    if measured.orders:
        console.print(order_sign.table(measured.orders))
    if measured.growth:
        console.print(growth.table(measured.growth))
    if measured.start:
        console.print(starting.table(measured.start))
    if measured.rate:
        console.print(mixed.rate_sentence(measured.rate))
    if measured.memory:
        console.print(mixed.memory_table(measured.memory))
    if measured.explaining:
        console.print(explaining_table(measured.explaining))
    checks = ", ".join(f"{name} {microseconds:.0f}" for name, microseconds in measured.trust_us.items())
    if checks:
        console.print(f"Trust check of a signed call, key known, µs: {checks}")
    if measured.touched:
        console.print(touched.table(measured.touched))
    if measured.kills:
        console.print(kill_sentence(measured.kills))


def _ratios(cells: list[Cell]) -> Table:
    """A row for each service and outcome: ratio (smallest-largest), CPU ratio, and the service's CPU µs, by size."""
    sizes = list(dict.fromkeys(cell.size_kb for cell in cells))
    table = Table("service (hook), outcome", title="Ratio to the bare handler (min-max) | CPU ratio | CPU µs")
    for size in sizes:
        table.add_column(f"{size} KB", justify="right")
    rows: dict[str, dict[int, str]] = {}
    for cell in cells:
        rows.setdefault(f"{cell.service} ({cell.hook}), {cell.outcome}", {})[cell.size_kb] = _ratio_words(cell)
    for name, row in rows.items():
        table.add_row(name, *(row.get(size, "-") for size in sizes))
    return table


def _ratio_words(cell: Cell) -> str:
    ratios = cell.comparison.ratios
    words = f"{ratio(cell):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
    if max(ratio(cell), cell.comparison.cpu_ratio) < goal(cell):
        words = f"[red]{words}[/red]"
    return f"{words} | {cell.comparison.cpu_ratio:.2f} | {median(cell.comparison.service.cpu_us):,.0f}"


def _stages(cells: list[Cell]) -> Table:
    names = list(dict.fromkeys(name for cell in cells for name in cell.stages_us))
    table = Table("service, outcome", "KB", *names, title="Stages of one call alone, µs (median)")
    for cell in cells:
        stages = (f"{cell.stages_us[name]:,.0f}" if name in cell.stages_us else "-" for name in names)
        table.add_row(f"{cell.service}, {cell.outcome}", f"{cell.comparison.body_bytes / 1000:.1f}", *stages)
    return table


def kill_sentence(kills: KillResult) -> str:
    """How many answered calls were looked for, and how many were not found."""
    answered = kills.answered
    if not answered:
        return "kill -9 under load: not once"
    return (
        f"kill -9 under load, {len(answered)} times, {min(answered):,} to {max(answered):,} answered calls each: "
        f"lost = {len(kills.lost)} of {sum(answered):,}"
    )


def as_json(measured: Measured, wanted: Wanted) -> dict[str, Any]:
    """The same figures, and under which circumstances they were found."""
    return {
        "machine": {"system": platform.platform(), "python": platform.python_version(), "cores": os.cpu_count()},
        "versions": {
            name: version(name) for name in ("uvicorn", "uvloop", "httptools", "starlette", "orjson", "msgspec")
        },
        "load_before": measured.load_before,
        "cores": wanted.plan.cores.words,
        "workers": wanted.workers,
        "connections": wanted.plan.connections,
        "seconds": wanted.plan.seconds,
        "rounds": wanted.plan.rounds,
        "ratios": [_cell_json(cell) for cell in measured.cells],
        "not_measured": measured.missing,
        "orders": measured.orders,
        "growth": measured.growth,
        "start": measured.start,
        "rate": measured.rate,
        "memory": measured.memory,
        "explaining": measured.explaining,
        "trust_us": measured.trust_us,
        "touched": measured.touched,
        "kills": _kills_json(measured.kills),
        "faults": measured.faults(),
    }


def _cell_json(cell: Cell) -> dict[str, Any]:
    ratios = cell.comparison.ratios
    return {
        "service": cell.service,
        "hook": cell.hook,
        "outcome": cell.outcome,
        "size_kb": cell.size_kb,
        "bytes": cell.comparison.body_bytes,
        "goal": goal(cell),
        "ratio": {"median": median(ratios), "min": min(ratios), "max": max(ratios), "rounds": ratios},
        "cpu_ratio": cell.comparison.cpu_ratio,
        "of_service": _side_json(cell.comparison.service),
        "of_bare_handler": _side_json(cell.comparison.bare),
        "stages_us": cell.stages_us,
    }


def _side_json(side: Side) -> dict[str, Any]:
    return {
        "per_second": side.per_second,
        "p50_ms": side.milliseconds("p50"),
        "p90_ms": side.milliseconds("p90"),
        "p99_ms": side.milliseconds("p99"),
        "cpu_us_per_call": median(side.cpu_us),
        "errors": side.errors,
        "generator_cpu_share": max(tally.generator_cpu_share for tally in side.tallies),
    }


def _kills_json(kills: KillResult | None) -> dict[str, Any] | None:
    return {"answered": kills.answered, "lost": len(kills.lost)} if kills else None
