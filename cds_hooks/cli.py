"""The command line: `cds-hooks`."""

import sys

import typer
from pydantic import ValidationError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A CDS Hooks server with explained risk models and order checks.",
)


def _commands() -> None:
    from cds_hooks.commands import (
        build_sheet,
        call,
        check,
        decisions,
        fhir_server,
        model,
        prefetch,
        reference,
        samples,
        serve,
        services,
        trust,
    )

    app.command()(serve.run)
    app.command()(serve.serve)
    app.command()(call.call)
    app.command()(services.services)
    app.command("fhir-server")(fhir_server.serve_fhir)
    app.add_typer(prefetch.app, name="prefetch")
    app.command()(check.check)
    app.command("check-file")(check.check_files)
    app.command()(build_sheet.build_sheet)
    app.add_typer(samples.app, name="samples")
    app.add_typer(decisions.app, name="decisions")
    app.add_typer(model.app, name="model")
    app.add_typer(reference.app, name="reference")
    app.add_typer(trust.app, name="trust")


def main() -> None:
    """Runs the command line; a setting that makes no sense is said in a sentence and ends with exit code 2."""
    try:
        _commands()
        app()
    except ValidationError as error:
        for fault in error.errors():
            name = "CDS_" + "_".join(str(part) for part in fault["loc"]).upper()
            typer.echo(f"{name}: {fault['msg']}", err=True)
        sys.exit(2)
