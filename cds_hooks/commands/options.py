"""Options that several commands have, with one name, one meaning and one help text each; what --json prints."""

from datetime import datetime
from typing import Annotated

import msgspec
import orjson
import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Database = Annotated[
    str | None, typer.Option("--database", metavar="URL", help="SQLAlchemy URL of the record; else CDS_DATABASE_URL.")
]
Client = Annotated[str | None, typer.Option(help="Of this client only.")]
Service = Annotated[str | None, typer.Option(help="Of this service only.")]
Since = Annotated[datetime | None, typer.Option(help="Not before this time (UTC).")]
Before = Annotated[datetime | None, typer.Option(help="Before this time (UTC).")]


def print_json(value: object) -> None:
    """Print a value, structs in it, too, as indented JSON."""
    typer.echo(orjson.dumps(value, default=msgspec.to_builtins, option=orjson.OPT_INDENT_2))
