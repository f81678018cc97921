"""`cds-hooks samples`: the invented patients that come with the package."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.table import Table

from cds_hooks.commands.options import AsJson
from cds_hooks.kit.samples import list_samples, load_patient
from cds_hooks.settings import settings

app = typer.Typer(no_args_is_help=True, help="Invented sample patients, always as old as their story says.")


@app.command("list")
def list_command(as_json: AsJson = False) -> None:
    """List the sample patients and their stories.

    Example: cds-hooks samples list
    """
    samples = list_samples()
    if as_json:
        typer.echo(orjson.dumps([asdict(sample) for sample in samples], option=orjson.OPT_INDENT_2))
        return
    table = Table("id", "title", "story", title="Sample patients")
    for sample in samples:
        table.add_row(sample.id, sample.title, sample.story)
    Console().print(table)


@app.command()
def show(sample_id: Annotated[str, typer.Argument(metavar="ID", help="A sample's id.")]) -> None:
    """Print a sample patient's Bundle with today's dates.

    Example: cds-hooks samples show healthy-adult
    """
    if sample_id not in {sample.id for sample in list_samples()}:
        typer.echo(f"there is no sample {sample_id}; see: cds-hooks samples list", err=True)
        raise typer.Exit(2)
    bundle = load_patient(sample_id, settings().as_of or datetime.now(UTC))
    typer.echo(orjson.dumps(bundle, option=orjson.OPT_INDENT_2))
