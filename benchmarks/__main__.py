"""`python -m benchmarks`: the calls of a visit against a bare handler, and what else a call costs."""

import os
import platform
import sys
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.in_process import service_in_process
from benchmarks.servers import DidNotStart, share_out_cores
from benchmarks.starting import loaded_lines, starting_times
from benchmarks.subject import WrongAnswer, discover
from benchmarks.ten_drafts import ten_drafts_times
from benchmarks.visits import calls_of_a_visit, visit_times

PARTS = ("start", "loaded", "ten", "visits")
_FIRST_CALL_KB = 68
_WIDTH_WITHOUT_TERMINAL = 170
_VISITS_OF_A_ROUND = 3


def bench(
    only: Annotated[
        list[str] | None, typer.Option(help=f"Only this part ({', '.join(PARTS)}); may be given again.")
    ] = None,
    rounds: Annotated[int, typer.Option(help="How often each part is repeated: three visits in a round.")] = 3,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer rounds: for a look while developing.")] = False,
) -> None:
    """Measures on loopback and prints tables; exit code 1 when an answer was wrong."""
    rounds, starts = (1, 2) if quick else (rounds, 5)
    if unknown := set(only or ()) - set(PARTS):
        raise typer.BadParameter(f"There is no part {', '.join(sorted(unknown))}.")
    parts = set(only or PARTS)
    console = Console(width=None if sys.stdout.isatty() else _WIDTH_WITHOUT_TERMINAL)
    console.print(f"Python {platform.python_version()}, load of the machine {os.getloadavg()[0]:.1f}")
    try:
        if "start" in parts:
            with service_in_process() as service:
                path, body = calls_of_a_visit(discover(service.call_json), _FIRST_CALL_KB)[0]
            console.print(starting_times(body, path, share_out_cores(), starts))
        if "loaded" in parts:
            console.print(loaded_lines())
        if "ten" in parts:
            console.print(ten_drafts_times(_VISITS_OF_A_ROUND * rounds))
        if "visits" in parts:
            console.print(visit_times(_VISITS_OF_A_ROUND * rounds))
    except (DidNotStart, WrongAnswer) as error:
        console.print(f"FAULT {error}", style="red", markup=False)
        raise typer.Exit(1) from error


app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
app.command()(bench)

if __name__ == "__main__":
    app()
