"""`cds-hooks model preview` and `list`: a model before its gates, and the models that a server sees."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import msgspec
import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console, Group
from rich.markdown import Markdown
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from cards.card import CardIdentity, CardText, order_suggestion
from cards.compose.model import model_card
from cds_hooks.call.services._declared import card_words, watermarked
from cds_hooks.call.services._service_file import ServiceFile, service_files
from cds_hooks.call.trusted_models import own_keys
from cds_hooks.people.pages.model_files import Preview
from cds_hooks.settings import settings
from cds_hooks.tools.commands.model.console import problems, progress_bars, wide_console
from cds_hooks.tools.commands.model.gates import site_evidence
from cds_hooks.tools.commands.model.train import signer
from cds_hooks.tools.kit.tables import print_table
from fhir.mapping.features.catalog import features_named
from fhir.mapping.features.feature import Feature, FeatureValue, FeatureVector, Missing
from fhir.mapping.features.patient import Sex
from models_onnx.artifact.files import write_whole
from models_onnx.artifact.folder import MANIFEST, MODEL
from models_onnx.artifact.release_file import PREVIEW
from models_onnx.declarations import DeclaringFile, add_features
from models_onnx.errors import CompileRefused, TrainingRefused
from models_onnx.serving.registry import model_ids
from models_onnx.serving.runtime import Model, Prediction
from models_onnx.spec import SEED, declaring_file, get_spec

_SAMPLES = 200
"""Bootstrap samples of a draft: its figures have an interval, which a release draws from more."""
_SHOWN = 0.9  # of the people of the table, the one whose estimate is higher than that of nine in ten


def preview(
    source: Annotated[
        Path, typer.Argument(metavar="MODEL", help="An ONNX file, LightGBM text, XGBoost JSON, or a folder of MLflow.")
    ],
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="A CSV of people on whom it was not trained.")],
    days: Annotated[float, typer.Option(help="Within how many days the outcome counts.")],
    outcome: Annotated[
        str | None, typer.Option(help="The table's column of 0 and 1; else the only one there is.")
    ] = None,
    words: Annotated[
        str | None, typer.Option(help="The outcome in words, as 'had an unplanned stay within 1 year'.")
    ] = None,
    patient: Annotated[str | None, typer.Option(help="The table's column that names the patient.")] = None,
    inputs: Annotated[
        str | None, typer.Option(help="The file's inputs in its order, where it has no names: A,B,C.")
    ] = None,
    features: Annotated[
        list[str] | None, typer.Option("--as", help="Which feature an input is, INPUT=FEATURE; again for each.")
    ] = None,
    columns: Annotated[
        list[str] | None, typer.Option("--column", help="Where an input stands, INPUT=COLUMN; again for each.")
    ] = None,
    units: Annotated[
        list[str] | None, typer.Option("--unit", help="The unit that file and table have, INPUT=UNIT; again for each.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The id of the model; else that of the file.")] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Where the drafts and the model go; default: CDS_MODELS_FOLDER, else own.")
    ] = None,
    with_gates: Annotated[bool, typer.Option("--gates/--no-gates", help="Run the gates after the card.")] = True,
) -> None:
    """Show the card that a fitted model would make, before its gates; draft its declaration from file and table.

    Writes NAME.model.toml, NAME.card.json and NAME.service.toml where they are not there yet, and uses them where they
    are: edit them and run it again. Everything that does not fit is said at once. The card is not for care: it is
    shown here, on the model's page and, watermarked, to callers of the development profile. `model import` makes it a
    release.

    Exit codes: 0 there is a card, 1 something does not fit, 2 the file or the table cannot be read.

    Example: cds-hooks model preview falls.onnx stays.csv --days 30 --outcome fell
    """
    with problems():
        from models_onnx.workbench.training.drafting import Asked, model_name
        from models_onnx.workbench.training.sources import read_source

        folder = folder or settings().models_folder or Path("own")
        read = read_source(source)
        model_id = name or model_name(source)
        named = tuple(part.strip() for part in (inputs or "").split(",") if part.strip())
        features_of, columns_of, units_of = map(_pairs, (features, columns, units))
        asked = Asked(days, outcome, words, patient, features_of, columns_of, units_of, named)
        drafted = _draft(model_id, read, table, folder, asked)
        if drafted is not None and drafted.problems:
            raise _not_fitting(drafted, folder)
        try:
            model, card, written = _train(model_id, table, folder)
        except CompileRefused:
            if drafted is None or not drafted.groups:
                raise
            with (folder / f"{model_id}.model.toml").open("a", encoding="utf-8") as declared:
                declared.write(drafted.groups)
            model, card, written = _train(model_id, table, folder)
        _show(model, card)
        if with_gates:
            _gates(model_id, table, written)
        where = "" if settings().models_folder == folder else f"CDS_MODELS_FOLDER={folder} "
        is_beside = written.name != model_id
        typer.echo(
            f"On its page{', beside the version in use' if is_beside else ' and in a chart'}: "
            f"{where}cds-hooks serve, then {settings().public_url}/models/{written.name} "
            "(development profile, watermarked).\n"
            f"Next: write what is marked TODO in {folder / model_id}.model.toml and the empty texts of "
            f"{folder / model_id}.card.json, then\n"
            f"  cds-hooks model import {folder / model_id}.model.toml --data {table.parent} --folder {folder}"
        )


def _pairs(given: list[str] | None) -> dict[str, str]:
    pairs = {}
    for text in given or ():
        left, sign, right = text.partition("=")
        if not sign or not left or not right:
            raise TrainingRefused(f"{text!r} must be a pair INPUT=VALUE")
        pairs[left.strip()] = right.strip()
    return pairs


def _draft(model_id: str, read: Any, table: Path, folder: Path, asked: Any) -> Any:
    """Write the drafts that are not there yet; return the draft, None where a declaration is there already."""
    from models_onnx.workbench.release.card import write_words
    from models_onnx.workbench.training.drafting import draft, draft_service, draft_words, read_plain_table

    folder.mkdir(parents=True, exist_ok=True)
    add_features(folder)
    if (there := declaring_file(model_id, folder)) is not None:
        typer.echo(f"{there} is there and is used; delete it to draft it again.", err=True)
        return None
    if model_id in model_ids():
        raise TrainingRefused(f"{model_id} is a model of this package: give yours another id (--name)")
    file = f"{model_id}{read.path.suffix.lower()}"
    made = draft(model_id, read, file, table, read_plain_table(table), asked)
    for sentence in made.taken:
        typer.echo(f"Taken: {sentence}.", err=True)
    if (folder / file).resolve() != read.path.resolve():
        shutil.copyfile(read.path, folder / file)
    if made.problems:
        return made
    if made.features:
        with (folder / "features.toml").open("a", encoding="utf-8") as declared:
            declared.write(made.features)
        add_features(folder)
    (folder / f"{model_id}.model.toml").write_text(made.declaration, encoding="utf-8")
    if not (folder / f"{model_id}.card.json").is_file():
        write_words(folder / f"{model_id}.card.json", draft_words(made))
    if _own_service(model_id, folder) is None:
        text = draft_service(made, get_spec(model_id, folder).title)
        (folder / f"{model_id.replace('_', '-')}.service.toml").write_text(text, encoding="utf-8")
    return made


def _not_fitting(drafted: Any, folder: Path) -> typer.Exit:
    path = folder / f"{drafted.name}.model.draft.toml"
    path.write_text(drafted.declaration, encoding="utf-8")
    typer.echo("These do not fit:" if len(drafted.problems) > 1 else "This does not fit:", err=True)
    for sentence in drafted.problems:
        typer.echo(f"- {sentence}.", err=True)
    typer.echo(
        f"The draft so far is {path}: give the options, or complete it and call it {drafted.name}.model.toml; then run "
        "the same command again.",
        err=True,
    )
    return typer.Exit(1)


def _train(model_id: str, table: Path, folder: Path) -> tuple[Model, Preview, Path]:
    """Compile and evaluate the model as a draft without a signature, with the card of one person.

    Returns the model, that card and the folder of the draft, which lies beside a version that has been gated.
    """
    from models_onnx.workbench.release.publishing import write_artifact
    from models_onnx.workbench.training.data.cohort import build_cohort, read_table
    from models_onnx.workbench.training.pipeline import train

    spec = get_spec(model_id, folder)
    read = read_table(spec, table.parent if spec.table == table.name else Path())
    with progress_bars(quiet=False) as progress:
        trained = train(spec, read, SEED, _SAMPLES, progress)
    written = write_artifact(folder / model_id, trained.manifest, trained.content)
    model = Model(trained)
    X = build_cohort(spec, read.rows).X
    complete = X[~np.isnan(X).any(axis=1)]
    rows = complete if len(complete) else X
    percentiles = np.asarray(model.predict_rows(rows).percentile)
    row = rows[int(np.abs(percentiles - 100 * _SHOWN).argmin())]
    service = _own_service(model_id, folder)
    if service is None:
        raise TrainingRefused(f"no service in {folder} names the model {model_id}: write {model_id}.service.toml")
    declared = service[0]
    (ordered,) = declared.orders
    planned = card_words(declared, order_suggestion(ordered.label, "", {"resourceType": "ServiceRequest"}))
    card = _composed(model, row, watermarked(planned, "One of the people of the table, before the gates of the model"))
    write_whole(written / PREVIEW, msgspec.json.encode(card))
    return model, card, written


def _own_service(model_id: str, folder: Path) -> tuple[ServiceFile, DeclaringFile] | None:
    """Return the site's own service that shows this model: in this folder, or in CDS_MODELS_FOLDER; else None."""
    site_folder = settings().models_folder
    folders = [folder, *([site_folder] if site_folder is not None else [])]
    services = (service_file for folder in folders if folder.is_dir() for service_file in service_files(folder))
    return next((service for service in services if service[0].model == model_id), None)


