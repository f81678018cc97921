"""`python -m maintenance.reference [PAGE]`: writes the pages of the documentation that are made from the code.

The README's number of rules is written, too.

With PAGE (features, settings, cli, hooks, extension) this page is printed and nothing is written.
"""

import re
import sys
from pathlib import Path
from typing import Any

import typer

from cards.rules.engine.governance import all_rule_versions
from cds_hooks.cli import app
from cds_hooks.settings import SETTINGS, Settings
from cds_hooks.settings.constants import Constants
from fhir.mapping.features.catalog import FEATURES, data_dictionary
from maintenance.reference_pages import cli_page, extension_page, hooks_page

DOCS = Path(__file__).resolve().parents[1] / "docs"


def main(page: str | None) -> None:
    """Write every page, or prints one."""
    for name, text in made_pages(typer.main.get_command(app)).items():
        if page is None:
            (DOCS / name).write_text(text, encoding="utf-8")
        elif page == Path(name).stem:
            print(text, end="")
    if page is None:
        readme = DOCS.parent / "README.md"
        count = f"[{len(all_rule_versions())} rules]"
        readme.write_text(re.sub(r"\[\d+ rules\]", count, readme.read_text("utf-8")), encoding="utf-8")


def features_page() -> str:
    """Return the data dictionary of all features, as Markdown."""
    return (
        "# Features\n\nMade by `python -m maintenance.reference` from `fhir/mapping/features/catalog.py`; a test "
        "compares. A declaration gives the training column, the value in a hook call, and the prefetch template. The "
        "newest usable value within the window counts.\n\n" + data_dictionary(FEATURES.values())
    )


def settings_page() -> str:
    """All settings with their defaults, as Markdown: a table for each part of `Settings`."""
    parts = [(str(part.__doc__), part) for part in reversed(Settings.__bases__) if part is not Constants]
    inherited = {name for _, part in parts for name in _fields(part)}
    rest = {name: row for name, row in _fields(Settings).items() if name in SETTINGS and name not in inherited}
    tables = [(title.rstrip("."), _fields(part)) for title, part in parts] + [("The process", rest)]
    return (
        "# Settings\n\nMade by `python -m maintenance.reference` from `cds_hooks/settings/`; a test compares. Every "
        "setting is an environment variable, read when a server or command starts. Where a description names a page of "
        "docs/, that page explains the setting.\n\n"
        + "\n".join(f"## {title}\n\n{_SETTINGS_HEAD}{''.join(rows.values())}" for title, rows in tables)
    )


_SETTINGS_HEAD = "| variable | default | what it does |\n|---|---|---|\n"


def _fields(part: Any) -> dict[str, str]:
    """Return the row of each setting of one part, by its name."""
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


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
