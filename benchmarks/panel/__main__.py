"""`python -m benchmarks.panel`: invented patients through the server, the command line, Spark and Ray."""

from __future__ import annotations

import importlib.util
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.panel import comparison, paths
from benchmarks.panel.paths import Cost
from benchmarks.panel.people import write_people

ENGINES = ("spark", "ray")
MINIMUM_COMPARED = 0.5
"""The share of patients who must have an estimate for the comparison of estimates to mean anything."""


def missing_for(engine: str) -> str:
    """What is not installed for this engine, as a sentence; empty where all is there."""
    module = {"spark": "pyspark", "ray": "ray"}[engine]
    if importlib.util.find_spec(module) is None:
        return f"{module} is not installed (docs/scoring-clusters.md says how)."
    if engine == "spark" and shutil.which("java") is None:
        return "there is no java on the PATH (Debian: default-jre-headless)."
    return ""


class Run:
    """The paths over one folder of invented patients, what each cost, and where two differ."""

    def __init__(self, folder: Path, count: int, tell: Callable[[str], None]) -> None:
        self.folder, self.count, self.tell = folder, count, tell
        self.costs: dict[str, Cost] = {}
        self.compared: dict[str, dict[str, Any]] = {}

    def measure(self, name: str, cost: Cost) -> None:
        self.costs[name] = cost
        per_patient = f"{cost.seconds / self.count * 1e6:,.0f} µs by the clock"
        self.tell(f"{name}: {per_patient}, {cost.cpu_seconds / self.count * 1e6:,.0f} µs of processor a patient")

    def compare(self, name: str, one: dict[str, Any], other: dict[str, Any]) -> None:
        differ = comparison.differing(one, other)
        self.compared[name] = {"patients": len(one.keys() | other.keys()), "differ": len(differ), "first": differ[:3]}
        self.tell(f"{name}: {len(one):,} patients, {len(differ):,} differ")

    def charts(self, workers: int, cores: int, partitions: list[int], engines: list[str], server: bool) -> None:
        known = self.folder / "charts.csv"
        self.measure("charts, command line", paths.score_charts(self.folder, known))
        all_lines = comparison.digests(comparison.of_csv(known))
        if workers > 1:
            out = self.folder / "charts-workers.csv"
            self.measure(f"charts, command line, {workers} processes", paths.score_charts(self.folder, out, workers))
            self.compare("charts: processes", all_lines, comparison.digests(comparison.of_csv(out)))
        if server:
            self.measure("charts, server", paths.call_server(self.folder, self.count))
            self.compare("charts: server", comparison.of_charts(known), comparison.of_record(self.folder))
        self._on_engines("charts", self.folder / "resources.parquet", known, cores, partitions, engines)

    def table(self, cores: int, partitions: list[int], engines: list[str]) -> None:
        rows, known = self.folder / "features.parquet", self.folder / "table.csv"
        self.measure("features of charts", paths.write_features(self.folder, rows))
        self.measure("table, command line", paths.score_table(rows, known))
        self._on_engines("table", rows, known, cores, partitions, engines)
        table, charts = comparison.of_table(known), comparison.of_charts(self.folder / "charts.csv")
        scored = {name: line for name, line in charts.items() if line[0]}
        self.compare("table and charts, who has an estimate", scored, {name: table[name] for name in scored})
        if len(scored) < MINIMUM_COMPARED * self.count:
            self.compared["table and charts, who has an estimate"]["differ"] = self.count - len(scored)

    def _on_engines(
        self, kind: str, rows: Path, known: Path, cores: int, partitions: list[int], engines: list[str]
    ) -> None:
        columns = comparison.columns_of(known)
        expected = comparison.digests(comparison.of_csv(known))
        for engine in engines:
            for parts in partitions:
                out = self.folder / f"{kind}-{engine}-{parts}"
                shutil.rmtree(out, ignore_errors=True)
                name = f"{kind}, {engine}, {parts} partitions, {cores} cores"
                self.measure(name, paths.score_on(engine, kind, rows, out, cores, parts))
                wanted = ["patient_id" if kind == "charts" and each == "id" else each for each in columns]
                self.compare(name, expected, comparison.digests(comparison.of_parquet(out, wanted)))

    def figures(self) -> dict[str, Any]:
        costs = {name: asdict(cost) for name, cost in self.costs.items()}
        return {"patients": self.count, "costs": costs, "compared": self.compared}

    @property
    def differs(self) -> bool:
        return any(each["differ"] for each in self.compared.values())


def main(
    patients: Annotated[int, typer.Option(min=1, help="How many invented patients.")] = 100_000,
    engine: Annotated[list[str] | None, typer.Option(help="spark, ray; again for each. Default: installed.")] = None,
    partitions: Annotated[str, typer.Option(help="Numbers of partitions, 4 or 1,2,4: how an engine scales.")] = "4",
    cores: Annotated[int, typer.Option(min=1, help="Cores that an engine may use.")] = 2,
    workers: Annotated[int, typer.Option(min=1, help="A second run of the command line in so many processes.")] = 1,
    server: Annotated[bool, typer.Option(help="Whether the server is called about every patient.")] = True,
    folder: Annotated[Path | None, typer.Option(help="An empty folder that stays; default: one that goes.")] = None,
    json_file: Annotated[Path, typer.Option("--json", help="Where the figures go.")] = Path("var/panel.json"),
) -> None:
    """Scores the patients by every path and compares every bit; exit code 1 where two paths differ."""
    for each in engine or ():
        if each not in ENGINES or missing_for(each):
            raise typer.BadParameter(f"{each}: {missing_for(each) if each in ENGINES else 'spark or ray.'}")
    engines = engine or [each for each in ENGINES if not missing_for(each)]
    for each in set(ENGINES) - set(engines):
        typer.echo(f"{each} is left out: {missing_for(each) or 'not asked for.'}", err=True)
    counts = [int(each) for each in partitions.split(",")]
    with tempfile.TemporaryDirectory(prefix="cds-panel-") as temporary:
        run = Run(folder or Path(temporary), patients, typer.echo)
        write_people(run.folder, patients)
        run.charts(workers, cores, counts, engines, server)
        run.table(cores, counts, engines)
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(run.figures(), indent=1) + "\n")
    typer.echo(f"Figures: {json_file}")
    raise typer.Exit(1 if run.differs else 0)


if __name__ == "__main__":
    typer.run(main)
