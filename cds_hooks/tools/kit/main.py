"""The command line of the distribution `cds-hooks-kit`: the commands that need no server, under their usual names."""

from importlib.metadata import version
from typing import Annotated

import typer

from cds_hooks.tools.kit.commands.call import call
from cds_hooks.tools.kit.commands.check import check
from cds_hooks.tools.kit.commands.client_token import token
from cds_hooks.tools.kit.commands.fhir_server import serve_fhir
from cds_hooks.tools.kit.commands.plain_group import PlainGroup

app = typer.Typer(
    cls=PlainGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.command("check")(check)
app.command("call")(call)
app.command("fhir-server")(serve_fhir)
app.command("token")(token)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"cds-hooks-kit {version('cds-hooks-kit')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Test a CDS Hooks server from outside, and call it as clinical software does."""


def main() -> None:
    """Run the command line."""
    app()
