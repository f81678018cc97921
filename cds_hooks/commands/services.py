"""`cds-hooks services`: what this installation offers."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from cds_hooks.commands.options import print_json
from cds_hooks.commands.sentences import failure
from cds_hooks.protocol.hooks import WrongDeclaration
from cds_hooks.services import services_for
from cds_hooks.settings import settings


def services(as_json: Annotated[bool, typer.Option("--json", help="Print discovery as JSON.")] = False) -> None:
    """List the services, their hooks and what they prefetch.

    Example: cds-hooks services --json
    """
    try:
        services = services_for(settings())
    except WrongDeclaration as error:
        raise failure(str(error), 2) from error
    entries = [entry for service in services.values() for entry in service.discovery()]
    if as_json:
        print_json({"services": entries})
        return
    table = Table("id", "hook", "title", "prefetch keys", title="CDS services")
    for entry in entries:
        table.add_row(entry["id"], entry["hook"], entry["title"], ", ".join(entry["prefetch"]))
    Console().print(table)