def _composed(model: Model, row: NDArray[np.float64], planned: CardText) -> Preview:
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
    options = tuple(suggestion.label for suggestion in card.suggestions or ())
    return Preview(card.summary, card.detail or "", options)


def _vector(features: tuple[Feature, ...], row: NDArray[np.float64]) -> FeatureVector:
    """Return the row as if it had been read from a chart: every value dated and with a source."""
    evidence: list[FeatureValue | None] = []
    missing = []
    for feature, value in zip(features, row.tolist(), strict=True):
        if np.isnan(value):
            evidence.append(None)
            missing.append(Missing(feature, "absent", "not recorded"))
        else:
            charted = round(value, 1)
            unit = ("male" if value else "female") if isinstance(feature, Sex) else feature.unit.removeprefix("1")
            evidence.append(FeatureValue(feature, value, "2026-11-01", "Observation/1", "", charted, unit))
    return FeatureVector(features, row, evidence, missing)


def _show(model: Model, card: Preview) -> None:
    manifest = model.manifest
    buttons = Text("   ".join(f"[ {label} ]" for label in card.options))
    Console(width=100).print(Panel(Group(Text(card.summary, "bold"), Text(), Markdown(card.detail), Text(), buttons)))
    overall = manifest.evaluation["all"]
    figures = ", ".join(
        f"{words} {overall[name]['value']:.3f}"
        for name, words in (("auroc", "AUROC"), ("calibration_slope", "slope"), ("observed_expected", "O/E"))
        if overall.get(name, {}).get("value") is not None
    )
    explained = "groups of inputs" if model.groups else "each input"
    typer.echo(f"{manifest.cohort.n:,} people, {manifest.cohort.events:,} events: {figures}. Explained: {explained}.")


