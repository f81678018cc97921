"""`cds-hooks model import`: take in an ONNX file, or an MLflow model, that somebody else trained."""

from pathlib import Path
from typing import Annotated

import typer

from cds_hooks.commands.model_console import problems
from cds_hooks.commands.model_release import signer
from models_onnx.registry import ARTIFACTS


def register(app: typer.Typer) -> None:
    """Adds the command of this module."""
    app.command("import")(import_)


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An ONNX file, or the folder of an MLflow model.")],
    card: Annotated[Path, typer.Option(help="Its model card as JSON (models_onnx/schemas/card.schema.json).")],
    features: Annotated[Path, typer.Option(help="Its feature map as JSON (docs/models/registry.md).")],
    out: Annotated[Path, typer.Option(help="Folder of artifacts; the model gets its own in it.")] = ARTIFACTS,
) -> None:
    """Take in a model trained elsewhere: checked, loaded first in a process of its own, described, signed as a draft.

    It then goes through the same gates as ours. Without exact contributions it is refused for cards, by gate G6.

    Exit codes: 0 taken in, 2 refused: the file is unsafe, the card incomplete or the map does not fit.

    Example: cds-hooks model import readmit.onnx --card card.json --features map.json --out models
    """
    with problems():
        from models_onnx.importing import import_model, read_json

        imported, release = import_model(file, read_json(card), read_json(features), out, signer())
    typer.echo(
        f"Taken in: {imported.id} {imported.version} in {out / imported.id}, digest {release.digest[:16]}, draft."
    )
    if imported.wiring.contributions is None:
        typer.echo("It does not explain itself: not for cards (gate G6).")
    typer.echo(f"Next: cds-hooks model gates {imported.id} --folder {out}")
