"""`cds-hooks model train`, `import` and `sign`. What trains is imported inside the commands."""

from pathlib import Path
from typing import Annotated

import typer

from cds_hooks.call.trusted_models import SIGNING_KEY
from cds_hooks.settings import settings
from cds_hooks.tools.commands.model.console import (
    Data,
    Folder,
    Name,
    Out,
    Replicates,
    Seed,
    Specs,
    own_specs,
    problems,
)
from cds_hooks.tools.commands.options import AsJson, print_json, progress_bars
from models_onnx.artifact.folder import read_manifest
from models_onnx.artifact.keys import Signer, local_signer, maintainers, public_file
from models_onnx.errors import CardIncomplete
from models_onnx.serving.registry import ARTIFACTS, find_version
from models_onnx.spec import REPLICATES, SEED


def train(
    name: Name,
    data: Data = None,
    out: Out = ARTIFACTS,
    seed: Seed = SEED,
    replicates: Replicates = REPLICATES,
    table: Annotated[
        Path | None, typer.Option(help="Train the next version on this table of data --followed, in --out.")
    ] = None,
    version: Annotated[str | None, typer.Option(help="With --table: its number; else the next minor one.")] = None,
    specs: Specs = None,
    as_json: AsJson = False,
) -> None:
    """Train a model of this package from its table, prove and evaluate the file, write the artifact.

    With --table it is trained again on what happened after this site's own estimates, as a new version beside the
    others; it changes nothing until it is released. Of a model of your own intercept and slope are fitted.

    Exit codes: 0 written, 2 the name, the data or the options cannot be used.

    Example: cds-hooks model train mortality_5y --out trained

    Example: cds-hooks model train readmission_30d --table tables/readmission_30d.csv --out own
    """
    with problems():
        from models_onnx.workbench.training import commands
        from models_onnx.workbench.training.renewing import renew

        specs, tables = own_specs(specs, out, name), data or settings().data_dir
        with progress_bars(as_json) as progress:
            if table is not None:
                specs, data = specs or out, table.parent
                trained = renew(name, table, version, out, specs, seed, replicates, progress)
            else:
                trained = commands.train_model(name, tables, out, seed, replicates, progress, specs)
        publish_trained(trained, specs, data, as_json)


def sign(name: Name, folder: Folder = ARTIFACTS, specs: Specs = None) -> None:
    """Publish an artifact again: card from its manifest and words, hashes, signature by the local key. A new draft.

    Example: cds-hooks model sign mortality_5y --folder models
    """
    with problems():
        publish_version(find_version(name, folder).folder, own_specs(specs, folder, name))


def publish_trained(trained: Path, specs: Path | None, data: Path | None, as_json: bool) -> None:
    """Show the figures of what was trained into this folder, and sign it."""
    from models_onnx.workbench.release.card import fairness_in_words, validity_in_words

    manifest = read_manifest(trained)
    if as_json:
        print_json(manifest)
    else:
        evaluation = manifest.evaluation
        typer.echo(f"{manifest.title}\n{validity_in_words(evaluation)}\n{fairness_in_words(evaluation)}")
    typer.echo(f"Written: {trained}", err=True)
    publish_version(trained, specs, data)


def publish_version(folder: Path, specs: Path | None = None, data: Path | None = None) -> None:
    """Put the card into a model trained here and sign it; say by which key and what follows from it.

    `specs` is the folder of declarations outside the package, in which the words of its card stand; `data` the folder
    of the table where the command named one.
    """
    from models_onnx.workbench.release.card import card_words
    from models_onnx.workbench.release.publishing import publish

    signing = signer()
    release = publish(folder, signing, card_words(folder.name, specs))
    if folder.name != release.id:
        typer.echo(
            f"Other versions stay as they are. This one can be tried and released as {folder.name} "
            "(cds-hooks release shadow|canary|active model); a server loads it when it starts again.",
            err=True,
        )
    typer.echo(f"Published: {release.id} {release.version}, digest {release.digest[:16]}, state draft.", err=True)
    if signing.public.id not in maintainers():
        typer.echo(
            f"Signed by your own key {signing.public.id}. A server takes it where CDS_MODEL_KEYS names "
            f"{public_file(SIGNING_KEY)}.",
            err=True,
        )
    paths = {"--folder": None if folder.parent == ARTIFACTS else folder.parent, "--specs": specs, "--data": data}
    options = "".join(f" {option} {path}" for option, path in paths.items() if path is not None)
    typer.echo(f"Next: cds-hooks model gates {folder.name}{options} --record", err=True)


def signer() -> Signer:
    """Return the key that signs releases made here. It is created at the first use, and a line says so."""
    site_key, is_new = local_signer(SIGNING_KEY, "trained here")
    if is_new:
        typer.echo(f"Made a signing key: {SIGNING_KEY}. Keep it, and keep it out of every repository.", err=True)
    return site_key


def import_(
    declaration: Annotated[
        Path,
        typer.Argument(metavar="DECLARATION", help="The file NAME.model.toml."),
    ],
    data: Data = None,
    out: Out = ARTIFACTS,
    seed: Seed = SEED,
    replicates: Replicates = REPLICATES,
    as_json: AsJson = False,
) -> None:
    """Take in a model that was fitted elsewhere; nothing is fitted, and a pickle is never read.

    Its declaration (docs/adding/model.md) names it: an ONNX file, a LightGBM text or XGBoost JSON file, or a folder
    that MLflow has logged. It is compiled exactly and evaluated on the table's rows, people whom it was not trained on.
    While texts of the declaration or of the card are still to be written it is a draft that is not signed, whose card
    the development profile shows.

    Exit codes: 0 taken in and signed, 1 a draft, 2 the file, the declaration or the table cannot be used.

    Example: cds-hooks model import mine/falls_1y.model.toml --data tables --folder own
    """
    with problems():
        from models_onnx.workbench.training.renewing import adopt

        with progress_bars(as_json) as progress:
            trained = adopt(declaration, data or settings().data_dir, out, seed, replicates, progress)
        try:
            publish_trained(trained, declaration.parent, data, as_json)
        except CardIncomplete as unwritten:
            typer.echo(
                f"A draft, not signed: {unwritten}.\nUntil then the development profile shows its card, marked as a "
                f"preview: CDS_MODELS_FOLDER={out} cds-hooks serve",
                err=True,
            )
            raise typer.Exit(1) from unwritten
