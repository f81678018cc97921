"""`python -m benchmarks.chart_rates`: how many charts one core scores in a second, by the size of the chart.

The charts are copies of the shared Synthea charts: the 8 smallest (98 KB), all of them with only the types and codes
that the models and equations ask for (189 KB), and all of them whole (308 KB). Each copy has a patient and times of
its own. What is counted is the processor time of reading, scoring and writing between the first
batch and the last full one, in the best of some runs; the start of the command is not in it. (A batch gives back the
memory of the one before it, and the last one its own, too.) Each folder is counted in a
process of its own, as the command is one: what was made before, to write the folders, would lie between its charts.
"""

from __future__ import annotations

import gzip
import json
import re
import tempfile
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from time import process_time
from typing import Annotated, TextIO, TypeAlias

import typer

from cds_hooks.panel.chart_lines import Wanted
from cds_hooks.panel.run import FhirJob, score_folder
from cds_hooks.panel.selection import questions_about
from cds_hooks.settings import Settings

Chart: TypeAlias = tuple[str, list[tuple[str, str]]]
"""The id of a patient, and the type and the line of each resource."""
_INSTANT = re.compile(r'"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?=(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")')
_SMALLEST = 8
_AS_OF = datetime(2026, 11, 20, 12, tzinfo=UTC)
_SHIFT_SECONDS = 997


def read_charts(folder: Path) -> list[Chart]:
    """The charts of these bundles with references by type and id, as a server exports them."""
    charts: list[Chart] = []
    for path in sorted(folder.glob("*.json.gz")):
        entries = json.loads(gzip.decompress(path.read_bytes()))["entry"]
        resources = [(entry["resource"]["resourceType"], entry["resource"]) for entry in entries]
        names = {
            entry.get("fullUrl"): f"{kind}/{resource['id']}"
            for entry, (kind, resource) in zip(entries, resources, strict=True)
        }
        lines = [
            (kind, _with_references(json.dumps(resource, separators=(",", ":")), names)) for kind, resource in resources
        ]
        charts.append((next(resource["id"] for kind, resource in resources if kind == "Patient"), lines))
    return charts


def _with_references(text: str, names: dict[str | None, str]) -> str:
    return re.sub(r'"(urn:uuid:[^"]+)"', lambda match: f'"{names.get(match[1], match[1])}"', text)


def write_export(folder: Path, charts: Iterable[Chart], copies: int, wanted: Wanted | None = None) -> float:
    """One file for each type, patient by patient; only what is `wanted`, where that is given. The mean size in KB."""
    folder.mkdir(parents=True)
    size = patients = 0
    files: dict[str, TextIO] = {}
    for copy in range(copies):
        for patient, lines in charts:
            patients += 1
            for kind, line in lines:
                if wanted is None or wanted.takes(kind, line.encode()):
                    file = files.get(kind) or files.setdefault(kind, (folder / f"{kind}.ndjson").open("w"))
                    size += file.write(f"{_of_copy(line, patient, copy)}\n")
    for file in files.values():
        file.close()
    return size / patients / 1000


def _of_copy(line: str, patient: str, copy: int) -> str:
    if not copy:
        return line
    earlier = timedelta(seconds=copy * _SHIFT_SECONDS)
    line = line.replace(patient, f"{patient[:-4]}x{copy:03}")
    return _INSTANT.sub(lambda match: f'"{(datetime.fromisoformat(match[1]) - earlier).isoformat()}', line)


def seconds_per_chart(export: Path, out: Path, runs: int) -> float:
    """Processor seconds of one chart, in the best of so many runs."""
    best = float("inf")
    for _ in range(runs):
        marks: list[tuple[int, float]] = []
        job = FhirJob(export, _AS_OF, out, Settings(), restart=True)
        score_folder(job, lambda done, seen=marks: seen.append((done, process_time())))  # type: ignore[misc]  # bound now
        (first, begun), (last, ended) = marks[0], marks[-2]
        best = min(best, (ended - begun) / (last - first))
    return best


def main(
    copies: Annotated[int, typer.Option(min=8, help="Copies of each of the 52 Synthea charts; 24: 620 MB.")] = 24,
    runs: Annotated[int, typer.Option(min=1, help="The best of so many counts.")] = 7,
    folder: Annotated[Path | None, typer.Option(help="An empty folder that stays; default: one that goes.")] = None,
) -> None:
    """Prints milliseconds of processor time a chart, and charts a second a core."""
    settings = Settings()
    charts = read_charts(settings.data_dir / "fhir" / "synthea")
    smallest = sorted(charts, key=lambda chart: sum(len(line) for _, line in chart[1]))[:_SMALLEST]
    needed = Wanted.of(questions_about((), settings).needs)
    with tempfile.TemporaryDirectory(prefix="cds-rates-") as temporary:
        work_folder = folder or Path(temporary)
        exports = []
        for name, some, times, wanted in (
            ("the smallest of Synthea", smallest, copies * len(charts) // _SMALLEST, None),
            ("Synthea, what is asked for", charts, copies, needed),
            ("Synthea, whole", charts, copies, None),
        ):
            export = work_folder / name.replace(" ", "-")
            exports.append((name, export, write_export(export, some, times, wanted)))
        for name, export, size in exports:
            with ProcessPoolExecutor(1, get_context("spawn")) as alone:
                seconds = alone.submit(seconds_per_chart, export, work_folder / "scores.csv", runs).result()
            typer.echo(f"{size:4.0f} KB  {seconds * 1000:6.3f} ms  {1 / seconds:6,.0f} a second  {name}")


if __name__ == "__main__":
    typer.run(main)
