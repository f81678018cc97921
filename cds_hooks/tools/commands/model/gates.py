"""`cds-hooks model gates`: runs the gates that a model must pass before it is served, or says how it does elsewhere."""

from functools import partial
from pathlib import Path
from time import thread_time
from typing import Annotated, Any

import typer
from rich.table import Table

from cds_hooks.call.trusted_models import own_keys
from cds_hooks.people.governance.acts import waiver_subject
from cds_hooks.settings import settings
from cds_hooks.tools.commands.model.console import (
    Data,
    Folder,
    Replicates,
    Specs,
    moment,
    own_specs,
    problems,
    today,
)
from cds_hooks.tools.commands.model.train import signer
from cds_hooks.tools.commands.options import AsJson, failure, print_json, progress_bars
from cds_hooks.tools.commands.record import site_approvals
from cds_hooks.tools.kit.tables import print_table
from models_onnx.artifact.keys import Keys
from models_onnx.artifact.release_file import DRAFT, read_release
from models_onnx.errors import SignatureRefused
from models_onnx.serving.registry import ARTIFACTS, find_version
from models_onnx.spec import REPLICATES, SEED
from models_onnx.workbench.gates.subject import Evidence, Subject

_COLOURS = {"passed": "green", "waived": "yellow"}


def gates(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The model's id, or id@version.")],
    data: Data = None,
    folder: Folder = ARTIFACTS,
    specs: Specs = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Run only this gate, for example fairness; may be repeated.")
    ] = None,
    record: Annotated[
        bool, typer.Option("--record", help="Make the report part of the signed release; without red, it is validated.")
    ] = False,
    rows: Annotated[
        Path | None, typer.Option(help="In place of the gates: its figures on this table (same columns, other people).")
    ] = None,
    replicates: Replicates = REPLICATES,
    as_json: AsJson = False,
) -> None:
    """Run the nine gates on a model and say of each whether it is green, and why. What did not run is red.

    With --rows its figures with 95 % intervals on people it was not trained on.

    Exit codes: 0 every gate that was asked for is green, 1 one is not, 2 there is no such model.

    Example: cds-hooks model gates mortality_5y --only file
    """
    if rows is not None:
        _evaluate(name, rows, folder, specs, replicates, as_json)
        return
    with problems():
        from models_onnx.artifact.files import encode_json
        from models_onnx.workbench.gates.evidence import gather
        from models_onnx.workbench.gates.run import GATES, run_gates
        from models_onnx.workbench.gates.subject import read_subject
        from models_onnx.workbench.release.publishing import record_gates
        from models_onnx.workbench.training.commands import changed_declaration

        wanted, names = frozenset(gate.lower() for gate in only or ()), [gate.id for gate in GATES]
        if unknown := sorted(wanted.difference(names)):
            raise failure(f"no gate is called {', '.join(unknown)}; the gates are {', '.join(names)}", 2)
        keys, specs = own_keys(settings()), own_specs(specs, folder, name)
        subject = read_subject(find_version(name, folder).folder, keys)
        with progress_bars(as_json) as progress:
            evidence = gather(
                subject,
                keys,
                site_evidence(subject),
                data or settings().data_dir,
                progress,
                specs,
            )
            report = run_gates(subject, evidence, progress, wanted or None)
        if record and _is_in_use(subject, keys) and (changed := changed_declaration(subject.manifest, specs)):
            typer.echo(
                f"Not recorded: {changed} was changed after {subject.id} {subject.manifest.version} was made, so this "
                "report is of something else, and that version stays as it is. Give the declaration another version, "
                "train or import it, and run the gates of that one.",
                err=True,
            )
        elif record:
            release = record_gates(subject.folder, encode_json(report), report.summary, moment(), signer())
            typer.echo(f"Recorded: {release.id} {release.version} is {release.state}.", err=True)
    if as_json:
        print_json({"green": report.green, "report": report})
    else:
        _show(report, wanted)
    asked_for = [result for result in report.results if not wanted or result.gate in wanted]
    raise typer.Exit(0 if all(result.green for result in asked_for) else 1)


def _evaluate(name: str, rows: Path, folder: Path, specs: Path | None, replicates: int, as_json: bool) -> None:
    with problems(), progress_bars(as_json) as progress:
        from models_onnx.workbench.training.commands import evaluate_rows

        specs = own_specs(specs, folder, name)
        evaluated = evaluate_rows(name, rows, folder, SEED, replicates, progress, specs)
    if as_json:
        print_json(evaluated)
        return
    from models_onnx.workbench.release.card import fairness_in_words, validity_in_words

    left_out = [f"left out: {step['words']}: {step['count']:,}" for step in evaluated["left_out"]]
    typer.echo("\n".join((*left_out, validity_in_words(evaluated), fairness_in_words(evaluated))))


def _is_in_use(subject: Subject, keys: Keys) -> bool:
    """Return whether this version has passed its gates, so that it may be showing cards."""
    try:
        return read_release(subject.folder, keys).state != DRAFT
    except SignatureRefused:
        return False


def site_evidence(subject: Subject) -> Evidence:
    """Return what only the site knows: the day, and whether two people have approved a waiver."""
    return Evidence(as_of=today(), timer=thread_time, waiver_fault=partial(_waiver_fault, subject))


def _waiver_fault(subject: Any, waiver: dict[str, Any]) -> str | None:
    """Behind a trust file a waiver counts only where two people have approved it."""
    if settings().trust_file is None:
        return None
    words = waiver_subject(subject.id, subject.manifest.version, waiver)
    return site_approvals().why_not_approved("waiver", words, today())


def _show(report: Any, only: frozenset[str]) -> None:
    table = Table("gate", "what", "state", "why", title=f"Gates of {report.id} {report.version}")
    for result in report.results:
        colour = _COLOURS.get(result.status, "red")
        why = f"{result.why}\nClears it: {result.clears}." if result.clears else result.why
        table.add_row(result.gate, result.title, f"[{colour}]{result.status}[/]", why.replace("[", r"\["))
    print_table(table)
    red = [result.gate for result in report.results if not result.green and (not only or result.gate in only)]
    if not only:
        typer.echo(f"Not green: {', '.join(red)}." if red else report.headline)
        return
    verdict = f"Not green: {', '.join(red)}." if red else "What was asked for is green."
    others = len(report.results) - sum(result.gate in only for result in report.results)
    typer.echo(f"{verdict} Not run: the {others} other gates, without which the model shows no cards.")
