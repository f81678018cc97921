"""The command line: `cds-hooks`. Only the module of the command that was typed is imported."""

import atexit
import gc
import os
import sys
from typing import Annotated

import typer

from cds_hooks.tools.commands.lazy import Lazy, lazy_group

COMMANDS = {
    "serve": Lazy("serve", "serve"),
    "call": Lazy("cds_hooks.tools.kit.commands.call", "call"),
    "replay": Lazy("replay", "replay"),
    "release": Lazy("release", "release"),
    "record": Lazy("record", "app"),
    "model": Lazy("model.main", "app"),
    "score": Lazy("score", "score"),
    "outcomes": Lazy("outcomes", "outcomes"),
    "monitor": Lazy("monitor", "monitor"),
    "data": Lazy("data", "data"),
    "rules": Lazy("rules", "app"),
    "knowledge": Lazy("knowledge", "app"),
    "check": Lazy("cds_hooks.tools.kit.commands.check", "check"),
    "accounts": Lazy("accounts", "accounts"),
    "trust": Lazy("trust", "trust"),
    "understand": Lazy("understand", "understand_resources"),
    "text": Lazy("cds_hooks.add_ons.text.commands", "text"),
    "terminology": Lazy("terminology", "app"),
    "settings": Lazy("settings", "show_settings"),
}

app = typer.Typer(
    cls=lazy_group(COMMANDS),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # The list of commands is plain text: drawing it with rich would double the time until it is there.
    rich_markup_mode=None,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version as installed_version

        typer.echo(f"cds-hooks {installed_version('cds-hooks-onnx')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Run a CDS Hooks server with explained risk models and order checks."""


def _leave_garbage() -> None:
    """Skip the garbage collections at the end of a process, which find nothing of use: 0.15 s after a large report.

    Only DuckDB counts what is left of it then, and complains on forty lines.
    """
    if "duckdb" not in sys.modules:
        gc.freeze()


def main() -> None:
    """Run the command line.

    A setting that makes no sense is reported in a sentence and ends with exit code 2. An error whose class says
    `what_cannot_be_used` ends with its `exit_code`, else 1, as does a file that is not there or has another form.
    """
    atexit.register(_leave_garbage)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started the program (`>&-`)
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - open as long as the program
    _warn_of_settings()
    try:
        _use_country()
        _use_site_rules()
        _use_packages()
        _use_terminology()
        app()
    except Exception as error:
        # imported here: a command that works needs no pydantic for it
        from pydantic import ValidationError

        from cds_hooks.settings.checks import words_of

        if isinstance(error, ValidationError):
            for fault in error.errors():
                name = "CDS_" + "_".join(str(part) for part in fault["loc"]).upper() + ": " if fault["loc"] else ""
                typer.echo(f"{name}{words_of(fault, with_value=True)}", err=True)
            sys.exit(2)
        what = getattr(error, "what_cannot_be_used", None)
        sentence = f"{what} cannot be used: {error}" if what is not None else _about_a_file(error)
        if sentence is None:
            raise
        typer.echo(sentence, err=True)
        sys.exit(getattr(error, "exit_code", 1))


def _warn_of_settings() -> None:
    """Names each CDS_ variable that is no setting, on standard error; the command runs all the same."""
    if not any(name.upper().startswith("CDS_") for name in os.environ):
        return
    # imported here: pydantic and the settings take 0.1 s, and `--help` needs neither
    from cds_hooks.settings import SETTINGS
    from cds_hooks.settings.checks import ignored_settings

    for sentence in ignored_settings(os.environ, SETTINGS):
        typer.echo(f"Warning: {sentence}", err=True)


def _use_country() -> None:
    """Names the country for every command, before a table is read."""
    if "CDS_COUNTRY" not in os.environ:
        return
    from cds_hooks.settings import settings
    from fhir.terminology.country import use_country

    use_country(settings().country)


def _use_site_rules() -> None:
    """Names the folder of the hospital's rules for every command, before a rule is read."""
    if "CDS_SITE_RULES" not in os.environ:
        return
    from cds_hooks.settings import settings
    from cds_hooks.settings.packages import use_rules_of_site

    use_rules_of_site(settings().site_rules)


def _use_packages() -> None:
    """Names the packages from outside for every command, before a service is found."""
    if "CDS_PACKAGES" not in os.environ:
        return
    from cds_hooks.settings import settings
    from cds_hooks.settings.packages import use_packages

    use_packages(settings().package_names)


def _use_terminology() -> None:
    """Names the index of imported terminologies that is in force for every command, before a chart is read."""
    if "CDS_TERMINOLOGY" not in os.environ:
        return
    from cds_hooks.people.governance.terminology import use_by_acts
    from cds_hooks.settings import settings

    use_by_acts(settings())


def _about_a_file(error: Exception) -> str | None:
    """Return what is wrong with a file that was named, in a sentence; None for an error of another kind."""
    import csv
    import json
    import lzma
    import zlib
    from pathlib import Path

    from msgspec import MsgspecError

    from fhir.terminology.plain_file import unreadable

    if isinstance(error, OSError):
        named = isinstance(error.filename, str) and error.strerror
        return f"{unreadable(Path(error.filename), error) if named else error.strerror or error}."
    content = (UnicodeError, json.JSONDecodeError, csv.Error, lzma.LZMAError, zlib.error, EOFError, MsgspecError)
    # Nested too deeply for json, tomllib or msgspec, or a whole number with more digits than Python's `int` reads.
    too_much = isinstance(error, RecursionError) or "integer string conversion" in str(error)
    if not isinstance(error, content) and not too_much:
        return None
    words = (word.rpartition("=")[2] for word in sys.argv[1:])
    files = " and ".join(word for word in words if Path(word).is_file()) or "A file that this command reads"
    return f"{files} cannot be read as this command needs it ({type(error).__name__}): look at its form and encoding."
