"""`cds-hooks reference`: the parts of the documentation that are made from declarations."""

from pathlib import Path
from typing import Annotated, Any

import typer

from cds_hooks.commands.reference_pages import cli_page, extension_page, hooks_page
from cds_hooks.commands.sentences import failure
from cds_hooks.settings import SETTINGS, Settings
from cds_hooks.settings.constants import Constants
from cds_hooks.settings.removed import REFUSED, REMOVED
from cds_hooks.storage.opening import SQLITE_SCRIPT, sqlite_script
from fhir.mapping.features.catalog import FEATURES, data_dictionary


def reference(
    context: typer.Context,
    page: Annotated[
        str | None, typer.Argument(metavar="PAGE", help="Print this page only: features, settings, cli, hooks, …")
    ] = None,
    docs: Annotated[Path, typer.Option(help="The folder of the documentation.")] = Path("docs"),
) -> None:
    """Write the pages of the documentation that are made from the code, and the schema of a new record.

    Exit code 2 where there is no such PAGE, where the folder is not that of the documentation, or where a file cannot
    be written: the schema is beside the code of this program, in cds_hooks/storage/migrations.

    Example: cds-hooks reference
    """
    pages = made_pages(context.find_root().command)
    if page is not None:
        texts = {Path(name).stem: text for name, text in pages.items()}
        if page not in texts:
            raise failure(f"There is no page {page}; there are {', '.join(texts)}.", 2)
        typer.echo(texts[page], nl=False)
        return
    if not (docs / "contents.toml").is_file():
        raise failure(f"{docs} is not the folder of the documentation: it has no contents.toml.", 2)
    for path, text in {**{docs / name: text for name, text in pages.items()}, SQLITE_SCRIPT: sqlite_script()}.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            content = "the schema of a new record" if path == SQLITE_SCRIPT else "a page of the documentation"
            raise failure(
                f"{path} ({content}) cannot be written: {error.strerror}. Run this command in a checkout of the "
                "project that you may write to.",
                2,
            ) from error


def features_page() -> str:
    """The data dictionary of all features, as Markdown."""
    return (
        "# Features\n\nMade by `cds-hooks reference` from `fhir/mapping/features/catalog.py`; a test compares."
        " A declaration gives the training column, the value in a hook call, and the prefetch template. The "
        "newest usable value within the window counts.\n\n" + data_dictionary(FEATURES.values())
    )


def settings_page() -> str:
    """All settings with their defaults, as Markdown: a table for each part of `Settings`."""
    parts = [(str(part.__doc__), part) for part in reversed(Settings.__bases__) if part is not Constants]
    inherited = {name for _, part in parts for name in _fields(part)}
    rest = {name: row for name, row in _fields(Settings).items() if name in SETTINGS and name not in inherited}
    tables = [(title.rstrip("."), _fields(part)) for title, part in parts] + [("The process", rest)]
    return (
        "# Settings\n\nMade by `cds-hooks reference` from `cds_hooks/settings/`; a test compares. Every "
        "setting is an environment variable, read when a server or command starts. Where a description names a page of "
        "docs/, that page explains the setting.\n\n"
        + "\n".join(f"## {title}\n\n{_SETTINGS_HEAD}{''.join(rows.values())}" for title, rows in tables)
        + _CONSTANTS_HEAD
        + "".join(f"| {_default(field.default)} | {field.description} |\n" for field in Constants.model_fields.values())
        + _REMOVED_HEAD
        + "".join(f"| `{name}` | {text} |\n" for name, text in sorted({**REMOVED, **REFUSED}.items()))
    )


_CONSTANTS_HEAD = (
    "\n## Constants\n\nThese have one right value and are no settings.\n\n| value | what it is |\n|---|---|\n"
)
_REMOVED_HEAD = (
    "\n## Removed settings\n\nA CDS_ variable that is no setting is named in a warning when the program starts. Where "
    "a removed setting protected something (keys, seals), the server does not start.\n\n"
    "| variable | what to use |\n|---|---|\n"
)
_SETTINGS_HEAD = "| variable | default | what it does |\n|---|---|---|\n"


def _fields(part: Any) -> dict[str, str]:
    """The row of each setting of one part, by its name."""
    return {
        name: f"| `CDS_{name.upper()}` | {_default(field.default)} | {field.description} |\n"
        for name, field in part.model_fields.items()
    }


def _default(value: object) -> str:
    if isinstance(value, Path):
        return f"`../shared/{value.name}`" if value.is_absolute() else f"`{value}`"
    return "not set" if value is None else f"`{value}`"


def made_pages(program: Any) -> dict[str, str]:
    """Every page of docs/ that is made from the code, by its name; `program` is the whole command line."""
    return {
        "features.md": features_page(),
        "settings.md": settings_page(),
        "reference/cli.md": cli_page(program),
        "reference/hooks.md": hooks_page(),
        "reference/extension.md": extension_page(),
    }
