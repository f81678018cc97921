"""`python -m benchmarks.panel.scaling`: the same charts by every way on one core and on two, in steps that are kept.

Each step is measured once and written down at once; a run that was interrupted, or that had no time left for a step,
goes on where it stopped when it is started again with the same folder. What each way said of each patient is compared
with the command line in one process.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from time import perf_counter
from types import FrameType
from typing import Annotated, Any

import typer

from benchmarks.panel import comparison, paths
from benchmarks.panel.__main__ import ENGINES, missing_for
from benchmarks.panel.paths import Cost
from benchmarks.panel.people import write_people
from benchmarks.subject import WrongAnswer

_KNOWN = "command line, 1 process on 1 core"
_PARTITIONS_A_CORE = 4
_PEOPLE_MARK = "people.json"


@dataclass(frozen=True, slots=True)
class Step:
    """A way to score the charts. `start` and `each` are the seconds it takes, for the time that is left only."""

    name: str
    start: float
    each: float
    score: Callable[[Path], Cost]
    said: Callable[[Path], Iterator[comparison.Line]] | None = None

    def expected(self, patients: int) -> float:
        """About how many seconds this step takes on a machine with nothing else to do, with its comparison."""
        return self.start + patients * self.each


class OutOfTime(Exception):
    """The time that was given for the run is over."""


class Scaling:
    """The steps over one folder of invented patients; `steps.json` in it has what was measured."""

    def __init__(self, folder: Path, patients: int, tell: Callable[[str], None]) -> None:
        self.folder, self.patients, self.tell = folder, patients, tell
        self._file = folder / "steps.json"
        self.done: dict[str, dict[str, Any]] = json.loads(self._file.read_text()) if self._file.exists() else {}

    @property
    def known(self) -> Path:
        """What the command line said in one process."""
        return self.folder / "charts.csv"

    @cached_property
    def _expected(self) -> comparison.Said:
        return comparison.digests(comparison.of_csv(self.known))

    @cached_property
    def _columns(self) -> list[str]:
        return ["patient_id" if each == "id" else each for each in comparison.columns_of(self.known)]

    def prepare(self) -> None:
        """Writes the patients, unless a whole folder of as many is there already."""
        mark = self.folder / _PEOPLE_MARK
        if mark.exists() and json.loads(mark.read_text()) == self.patients:
            return
        if self.done:
            raise typer.BadParameter(f"{self.folder} has measurements of other patients: name another folder.")
        for path in (self.folder / "export", self.folder / "resources.parquet"):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        self.tell(f"Writing {self.patients:,} patients to {self.folder}.")
        write_people(self.folder, self.patients)
        mark.write_text(json.dumps(self.patients))

    def steps(self, engines: list[str], cores: int) -> list[Step]:
        """All steps, the most wanted ones first: everything on all cores, then the engines on one."""
        found = [
            Step(_KNOWN, 5, 0.00085, lambda out: paths.score_charts(self.folder, out, 1, 1)),
            Step(
                f"command line, {cores} processes on {cores} cores",
                6,
                0.0007,
                lambda out: paths.score_charts(self.folder, out, cores, cores),
                comparison.of_csv,
            ),
        ]
        found += [self._on_engine(engine, cores) for engine in engines]
        found.append(Step("server, 1 process", 8, 0.0026, lambda _: self._call_server()))
        found += [self._on_engine(engine, 1) for engine in engines if cores > 1]
        return found

    def _on_engine(self, engine: str, cores: int) -> Step:
        start, each = {"spark": (20.0, 0.0022), "ray": (45.0, 0.0032)}[engine]
        rows, parts = self.folder / "resources.parquet", _PARTITIONS_A_CORE * cores

        def score(out: Path) -> Cost:
            folder = out.with_suffix("")
            shutil.rmtree(folder, ignore_errors=True)
            return paths.score_on(engine, "charts", rows, folder, cores, parts, pinned=True)

        return Step(
            f"{engine}, {parts} partitions on {cores} core{'s' if cores > 1 else ''}",
            start,
            each / cores + 0.0002,
            score,
            lambda out: comparison.of_parquet(out.with_suffix(""), self._columns),
        )

    def _call_server(self) -> Cost:
        for path in self.folder.glob("decisions.sqlite3*"):
            path.unlink()
        return paths.call_server(self.folder, self.patients)

    def run(self, step: Step) -> None:
        """Measures a step, compares what it said, and writes both down."""
        number = len(self.done)
        out = self.known if step.name == _KNOWN else self.folder / f"step-{number}.csv"
        cost = step.score(out)
        differ = self._differing(step, out)
        scored = cost.said.get("score_seconds", cost.seconds - cost.said.get("start_seconds", 0.0))
        self.done[step.name] = {
            **asdict(cost),
            "patients": self.patients,
            "patients_a_second": round(self.patients / cost.seconds, 1),
            "patients_a_second_without_start": round(self.patients / scored, 1),
            "processor_ms_a_patient": round(cost.cpu_seconds / self.patients * 1000, 4),
            "differ": len(differ),
            "first": differ[:3],
            "load": round(os.getloadavg()[0], 2),
            "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        waiting = self._file.with_suffix(".part")
        waiting.write_text(json.dumps(self.done, indent=1) + "\n")
        waiting.replace(self._file)
        self._remove(step, out)
        self.tell(_line(step.name, self.done[step.name]))

    def _differing(self, step: Step, out: Path) -> list[str]:
        if step.name == _KNOWN:
            found = self._expected
            return [] if len(found) == self.patients else [f"only {len(found):,} patients have lines"]
        if step.said is not None:
            return comparison.differing(self._expected, comparison.digests(step.said(out)))
        return comparison.differing(comparison.of_charts(self.known), comparison.of_record(self.folder))

    def _remove(self, step: Step, out: Path) -> None:
        """What a step wrote is not needed once it is compared: 100,000 patients are 300 MB a step."""
        if step.name != _KNOWN:
            out.unlink(missing_ok=True)
            shutil.rmtree(out.with_suffix(""), ignore_errors=True)


def _line(name: str, found: dict[str, Any]) -> str:
    rates = f"{found['patients_a_second']:>9,.0f} {found['patients_a_second_without_start']:>14,.0f}"
    return f"{name:<40} {rates} {found['processor_ms_a_patient']:>10.3f} {found['differ']:>8,} {found['load']:>6.1f}"


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise OutOfTime


def main(
    folder: Annotated[Path, typer.Option(help="Where patients, answers and measurements stay.")],
    patients: Annotated[int, typer.Option(min=1, help="How many invented patients.")] = 100_000,
    minutes: Annotated[float, typer.Option(help="No step begins that would end later; a step still going ends.")] = 25,
    cores: Annotated[int, typer.Option(min=1, help="Cores of the runs that use several.")] = 2,
    prepare: Annotated[bool, typer.Option("--prepare", help="Only write the patients.")] = False,
    expect: Annotated[bool, typer.Option("--expect", help="Only say how long each step takes, about.")] = False,
    json_file: Annotated[Path, typer.Option("--json", help="Where the figures go.")] = Path("var/panel-scaling.json"),
) -> None:
    """Measures what is not measured yet; exit code 1 where a patient differs, 3 where steps are left over."""
    began = perf_counter()
    folder.mkdir(parents=True, exist_ok=True)
    scaling = Scaling(folder, patients, typer.echo)
    engines = [each for each in ENGINES if not missing_for(each)]
    for each in set(ENGINES) - set(engines):
        typer.echo(f"{each} is left out: {missing_for(each)}", err=True)
    steps = scaling.steps(engines, cores)
    if expect:
        for step in steps:
            typer.echo(f"{step.name:<40} {step.expected(patients):>6.0f} s")
        typer.echo(f"{'together':<40} {sum(step.expected(patients) for step in steps):>6.0f} s")
        return
    scaling.prepare()
    if prepare:
        return
    typer.echo(f"{patients:,} patients of 9 KB           patients/s  without start  CPU ms  differ  load")
    left = _run_steps(scaling, steps, began + minutes * 60)
    json_file.parent.mkdir(parents=True, exist_ok=True)
    json_file.write_text(json.dumps({"patients": patients, "steps": scaling.done, "left_over": left}, indent=1) + "\n")
    typer.echo(f"Figures: {json_file}")
    raise typer.Exit(1 if any(each["differ"] for each in scaling.done.values()) else 3 if left else 0)


def _run_steps(scaling: Scaling, steps: list[Step], end: float) -> list[str]:
    """The names of the steps that are not measured: no time was left, or they failed."""
    left: list[str] = []
    signal.signal(signal.SIGALRM, _interrupt)
    for step in steps:
        if step.name in scaling.done:
            scaling.tell(_line(step.name, scaling.done[step.name]))
            continue
        seconds = end - perf_counter()
        if (step.expected(scaling.patients) > seconds) or (left and _KNOWN in left):
            scaling.tell(f"{step.name}: left over, {max(0, seconds):.0f} s are not enough for it.")
            left.append(step.name)
            continue
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            scaling.run(step)
        except OutOfTime:
            scaling.tell(f"{step.name}: not ended in time.")
            left.append(step.name)
        except WrongAnswer as error:
            scaling.tell(f"{step.name}: failed. {error}")
            left.append(step.name)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    return left


if __name__ == "__main__":
    typer.run(main)
