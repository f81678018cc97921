"""All services at once: latencies at a steady rate, and whether memory stays flat over many distinct calls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks import bare
from benchmarks.bodies import with_own_texts
from benchmarks.generator import Order, Tally
from benchmarks.load import Cores, send_load
from benchmarks.ratios import Plan
from benchmarks.servers import Server, bare_command, running

RATE = 200.0
_CONNECTIONS_EACH = 2
_STEPS = 5
P99_GOAL_MS = 10.0


def measure_rates(
    service: Server, calls: list[tuple[str, bytes]], folder: Path, plan: Plan, seconds: float
) -> dict[str, Any]:
    """The latencies of the service at the steady rate, and those of the bare handler on the same bodies after it."""
    latencies = _latencies(_send_steadily(service, calls, folder, plan.cores, seconds))
    with running("bare", bare_command(plan.workers), folder, plan.cores.server) as bare_server:
        tally = _send_steadily(bare_server, [(bare.PATH, body) for _, body in calls], folder, plan.cores, seconds)
    return {**latencies, "bare": _latencies(tally)}


def _latencies(tally: Tally) -> dict[str, Any]:
    milliseconds = {f"{name}_ms": getattr(tally, f"{name}_ns") / 1e6 for name in ("p50", "p90", "p99", "max")}
    return {**milliseconds, "answered": tally.answered, "errors": tally.errors}


def _send_steadily(server: Server, calls: list[tuple[str, bytes]], folder: Path, cores: Cores, seconds: float) -> Tally:
    """Calls (path and body) in turn at a steady rate; each one's time runs from when it was due."""
    files = _write(calls, folder, "rate")
    connections = _CONNECTIONS_EACH * len(calls)
    order = Order(server.port, "", files, seconds, paths=[path for path, _ in calls], per_second=RATE)
    order.connections, order.core, order.sample_every = connections, cores.generator, 10
    return send_load(order)


def measure_memory(
    server: Server, calls: list[tuple[str, bytes]], folder: Path, cores: Cores, wanted: int
) -> list[dict[str, float]]:
    """Resident MB of the worker after each fifth of so many calls, of which each has its own ids, times and texts."""
    files = _write([(path, with_own_texts(body)) for path, body in calls], folder, "memory")
    order = Order(server.port, "", files, 2.0, paths=[path for path, _ in calls], warm_up_seconds=0.0)
    order.connections, order.core = len(calls), cores.generator
    answered, errors, rows = 0, 0, [{"calls": 0.0, "resident_mb": server.resident_mb()[0], "errors": 0.0}]
    for step in range(1, _STEPS + 1):
        while answered < wanted * step / _STEPS:
            tally = send_load(order)
            answered += max(tally.answered_in_all, 1)
            errors += sum(tally.errors.values())
        rows.append({"calls": answered, "resident_mb": server.resident_mb()[0], "errors": errors})
    return rows


def _write(calls: list[tuple[str, bytes]], folder: Path, name: str) -> list[str]:
    files = [folder / f"{name}-{number}.json" for number in range(len(calls))]
    for file, (_, body) in zip(files, calls, strict=True):
        file.write_bytes(body)
    return [str(file) for file in files]


def rate_sentence(tally: dict[str, Any]) -> str:
    """The latencies at the steady rate, beside those that this machine gives a handler that does nothing."""
    bare = tally["bare"]
    return (
        f"{RATE:.0f} calls a second, all services in turn: p50 {tally['p50_ms']:.1f} ms, p90 {tally['p90_ms']:.1f}, "
        f"p99 {tally['p99_ms']:.1f} (goal ≤ {P99_GOAL_MS:.0f}), worst {tally['max_ms']:.1f}; "
        f"errors: {tally['errors'] or 'none'}. The bare handler on the same bodies: p50 {bare['p50_ms']:.1f} ms, "
        f"p90 {bare['p90_ms']:.1f}, p99 {bare['p99_ms']:.1f}, worst {bare['max_ms']:.1f}"
    )


def memory_table(rows: list[dict[str, float]]) -> Table:
    """Memory by calls."""
    table = Table("distinct calls", "worker's memory, MB", "errors")
    for row in rows:
        table.add_row(f"{row['calls']:,.0f}", f"{row['resident_mb']:.0f}", f"{row['errors']:.0f}")
    return table
