"""`cds-hooks genes`: imports a release of the pharmacogenetic tables and prints what changes."""

from difflib import unified_diff
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from cards.rules.families.genes.importing import import_release
from models_onnx.artifact.files import write_whole

app = typer.Typer(no_args_is_help=True, help="Update what is known of genes and medications.")


@app.callback()
def _root() -> None:
    """Update what is known of genes and medications."""


@app.command("import")
def import_(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="The CSV files of one release.")],
    version: Annotated[str, typer.Option(help="Date of CPIC's data, YYYY-MM-DD: it is the source of every row.")],
    write: Annotated[bool, typer.Option("--write", help="Replace the files in cards/rules/families/genes.")] = False,
) -> None:
    """Read a release of the recommendations and print what changes in the family's files, and what is left out.

    Nothing is written without --write. Exit code 1 where a file or a column of the release is missing.

    Example: cds-hooks genes import pgx --version 2026-08-13
    """
    try:
        found, left_out = import_release(folder, version)
    except (OSError, KeyError) as error:
        what = f"the column {error}" if isinstance(error, KeyError) else str(error.filename or error)
        typer.echo(f"{folder.name} is not a whole release of the tables: {what} is missing.", err=True)
        raise typer.Exit(1) from error
    target = Path(str(files("cards.rules.families.genes")))
    for name, text in found.items():
        path = target / name
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        changes = unified_diff(
            before.splitlines(), text.splitlines(), f"{name} now", f"{name} {version}", "", "", 0, ""
        )
        for line in changes:
            typer.echo(line)
        if write:
            write_whole(path, text)
    for each in left_out:
        typer.echo(f"Left out: {each}.", err=True)
