"""`cds-hooks settings`: every setting that is in force, and where it comes from."""

from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import SecretStr
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from cds_hooks.evidence.storage.database import shown_url
from cds_hooks.settings import SETTINGS, Settings, settings
from cds_hooks.settings.checks import KEY_FILES
from cds_hooks.tools.commands.options import AsJson, Client, Database, Service, print_json
from cds_hooks.tools.kit.tables import print_table


def show_settings(
    as_json: AsJson = False,
    changed: Annotated[bool, typer.Option("--changed", help="Only those that the environment sets.")] = False,
    services: Annotated[
        bool, typer.Option("--services", help="The services, their hooks and what they prefetch, in place of settings.")
    ] = False,
    prefetch_rates: Annotated[
        bool, typer.Option("--prefetch-rates", help="How often each key was sent, fetched or missing, from the record.")
    ] = False,
    days: Annotated[int, typer.Option(min=1, max=3650, help="With --prefetch-rates: of so many days.")] = 30,
    client: Client = None,
    service: Service = None,
    database: Database = None,
) -> None:
    """Print what is in force here: every setting and where it comes from, or with --services what is offered.

    Secrets and passwords are hidden. A CDS_ variable that is no setting is named in a warning. Exit code 2 where a
    value makes no sense. The services are those that a client of CDS_DIALECT gets; with --prefetch-rates: what clients
    really send of each prefetch key.

    Example: cds-hooks settings --changed
    """
    from cds_hooks.call.dialects import profile_for

    if services or prefetch_rates:
        from cds_hooks.tools.commands.services import print_services  # the rules and models take a second to load

        print_services(
            prefetch_rates=prefetch_rates, days=days, client=client, service=service, database=database, as_json=as_json
        )
        return
    profile_for("", settings().dialect)  # UnknownDialect names those that there are
    rows = [row for row in settings_in_force(settings()) if row["from"] == "environment" or not changed]
    if as_json:
        print_json(rows)
        return
    table = Table("setting", "value", "from", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for row in rows:
        value = "not set" if row["value"] is None else str(row["value"])
        table.add_row(row["name"], Text(value), row["from"])
    if rows:
        print_table(table, Console(highlight=False))
    else:
        typer.echo("The environment sets nothing; every setting has its default.")


def settings_in_force(configured: Settings) -> list[dict[str, Any]]:
    """Name, value and origin (`environment` or `default`) of each setting."""
    return [
        {
            "name": f"CDS_{name.upper()}",
            "value": _shown(name, getattr(configured, name)),
            "from": "environment" if name in configured.model_fields_set else "default",
        }
        for name in SETTINGS
    ]


def _shown(name: str, value: object) -> object:
    if isinstance(value, SecretStr):
        return "(hidden)"
    if name == "database_url":
        return _without_password(str(value))
    if name == "seal_command" and value is not None:
        return "(hidden: it may name a secret)"
    if name in KEY_FILES and value != Settings.model_fields[name].default and not Path(str(value)).is_file():
        return "(hidden: there is no such file, so it may be a secret)"
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _without_password(url: str) -> str:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return "(hidden: this is not an SQLAlchemy URL)"
    return shown_url(parsed)
