"""`cds-hooks model gates`: runs the gates that a model must pass before it is served."""

import csv
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from cds_hooks.commands.model.console import Specs, moment, own_specs, print_json, problems, progress_bars
from cds_hooks.commands.model.release import signer
from cds_hooks.commands.sentences import failure
from cds_hooks.settings import settings
from cds_hooks.trusted_models import own_keys
from models_onnx.artifact.files import write_whole
from models_onnx.serving.registry import ARTIFACTS, find_version

_COLOURS = {"passed": "green", "waived": "yellow"}


def gates(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The model's id, or id@version.")],
    data: Annotated[Path | None, typer.Option(help="The data folder; default: the setting CDS_DATA_DIR.")] = None,
    folder: Annotated[Path, typer.Option("--folder", help="Folder of artifacts; each model has its own.")] = ARTIFACTS,
    specs: Specs = None,
    rows: Annotated[
        Path | None, typer.Option(help="People of one's own as CSV, for a model from elsewhere (docs/models/gates.md).")
    ] = None,
    charts: Annotated[
        Path | None,
        typer.Option(help="Charts (FHIR) of the people it is used on: G11 compares what is missing in them."),
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="Run only this gate, for example G9; may be repeated.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write the report as an HTML page to this file.")] = None,
    record: Annotated[
        bool, typer.Option("--record", help="Make the report part of the signed release; without red, it is validated.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Run the gates G1 to G18 on a model and say of each whether it is green, and why. What did not run is red.

    Exit codes: 0 every gate is green, 1 one is not, 2 there is no such model.

    Example: cds-hooks model gates mortality_5y --html gates.html
    """
    with problems():
        from cds_hooks.commands.model.evidence import gather
        from models_onnx.workbench.gates.gate import find_gates, run_gates
        from models_onnx.workbench.gates.report import report_html as page
        from models_onnx.workbench.gates.subject import read_subject

        wanted = frozenset(gate.upper() for gate in only or ())
        if unknown := sorted(wanted - {gate.id for gate in find_gates()}):
            raise failure(f"no gate is called {', '.join(unknown)}; the gates are G1 to G18", 2)
        keys, specs = own_keys(settings()), own_specs(specs, folder, name)
        subject = read_subject(find_version(name, folder).folder, keys)
        with progress_bars(as_json) as progress:
            evidence = gather(subject, keys, data, progress, specs, rows, charts)
            report = run_gates(subject, evidence, progress, wanted or None)
        if html is not None:
            write_whole(html, page(report))
        if record:
            _record(subject.folder, report)
    if as_json:
        print_json({"green": report.green, "report": report})
    else:
        _show(report, wanted)
    raise typer.Exit(0 if report.green else 1)


def label_audit(
    table: Annotated[Path, typer.Argument(help="A CSV file of people.")],
    score: Annotated[str, typer.Option(help="Column of the score.")] = "score",
    group: Annotated[str, typer.Option(help="Column of the group.")] = "group",
    need: Annotated[str, typer.Option(help="Column of how much a person needs.")] = "need",
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Compare what groups need at an equal score: is the label what it stands for?

    Exit codes: 0 no group needs much more than others, 1 one does, 2 the table cannot be read.

    Example: cds-hooks model label-audit people.csv --score risk --group race --need conditions
    """
    with problems():
        from models_onnx.workbench.gates.checks.label import audit_label

        groups = audit_label(*_columns(table, score, group, need))
    if as_json:
        print_json({table.name: groups})
    else:
        audit_table = Table("group", "people", "need, times that of others", "in the top tenth", "", title=table.name)
        for row in groups:
            audit_table.add_row(
                row.group,
                f"{row.people:,}",
                f"{row.ratio:.2f} ({row.low:.2f} to {row.high:.2f})",
                f"{row.top_ratio:.2f} ({row.top_low:.2f} to {row.top_high:.2f})",
                "failed" if row.fault else "" if row.sufficient else "insufficient",
            )
        Console().print(audit_table)
    raise typer.Exit(1 if any(row.fault for row in groups) else 0)


def _columns(table: Path, score: str, group: str, need: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {score, group, need} <= set(rows[0]):
        there = ", ".join(rows[0]) if rows else "no rows"
        raise failure(f"{table} needs the columns {score}, {group} and {need}; it has {there}", 2)
    numbers = [np.array([float(row[name] or "nan") for row in rows]) for name in (score, need)]
    return numbers[0], np.array([row[group] for row in rows]), numbers[1]


def _record(folder: Path, report: object) -> None:
    from models_onnx.workbench.gates.gate import GateReport, encode
    from models_onnx.workbench.release.publishing import record_gates

    if isinstance(report, GateReport):
        release = record_gates(folder, encode(report), report.summary, moment(), signer())
        typer.echo(f"Recorded: {release.id} {release.version} is {release.state}.", err=True)


def _show(report: object, only: frozenset[str]) -> None:
    from models_onnx.workbench.gates.gate import GateReport

    if not isinstance(report, GateReport):
        return
    table = Table("gate", "what", "state", "why", title=f"Gates of {report.id} {report.version}")
    for result in report.results:
        colour = _COLOURS.get(result.status, "red")
        table.add_row(result.gate, result.title, f"[{colour}]{result.status}[/]", result.why.replace("[", r"\["))
    Console().print(table)
    red = [result.gate for result in report.results if not result.green]
    if only:
        red_of_these = [gate for gate in red if gate in only]
        verdict = f"Not green: {', '.join(red_of_these)}." if red_of_these else "What was asked for is green."
        others = len(report.results) - sum(result.gate in only for result in report.results)
        typer.echo(f"{verdict} Not run: the {others} other gates, without which the model shows no cards.")
        return
    typer.echo(report.headline if not red else f"Not green: {', '.join(red)}.")