def _gates(model_id: str, table: Path, draft: Path) -> None:
    """Run the gates on a copy, signed with the card as far as it is written; the report lies beside the draft."""
    from models_onnx.workbench.gates.evidence import gather
    from models_onnx.workbench.gates.run import encode, run_gates
    from models_onnx.workbench.gates.subject import read_subject
    from models_onnx.workbench.release.card import card_words as words_of_card
    from models_onnx.workbench.release.publishing import GATES, sign_with_card

    signing, folder = signer(), draft.parent
    keys = {**own_keys(settings()), signing.public.id: signing.public}
    with TemporaryDirectory() as made, progress_bars(quiet=False) as progress:
        copy = Path(made) / model_id
        copy.mkdir()
        for file in (MANIFEST, MODEL):
            shutil.copyfile(draft / file, copy / file)
        sign_with_card(copy, signing, words_of_card(model_id, folder))
        subject = read_subject(copy, keys)
        evidence = gather(subject, keys, site_evidence(subject), table.parent, progress, folder)
        report = run_gates(subject, evidence, progress)
    write_whole(draft / GATES, encode(report))
    rows = Table("gate", "what", "why, and what clears it", title=report.headline)
    for result in report.results:
        if not result.green:
            rows.add_row(result.gate, result.title, f"{result.why}\nClears it: {result.clears}.".replace("[", r"\["))
    print_table(rows, wide_console())
