"""`python -m benchmarks`: every service against a bare handler, and what else a call costs."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import loaded, ratios, starting, touched, visits
from benchmarks.charts import load_patients
from benchmarks.load import share_out_cores
from benchmarks.ratios import Bodies, Plan
from benchmarks.servers import DidNotStart, Server, running, service_command
from benchmarks.subject import NoService, Subject, WrongAnswer, discover, find_subjects

PARTS = ("ratios", "start", "files", "loaded", "visits")
_FIRST_CALL_KB = 68
_WIDTH_WITHOUT_TERMINAL = 170
_BUSY_LOAD = 0.5
_VISITS_OF_A_ROUND = 3


class Run:
    """One run of the parts that are wanted: prints each table when it is there, and keeps the figures and faults."""

    def __init__(self, plan: Plan, parts: set[str], services: list[str], console: Console, progress: Progress) -> None:
        self.plan, self.parts, self.services = plan, parts, services
        self.console, self.progress = console, progress
        self.figures: dict[str, Any] = {}
        self.faults: list[str] = []

    def measure(self, sizes_kb: list[int], starts: int) -> None:
        """Every part that is wanted, in the order of PARTS."""
        if self.parts & {"ratios", "start"}:
            with TemporaryDirectory(prefix="cds-bench-") as folder:
                self._measure_servers(Path(folder), sizes_kb, starts)
        if "files" in self.parts:
            self.figures["files"] = touched.measure_touched()
            self.console.print(touched.table(self.figures["files"]))
        if "loaded" in self.parts:
            lines = loaded.measure_loaded()
            self.figures["loaded"] = loaded.as_json(lines)
            self.console.print(loaded.table(lines))
        if "visits" in self.parts:
            self.figures["visits"] = visits.measure_visits(_VISITS_OF_A_ROUND * self.plan.rounds)
            self.console.print(visits.table(self.figures["visits"]))

    def _measure_servers(self, folder: Path, sizes_kb: list[int], starts: int) -> None:
        plan = self.plan
        with self._service(folder) as service:
            subjects = self._subjects(service, sizes_kb if "ratios" in self.parts else [_FIRST_CALL_KB])
            if "ratios" in self.parts:
                comparisons = ratios.compare_services(service, subjects, plan, folder, self.progress)
                self.figures["ratios"] = [comparison.as_json() for comparison in comparisons]
                self.faults += [fault for comparison in comparisons for fault in comparison.faults()]
                self.console.print(ratios.table(comparisons))
        if "start" in self.parts:
            subject, bodies = subjects[0]
            body = bodies[min(bodies, key=lambda size: abs(size - _FIRST_CALL_KB))]
            self.figures["start"] = starting.measure_starting(body, subject.path, plan.cores, starts)
            self.console.print(starting.table(self.figures["start"]))

    @contextmanager
    def _service(self, folder: Path) -> Iterator[Server]:
        """Yield the real service with a new record."""
        with TemporaryDirectory(prefix="record-", dir=folder) as record:
            database = f"sqlite:///{record}/decisions.sqlite3"
            command = service_command(self.plan.workers)
            with running("service", command, folder, self.plan.cores.server, CDS_DATABASE_URL=database) as server:
                yield server

    def _subjects(self, service: Server, sizes_kb: list[int]) -> list[tuple[Subject, Bodies]]:
        """Every service and outcome with its bodies; what no body was found for is said."""
        entries = discover(service.call_json, self.services)
        task = self.progress.add_task("looking for patients", total=len(entries))
        patients = list(load_patients(datetime.now(UTC)))
        pairs = []
        for entry in entries:
            subjects = find_subjects(entry, service.call_json, patients)
            for outcome in {"card", "silent"} - {subject.outcome for subject in subjects}:
                self._not_measured(f"{entry['id']} ({entry['hook']}): no patient is answered with: {outcome}")
            for subject in subjects:
                bodies = {
                    size: body for size in sizes_kb if (body := subject.body(service.call_json, size)) is not None
                }
                if missing := [f"{size} KB" for size in sizes_kb if size not in bodies]:
                    self._not_measured(f"{subject.name}: no body of {', '.join(missing)}")
                if bodies:
                    pairs.append((subject, bodies))
            self.progress.advance(task)
        return pairs

    def _not_measured(self, sentence: str) -> None:
        self.figures.setdefault("not_measured", []).append(sentence)
        self.console.print(f"not measured: {sentence}", style="yellow", markup=False)


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
    pin: Annotated[bool, typer.Option(help="One core for the generator, the others for the server.")] = True,
    quick: Annotated[bool, typer.Option("--quick", help="Short rounds: for a look while developing.")] = False,
    json_file: Annotated[Path, typer.Option("--json", help="Where the figures go.")] = Path("var/bench.json"),
) -> None:
    """Measures on loopback, prints tables, writes JSON; exit code 1 when an answer was wrong."""
    starts = 5
    if quick:
        rounds, seconds, starts = 2, 0.25, 2
    if unknown := set(only or ()) - set(PARTS):
        raise typer.BadParameter(f"There is no part {', '.join(sorted(unknown))}.")
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH_WITHOUT_TERMINAL)
    plan = Plan(seconds, rounds, connections, workers, share_out_cores(pin))
    load = os.getloadavg()[0]
    console.print(
        f"{plan.cores.words}; {workers} worker(s), {connections} connections, Python {platform.python_version()}"
    )
    if load > _BUSY_LOAD:
        console.print(
            f"The machine was busy before the run (load {load:.1f}): believe the CPU ratio more than the ratio."
        )
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    try:
        with Progress(*columns, console=console) as progress:
            run = Run(plan, set(only or (("ratios",) if service else PARTS)), service or [], console, progress)
            run.measure([int(size) for size in sizes.split(",")], starts)
    except (DidNotStart, NoService, WrongAnswer) as error:
        console.print(str(error), style="red", markup=False)
        raise typer.Exit(1) from error
    for fault in run.faults:
        console.print(f"FAULT {fault}", style="red", markup=False)
    _write(json_file, run, load)
    console.print(f"Figures: {json_file}")
    raise typer.Exit(1 if run.faults else 0)


def _write(json_file: Path, run: Run, load: float) -> None:
    packages = ("uvicorn", "uvloop", "httptools", "starlette", "orjson", "msgspec")
    machine = {"system": platform.platform(), "python": platform.python_version(), "cores": os.cpu_count()}
    circumstances = {
        "machine": machine,
        "versions": {name: version(name) for name in packages},
        "load_before": load,
        "cores": run.plan.cores.words,
        "workers": run.plan.workers,
        "connections": run.plan.connections,
    }
    json_file.parent.mkdir(parents=True, exist_ok=True)
    json_file.write_text(json.dumps({**circumstances, **run.figures, "faults": run.faults}, indent=1) + "\n")


app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
app.command()(bench)

if __name__ == "__main__":
    app()
