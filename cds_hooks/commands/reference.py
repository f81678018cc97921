"""`cds-hooks reference`: the parts of the documentation that are made from declarations."""

from pathlib import Path

import typer

from cds_hooks.settings import Settings
from fhir.mapping.features.catalog import FEATURES, data_dictionary

app = typer.Typer(no_args_is_help=True, help="Print the pages of docs/ that are made from declarations.")


@app.command()
def features() -> None:
    """Print docs/features.md.

    Example: cds-hooks reference features
    """
    typer.echo(features_page(), nl=False)


@app.command("settings")
def settings_command() -> None:
    """Print docs/settings.md.

    Example: cds-hooks reference settings
    """
    typer.echo(settings_page(), nl=False)


def features_page() -> str:
    """The data dictionary of all features, as Markdown."""
    return (
        "# Features\n\nMade by `cds-hooks reference features` from `fhir/mapping/features/catalog.py`; a test compares."
        " A declaration gives the training column, the value at the bedside, and the prefetch template. The "
        "newest usable value within the window counts.\n\n" + data_dictionary(FEATURES.values())
    )


def settings_page() -> str:
    """All settings with their defaults, as Markdown."""
    rows = [
        f"| `CDS_{name.upper()}` | {_default(field.default)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return (
        "# Settings\n\nMade by `cds-hooks reference settings` from `cds_hooks/settings.py`; a test compares. Every "
        "setting is an environment variable.\n\n| variable | default | what it does |\n|---|---|---|\n"
        + "\n".join(rows)
        + "\n"
    )


def _default(value: object) -> str:
    if isinstance(value, Path):
        return f"`../shared/{value.name}`" if value.is_absolute() else f"`{value}`"
    return "not set" if value is None else f"`{value}`"
