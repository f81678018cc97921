"""`python -m benchmarks`: every service against a bare handler, and what else a call costs."""

import os
import platform
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.charts import load_patients
from benchmarks.load import share_out_cores
from benchmarks.ratios import Bodies, Plan, compare_services, ratios_table
from benchmarks.servers import DidNotStart, Server, running_service
from benchmarks.starting import loaded_lines, starting_times
from benchmarks.subject import OUTCOMES, Subject, WrongAnswer, discover, find_subjects
from benchmarks.ten_drafts import ten_drafts_times
from benchmarks.visits import visit_times

PARTS = ("ratios", "start", "loaded", "ten", "visits")
_FIRST_CALL_KB = 68
_WIDTH_WITHOUT_TERMINAL = 170
_VISITS_OF_A_ROUND = 3


def bench(
    service: Annotated[list[str] | None, typer.Option(help="Only this service; may be given again.")] = None,
    only: Annotated[
        list[str] | None, typer.Option(help=f"Only this part ({', '.join(PARTS)}); may be given again.")
    ] = None,
    seconds: Annotated[float, typer.Option(help="Length of one side of a round, after its warm-up.")] = 0.4,
    rounds: Annotated[int, typer.Option(help="Pairs of service and bare handler for each body.")] = 3,
    connections: Annotated[int, typer.Option(help="Connections; each calls again when it was answered.")] = 8,
    sizes: Annotated[str, typer.Option(help="Body sizes in KB.")] = "68,683",
    quick: Annotated[bool, typer.Option("--quick", help="Short rounds: for a look while developing.")] = False,
) -> None:
    """Measures on loopback and prints tables; exit code 1 when an answer was wrong."""
    starts = 5
    if quick:
        rounds, seconds, starts = 2, 0.25, 2
    if unknown := set(only or ()) - set(PARTS):
        raise typer.BadParameter(f"There is no part {', '.join(sorted(unknown))}.")
    parts = set(only or (("ratios",) if service else PARTS))
    console = Console(width=None if sys.stdout.isatty() else _WIDTH_WITHOUT_TERMINAL)
    plan = Plan(seconds, rounds, connections, share_out_cores())
    console.print(f"{plan}, Python {platform.python_version()}")
    if (load := os.getloadavg()[0]) > 0.5:
        console.print(
            f"The machine was busy before the run (load {load:.1f}): believe the CPU ratio more than the ratio."
        )
    faults = []
    try:
        if parts & {"ratios", "start"}:
            sizes_kb = [int(size) for size in sizes.split(",")] if "ratios" in parts else [_FIRST_CALL_KB]
            faults = _measure_servers(plan, parts, service or [], sizes_kb, starts, console)
        if "loaded" in parts:
            console.print(loaded_lines())
        if "ten" in parts:
            console.print(ten_drafts_times(_VISITS_OF_A_ROUND * rounds))
        if "visits" in parts:
            console.print(visit_times(_VISITS_OF_A_ROUND * rounds))
    except (DidNotStart, WrongAnswer) as error:
        faults.append(str(error))
    for fault in faults:
        console.print(f"FAULT {fault}", style="red", markup=False)
    raise typer.Exit(1 if faults else 0)


def _measure_servers(
    plan: Plan, parts: set[str], services: list[str], sizes_kb: list[int], starts: int, console: Console
) -> list[str]:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    faults: list[str] = []
    with Progress(*columns, console=console) as progress, running_service(plan.cores.server) as server:
        subjects = list(_subjects(server, services, sizes_kb, progress))
        if "ratios" in parts:
            comparisons = compare_services(server, subjects, plan, progress)
            faults = [fault for comparison in comparisons for fault in comparison.faults()]
            console.print(ratios_table(comparisons))
    if "start" in parts:
        subject, bodies = subjects[0]
        body = bodies[min(bodies, key=lambda size: abs(size - _FIRST_CALL_KB))]
        console.print(starting_times(body, subject.path, plan.cores, starts))
    return faults


def _subjects(
    server: Server, services: list[str], sizes_kb: list[int], progress: Progress
) -> Iterator[tuple[Subject, Bodies]]:
    """Yield every service and outcome with its bodies; what no body was found for is said."""
    patients = list(load_patients(datetime.now(UTC)))
    entries = [entry for entry in discover(server.call_json) if not services or entry["id"] in services]
    if not entries:
        raise typer.BadParameter(f"Discovery lists none of {', '.join(services)}.")
    for entry in progress.track(entries, description="looking for patients"):
        subjects = find_subjects(entry, server.call_json, patients)
        missing = [f"{entry['id']} ({entry['hook']}), {outcome}" for outcome in OUTCOMES]
        for subject in subjects:
            body_by_size = {size: subject.body(server.call_json, size) for size in sizes_kb}
            missing.remove(subject.name)
            missing += [f"{subject.name}, {size} KB" for size, body in body_by_size.items() if body is None]
            if bodies := {size: body for size, body in body_by_size.items() if body is not None}:
                yield subject, bodies
        for name in missing:
            progress.console.print(f"not measured, because no patient has such an answer: {name}", markup=False)


app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
app.command()(bench)

if __name__ == "__main__":
    app()
