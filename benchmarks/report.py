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

from benchmarks.explaining import table_of as explaining_table
from benchmarks.killing import KillResult
from benchmarks.measure import BodyMeasured, Measured, Wanted
from benchmarks.order_sign import table as order_sign_table
from benchmarks.rounds import Side

_QUIET = 0.5
GOALS = {68: 1.0, 683: 1.5}


def print_report(measured: Measured, wanted: Wanted, console: Console) -> None:
    """Everything for a person to read; faults last, where they are seen."""
    console.print(f"Patient: {measured.patient}", markup=False)
    console.print(f"{wanted.plan.cores.words}; {wanted.workers} worker(s), {wanted.plan.connections} connections")
    if measured.load_before > _QUIET:
        busy = f"The machine was busy before the run (load {measured.load_before:.1f} on {os.cpu_count()} cores)"
        console.print(f"{busy}: believe the CPU ratio more than the ratio, and measure again when it is quiet.")
    if measured.bodies:
        console.print(_throughput(measured), _latency(measured), _stages(measured), sep="\n")
        _print_single_figures(measured, console)
    if measured.explaining:
        console.print(explaining_table(measured.explaining))
    if measured.order_sign:
        console.print(order_sign_table(measured.order_sign))
    if measured.kills:
        console.print(kill_sentence(measured.kills))
    for fault in measured.faults():
        console.print(Text("FAULT ", style="red") + Text(fault, style="default"))


def _throughput(measured: Measured) -> Table:
    table = Table(
        "body", "service /s", "bare /s", "ratio", "min-max", "goal", "CPU ratio", "model card", title="Throughput"
    )
    for size, body in measured.bodies.items():
        ratios = body.comparison.ratios
        goal = GOALS.get(size)
        reached = "" if goal is None else f"≥ {goal:.1f} {'reached' if median(ratios) >= goal else 'NOT reached'}"
        table.add_row(
            f"{body.comparison.body_bytes / 1000:,.1f} KB",
            f"{body.comparison.service.per_second:,.0f}",
            f"{body.comparison.bare.per_second:,.0f}",
            f"{median(ratios):.2f}",
            f"{min(ratios):.2f}-{max(ratios):.2f}",
            reached,
            f"{body.comparison.cpu_ratio:.2f}",
            "yes" if body.model_card else "no",
        )
    return table


def _latency(measured: Measured) -> Table:
    columns = "body", "service p50", "p99", "bare p50", "p99", "service CPU", "bare CPU"
    table = Table(*columns, title="Latency in ms at full load; processor µs per call")
    for size, body in measured.bodies.items():
        sides = body.comparison.service, body.comparison.bare
        milliseconds = [f"{side.milliseconds(point):.2f}" for side in sides for point in ("p50", "p99")]
        table.add_row(f"{size} KB", *milliseconds, *(f"{median(side.cpu_us):,.0f}" for side in sides))
    return table


def _stages(measured: Measured) -> Table:
    table = Table("body", title="Stages of one call in µs: alone (median) / under load (mean)")
    names = list(
        dict.fromkeys(name for body in measured.bodies.values() for name in {**body.unloaded_us, **body.loaded_us})
    )
    for name in names:
        table.add_column(name, justify="right")
    for size, body in measured.bodies.items():
        table.add_row(f"{size} KB", *(_alone_and_loaded(body, name) for name in names))
    return table


def _alone_and_loaded(body: BodyMeasured, name: str) -> str:
    alone, loaded = body.unloaded_us.get(name), body.loaded_us.get(name)
    return " / ".join("-" if value is None else f"{value:,.0f}" for value in (alone, loaded))


def _print_single_figures(measured: Measured, console: Console) -> None:
    for name, seconds in measured.start_seconds.items():
        console.print(f"Start {name}: {seconds:.2f} s")
    for name, resident in measured.resident_mb.items():
        console.print(f"Resident memory of the {name}: {', '.join(f'{each:.0f}' for each in resident)} MB")
    for name, microseconds in measured.model_us.items():
        console.print(f"Model {name} alone, one session.run: {microseconds:.0f} µs")
    checks = ", ".join(f"{name} {microseconds:.0f}" for name, microseconds in measured.trust_us.items())
    if checks:
        console.print(f"Trust check of a signed call, key known, µs: {checks}")


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
        "patient": measured.patient,
        "load_before": measured.load_before,
        "cores": wanted.plan.cores.words,
        "workers": wanted.workers,
        "connections": wanted.plan.connections,
        "seconds": wanted.plan.seconds,
        "rounds": wanted.plan.rounds,
        "start_seconds": measured.start_seconds,
        "bodies": {f"{size} KB": _body_json(body) for size, body in measured.bodies.items()},
        "resident_mb": measured.resident_mb,
        "model_us": measured.model_us,
        "trust_us": measured.trust_us,
        "explaining": measured.explaining,
        "order_sign": measured.order_sign,
        "kills": _kills_json(measured.kills),
        "faults": measured.faults(),
    }


def _body_json(body: BodyMeasured) -> dict[str, Any]:
    ratios = body.comparison.ratios
    return {
        "bytes": body.comparison.body_bytes,
        "ratio": {"median": median(ratios), "min": min(ratios), "max": max(ratios), "rounds": ratios},
        "cpu_ratio": body.comparison.cpu_ratio,
        "model_card": body.model_card,
        "model_card_share_of_sampled": body.comparison.model_card_share,
        "service": _side_json(body.comparison.service),
        "bare": _side_json(body.comparison.bare),
        "stages_us": {"alone": body.unloaded_us, "under_load": body.loaded_us},
    }


def _side_json(side: Side) -> dict[str, Any]:
    return {
        "per_second": side.per_second,
        "per_second_rounds": [tally.per_second for tally in side.tallies],
        "p50_ms": side.milliseconds("p50"),
        "p90_ms": side.milliseconds("p90"),
        "p99_ms": side.milliseconds("p99"),
        "cpu_us_per_call": median(side.cpu_us),
        "errors": side.errors,
        "generator_cpu_share": max(tally.generator_cpu_share for tally in side.tallies),
    }


def _kills_json(kills: KillResult | None) -> dict[str, Any] | None:
    return {"answered": kills.answered, "lost": len(kills.lost)} if kills else None
