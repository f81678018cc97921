"""`cds-hooks model new`: the files of a model to complete."""

from pathlib import Path
from typing import Annotated

import typer

from cds_hooks.commands.model_console import problems
from cds_hooks.commands.model_options import AsJson
from cds_hooks.commands.model_tables import print_json


def register(app: typer.Typer) -> None:
    """Adds the command of this module."""
    app.command()(new)


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The id of the new model, like readmission_30d.")],
    folder: Annotated[Path, typer.Option(help="Where the files are written.")] = Path("models"),
    as_json: AsJson = False,
) -> None:
    """Write the files of a new model: declaration, words of its card, cases, page. Complete them by the guide.

    Guide: docs/models/README.md, "Add a model". Exit codes: 0 written, 2 the name cannot be used or a file is there.

    Example: cds-hooks model new falls_1y --folder models
    """
    with problems():
        from models_onnx.training.template import write_template

        written = write_template(name, folder)
    if as_json:
        print_json({"files": [str(path) for path in written.files]})
        return
    for path in written.files:
        typer.echo(f"{path}")
    typer.echo(f"Next: complete {folder / name}.py, then cds-hooks model train {name} --specs {folder} --data TABLES")
