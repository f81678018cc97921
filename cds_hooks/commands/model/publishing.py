"""`cds-hooks model sign`, and what a command says that has made a version: signed as a draft, and what next."""

from pathlib import Path
from typing import Any

import typer

from cds_hooks.commands.model.console import Folder, Name, Specs, own_specs, print_markdown, problems
from cds_hooks.commands.options import print_json
from cds_hooks.settings import settings
from cds_hooks.trusted_models import signing_key
from models_onnx.artifact.keys import Signer, local_signer, maintainers, public_file
from models_onnx.serving.registry import ARTIFACTS, find_version


def sign(name: Name, folder: Folder = ARTIFACTS, specs: Specs = None) -> None:
    """Publish an artifact again: card from its manifest and words, hashes, signature by the local key. A new draft.

    Example: cds-hooks model sign mortality_5y --folder models
    """
    with problems():
        publish_version(find_version(name, folder).folder, own_specs(specs, folder, name))


def publish_trained(trained: Any, specs: Path | None, data: Path | None, as_json: bool) -> None:
    """Show the figures of what was trained, and sign it; where a floor failed, say which, and end with code 1."""
    from models_onnx.workbench.release.documentation import failed_floors, model_page
    from models_onnx.workbench.training.data.leaks import CLEARED

    if as_json:
        print_json(trained.manifest)
    else:
        print_markdown(model_page(trained.manifest, folder=None))
    if trained.folder is None:
        floors = failed_floors(trained.manifest)
        typer.echo(f"Nothing was written, because a floor of the declaration does not hold: {floors}.", err=True)
        for sentence in trained.leaks:
            typer.echo(f"This is a leak: {sentence}; {CLEARED}.", err=True)
        raise typer.Exit(1)
    typer.echo(f"Written: {trained.folder}", err=True)
    publish_version(trained.folder, specs, data)


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
            "(cds-hooks release set shadow|canary|active model); a server loads it when it starts again.",
            err=True,
        )
    typer.echo(f"Published: {release.id} {release.version}, digest {release.digest[:16]}, state draft.", err=True)
    if signing.public.id not in maintainers():
        typer.echo(
            f"Signed by your own key {signing.public.id}. A server takes it where CDS_MODEL_KEYS names "
            f"{public_file(signing_key(settings()))}.",
            err=True,
        )
    paths = {"--folder": None if folder.parent == ARTIFACTS else folder.parent, "--specs": specs, "--data": data}
    options = "".join(f" {option} {path}" for option, path in paths.items() if path is not None)
    typer.echo(f"Next: cds-hooks model gates {folder.name}{options} --record", err=True)


def signer() -> Signer:
    """Return the key that signs releases made here. It is created at the first use, and a line says so."""
    path = signing_key(settings())
    site_key, is_new = local_signer(path, "trained here")
    if is_new:
        typer.echo(f"Made a signing key: {path}. Keep it; it belongs into no repository.", err=True)
    return site_key
