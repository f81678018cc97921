"""`cds-hooks model gates`: runs the gates that a model must pass before it is served."""

import ast
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from time import thread_time
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.table import Table

from cards.card import CardIdentity
from cards.compose.model import ModelCardContent, model_card
from cds_hooks.commands.model.console import Data, Folder, Specs, moment, own_specs, problems, progress_bars, today
from cds_hooks.commands.model.train import signer
from cds_hooks.commands.options import AsJson, failure, print_json
from cds_hooks.commands.record import site_approvals
from cds_hooks.governance.acts import waiver_subject
from cds_hooks.kit.tables import print_table
from cds_hooks.services._declared import card_words
from cds_hooks.services._service_file import ServiceFile, service_files
from cds_hooks.settings import settings
from cds_hooks.trusted_models import AbsentModel, own_keys
from fhir.mapping.features.catalog import features_named
from fhir.mapping.features.feature import Feature, FeatureValue, FeatureVector, Missing
from fhir.mapping.features.patient import Sex
from models_onnx.artifact.keys import Keys
from models_onnx.artifact.release_file import DRAFT, read_release
from models_onnx.declarations import DeclaringFile, declaring_files
from models_onnx.errors import SignatureRefused
from models_onnx.serving.registry import ARTIFACTS, find_version
from models_onnx.serving.runtime import Model, Prediction
from models_onnx.workbench.gates.subject import ComposedCard, Evidence, Subject

_COLOURS = {"passed": "green", "waived": "yellow"}


