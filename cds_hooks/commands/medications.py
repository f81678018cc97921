"""`cds-hooks medications`: how many medications of real charts are recognised."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from cds_hooks.settings import settings
from fhir.mapping.medication_coverage import Coverage, medication_coverage

app = typer.Typer(no_args_is_help=True, help="What is known of medications.")
_SHOWN = 5


@app.callback()
def _root() -> None:
    """What is known of medications."""


@app.command()
def coverage(
    data: Annotated[Path | None, typer.Option(help="Folder of other people's data; else CDS_DATA_DIR.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Count the medications of the charts in the data folder that are recognised, and name those that are not.

    Exit code 2 where there are no charts.

    Example: cds-hooks medications coverage
    """
    folder = data or settings().data_dir
    found = medication_coverage(folder)
    if not found:
        typer.echo(f"there are no charts in {folder / 'fhir'}; give a folder with --data or CDS_DATA_DIR", err=True)
        raise typer.Exit(2)
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(found)))
    else:
        Console().print(_table(found))


def _table(found: tuple[Coverage, ...]) -> Table:
    table = Table(
        "source", "records", "recognised", "names", "not recognised, most frequent first", title="Medications"
    )
    for each in found:
        missed = ", ".join(name or "(no name)" for name, _ in each.unrecognised[:_SHOWN])
        names = f"{each.names_recognised:,} of {each.names:,}"
        table.add_row(each.source, f"{each.records:,}", f"{each.recognised:,} ({each.share:.1%})", names, missed)
    return table
