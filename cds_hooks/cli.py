"""The command line: `cds-hooks`. Only the module of the command that was typed is loaded."""

import sys
from importlib import import_module
from importlib.metadata import version as installed_version
from typing import Annotated

import typer
from pydantic import ValidationError

from models_onnx.errors import ArtifactRefused

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

# The command → its module in cds_hooks/commands and the function or typer app there, in the order of --help.
COMMANDS = {
    "run": ("serve", "run"),
    "serve": ("serve", "serve"),
    "call": ("call", "call"),
    "services": ("services", "services"),
    "samples": ("samples", "app"),
    "decisions": ("decisions", "app"),
    "model": ("model", "app"),
    "data": ("data", "app"),
    "equation": ("equation", "app"),
    "medications": ("medications", "app"),
    "rules": ("rules", "app"),
    "check": ("check", "check"),
    "check-file": ("check", "check_files"),
    "fhir-server": ("fhir_server", "serve_fhir"),
    "prefetch": ("prefetch", "app"),
    "trust": ("trust", "app"),
    "build-sheet": ("build_sheet", "build_sheet"),
    "reference": ("reference", "app"),
}


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"cds-hooks {installed_version('cds-hooks-onnx')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """A CDS Hooks server with explained risk models and order checks."""


def _add(name: str) -> None:
    module, attribute = COMMANDS[name]
    command = getattr(import_module(f"cds_hooks.commands.{module}"), attribute)
    if isinstance(command, typer.Typer):
        app.add_typer(command, name=name)
    else:
        app.command(name)(command)


def main() -> None:
    """Runs the command line; a setting that makes no sense is said in a sentence and ends with exit code 2, a model
    that was changed or is not trusted with exit code 1."""
    try:
        for name in sys.argv[1:2] if sys.argv[1:2] and sys.argv[1] in COMMANDS else COMMANDS:
            _add(name)
        app()
    except ValidationError as error:
        for fault in error.errors():
            name = "CDS_" + "_".join(str(part) for part in fault["loc"]).upper() + ": " if fault["loc"] else ""
            typer.echo(f"{name}{fault['msg'].removeprefix('Value error, ')}", err=True)
        sys.exit(2)
    except ArtifactRefused as error:
        # Services load their models when they are found, so any command that needs them stops here.
        typer.echo(f"A model of a service cannot be used, so nothing is served: {error}", err=True)
        sys.exit(1)