def gates(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The model's id, or id@version.")],
    data: Data = None,
    folder: Folder = ARTIFACTS,
    specs: Specs = None,
    only: Annotated[list[str] | None, typer.Option(help="Run only this gate, for example G9; may be repeated.")] = None,
    record: Annotated[
        bool, typer.Option("--record", help="Make the report part of the signed release; without red, it is validated.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run the gates G1 to G18 on a model and say of each whether it is green, and why. What did not run is red.

    Exit codes: 0 every gate that was asked for is green, 1 one is not, 2 there is no such model.

    Example: cds-hooks model gates mortality_5y --only G14
    """
    with problems():
        from models_onnx.workbench.gates.evidence import gather
        from models_onnx.workbench.gates.run import GATES, encode, run_gates
        from models_onnx.workbench.gates.subject import read_subject
        from models_onnx.workbench.release.publishing import record_gates
        from models_onnx.workbench.training.commands import changed_declaration

        wanted = frozenset(gate.upper() for gate in only or ())
        if unknown := sorted(wanted - {gate.id for gate in GATES}):
            raise failure(f"no gate is called {', '.join(unknown)}; the gates are G1 to G18", 2)
        keys, specs = own_keys(settings()), own_specs(specs, folder, name)
        subject = read_subject(find_version(name, folder).folder, keys)
        with progress_bars(as_json) as progress:
            evidence = gather(
                subject,
                keys,
                site_evidence(subject, subject.folder.parent),
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
            release = record_gates(subject.folder, encode(report), report.summary, moment(), signer())
            typer.echo(f"Recorded: {release.id} {release.version} is {release.state}.", err=True)
    if as_json:
        print_json({"green": report.green, "report": report})
    else:
        _show(report, wanted)
    asked_for = [result for result in report.results if not wanted or result.gate in wanted]
    raise typer.Exit(0 if all(result.green for result in asked_for) else 1)


def _is_in_use(subject: Subject, keys: Keys) -> bool:
    """Return whether this version has passed its gates, so that it may be showing cards."""
    try:
        return read_release(subject.folder, keys).state != DRAFT
    except SignatureRefused:
        return False


def site_evidence(subject: Subject, folder: Path) -> Evidence:
    """Return what only the site knows: the day, the words of the service that shows the model, and its approvals.

    `folder` may have that service, as a file.
    """
    service = own_service(subject.id, folder)
    return Evidence(
        as_of=today(),
        timer=thread_time,
        cards=composer(subject, service),
        sentences=service_sentences(subject.id) if service is None else service[0].lines(service[1].path),
        waiver_fault=partial(_waiver_fault, subject),
    )


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


Array = NDArray[np.float64]


def own_service(model_id: str, folder: Path) -> tuple[ServiceFile, DeclaringFile] | None:
    """Return the site's own service that shows this model: in this folder, or in CDS_MODELS_FOLDER; else None."""
    site_folder = settings().models_folder
    folders = [folder, *([site_folder] if site_folder is not None else [])]
    services = (service_file for folder in folders if folder.is_dir() for service_file in service_files(folder))
    return next((service for service in services if service[0].model == model_id), None)


def composer(
    subject: Subject, site_service: tuple[ServiceFile, DeclaringFile] | None
) -> Callable[[Array], Sequence[ComposedCard]] | None:
    """Cards in the words of the service that shows this model; None where no service does."""
    if subject.manifest is None:
        return None
    if site_service is not None:
        planned = card_words(site_service[0], {"resourceType": "ServiceRequest"})
    elif (file := _showing(subject.id)) is not None:
        planned = vars(file.load())["CARD"]
    else:
        return None
    manifest = subject.manifest

    def compose(rows: Array) -> list[ComposedCard]:
        from models_onnx.artifact.folder import Artifact

        model = Model(Artifact(manifest, subject.content))
        return [composed_card(model, row, planned) for row in rows]

    return compose


def _showing(model_id: str) -> DeclaringFile | None:
    """Return the service that holds this model in its module, as its own or as a twin; None where none does."""
    for file in declaring_files("cds_hooks.services"):
        members = vars(file.load())
        models = [value for value in members.values() if isinstance(value, Model)]
        model_ids = {model.manifest.id for model in models if not isinstance(model, AbsentModel)}
        if model_id in model_ids and isinstance(members.get("CARD"), ModelCardContent):
            return file
    return None


def service_sentences(model_id: str) -> list[tuple[str, str]] | None:
    """Every text of the service that shows the model, with the line where it stands; None where no service shows it.

    Read from the source of its module, so that no label, remark, silence or order is left out, whatever a call makes of
    them. Documentation strings are no words for a clinician.
    """
    file = _showing(model_id)
    if file is None:
        return None
    tree = ast.parse(file.path.read_text(encoding="utf-8"))
    documented = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        (f"{file.shown}, line {node.lineno}", text)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant | ast.JoinedStr) and id(node) not in documented
        for text in _texts(node)
        if " " in text.strip()
    ]


def _texts(node: ast.AST) -> Iterator[str]:
    """Yield the texts of an expression; what a formatted text fills in is left as an ellipsis."""
    if isinstance(node, ast.JoinedStr):
        parts = [str(value.value) if isinstance(value, ast.Constant) else "…" for value in node.values]
        yield "".join(parts)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value


def composed_card(model: Model, row: Array, planned: ModelCardContent) -> ComposedCard:
    """Return the card of a row of a table, as if it had been read from a chart."""
    prediction: Prediction = model.predict(row)
    vector = _vector(features_named(model.features), row)
    card = model_card(
        model.manifest,
        prediction,
        vector,
        planned,
        CardIdentity("card", str, "https://cds.example/explain/1", "https://cds.example/m"),
    )
    return ComposedCard(
        summary=card.summary,
        detail=card.detail or "",
        indicator=card.indicator,
        options=tuple(suggestion.label for suggestion in card.suggestions or ()),
        links=tuple(link.url for link in card.links or ()),
        missing=tuple(gap.feature.words for gap in vector.missing),
        margin=prediction.margin,
        base=prediction.base,
        contributions=tuple(prediction.contributions.tolist()),
    )


def _vector(features: tuple[Feature, ...], row: Array) -> FeatureVector:
    """Return the row as if it had been read from a chart: every value dated and with a source."""
    evidence: list[FeatureValue | None] = []
    missing = []
    for feature, value in zip(features, row.tolist(), strict=True):
        if np.isnan(value):
            evidence.append(None)
            missing.append(Missing(feature, "absent", "not recorded"))
        else:
            charted = round(value, 1)
            unit = ("male" if value else "female") if isinstance(feature, Sex) else feature.unit
            evidence.append(FeatureValue(feature, value, "2026-11-01", "Observation/1", "", charted, unit))
    return FeatureVector(features, row, evidence, missing)
