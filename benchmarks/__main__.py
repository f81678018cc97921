"""`python -m benchmarks`: every service against a bare handler, and what else a call costs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.load import share_out_cores
from benchmarks.measure import PARTS, Wanted, measure
from benchmarks.report import as_json, print_report
from benchmarks.rounds import Plan
from benchmarks.servers import DidNotStart
from benchmarks.subject import NoService, WrongAnswer

_QUICK_ROUNDS, _QUICK_SECONDS, _QUICK_KILLS, _QUICK_CALLS, _QUICK_RATE_SECONDS, _QUICK_STARTS = 2, 0.25, 2, 5000, 5.0, 2
_WIDTH_WITHOUT_TERMINAL = 170


def bench(
    service: Annotated[list[str] | None, typer.Option(help="Only this service; may be given again.")] = None,
    only: Annotated[
        list[str] | None, typer.Option(help=f"Only this part ({', '.join(PARTS)}); may be given again.")
    ] = None,
    seconds: Annotated[float, typer.Option(help="Length of one side of a round, after its warm-up.")] = 0.4,
    rounds: Annotated[int, typer.Option(help="Pairs of service and bare handler for each body.")] = 3,
    connections: Annotated[int, typer.Option(help="Connections; each calls again when it was answered.")] = 8,
    workers: Annotated[int, typer.Option(help="Server processes, the same number on both sides.")] = 1,
    sizes: Annotated[
        str, typer.Option(help="Body sizes in KB; 3 and less: as small as the answer allows.")
    ] = "3,68,683",
    times: Annotated[int, typer.Option(help="How often the server is killed; 0 leaves it out.")] = 20,
    least: Annotated[int, typer.Option(help="Answered calls before each kill.")] = 1000,
    calls: Annotated[int, typer.Option(help="Distinct calls over which memory is watched.")] = 100_000,
    pin: Annotated[bool, typer.Option(help="One core for the generator, the others for the server.")] = True,
    quick: Annotated[bool, typer.Option("--quick", help="Short rounds: for a look while developing.")] = False,
    profile: Annotated[bool, typer.Option("--profile", help="Only: where the time goes in process.")] = False,
    variants: Annotated[bool, typer.Option("--variants", help="Only: what steps near the bare handler cost.")] = False,
    granian: Annotated[str | None, typer.Option(help="Only: this granian program beside uvicorn.")] = None,
    json_file: Annotated[Path, typer.Option("--json", help="Where the figures go.")] = Path("var/bench.json"),
) -> None:
    """Measures on loopback, prints tables, writes JSON; exit code 1 when an answer was wrong or a decision lost."""
    rate_seconds, starts = 30.0, 5
    if quick:
        rounds, seconds, times = _QUICK_ROUNDS, _QUICK_SECONDS, min(times, _QUICK_KILLS)
        calls, rate_seconds, starts = min(calls, _QUICK_CALLS), _QUICK_RATE_SECONDS, _QUICK_STARTS
    unknown = set(only or ()) - set(PARTS)
    if unknown:
        raise typer.BadParameter(f"There is no part {', '.join(sorted(unknown))}.")
    wanted = Wanted(
        parts=frozenset(only or (("ratios",) if service else PARTS)),
        services=service or [],
        sizes_kb=[int(size) for size in sizes.split(",")],
        plan=Plan(seconds, rounds, connections, share_out_cores(pin)),
        workers=workers,
        kills=times,
        least_answered=least,
        memory_calls=calls,
        rate_seconds=rate_seconds,
        starts=starts,
    )
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH_WITHOUT_TERMINAL)
    try:
        if profile:
            _profile(wanted, console)
        elif variants or granian:
            _variants(wanted, granian, console)
        else:
            _measure(wanted, json_file, console)
    except (DidNotStart, NoService, WrongAnswer) as error:
        console.print(str(error), style="red", markup=False)
        raise typer.Exit(1) from error


def _measure(wanted: Wanted, json_file: Path, console: Console) -> None:
    with _progress(console) as progress:
        measured = measure(wanted, progress)
    print_report(measured, wanted, console)
    json_file.parent.mkdir(parents=True, exist_ok=True)
    json_file.write_text(json.dumps(as_json(measured, wanted), indent=1) + "\n")
    console.print(f"Figures: {json_file}")
    raise typer.Exit(1 if measured.faults() else 0)


def _profile(wanted: Wanted, console: Console) -> None:
    # imported here: the benchmark proper knows the service by its address only
    from benchmarks.profiling import profile

    profile(wanted.services, wanted.sizes_kb, console)


def _variants(wanted: Wanted, granian: str | None, console: Console) -> None:
    from benchmarks.variants import compare_servers, compare_steps, plain_bodies

    bodies = plain_bodies(wanted.sizes_kb)
    with _progress(console) as progress:
        if granian:
            table = compare_servers(granian, bodies, wanted.plan, progress)
        else:
            table = compare_steps(bodies, wanted.plan, progress)
    console.print(f"{wanted.plan.cores.words}; {wanted.plan.connections} connections", table, sep="\n")


def _progress(console: Console) -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    return Progress(*columns, console=console)


app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
app.command()(bench)

if __name__ == "__main__":
    app()
