"""`python -m maintenance.reference [PAGE]`: writes the pages of docs/ that are made from the code.

With PAGE (settings, reference/cli, rules/renal, …) this page is printed and nothing is written.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from cards.rules.engine.page import rule_pages
from cds_hooks.cli import app
from cds_hooks.settings import SETTINGS, Settings
from cds_hooks.settings.constants import Constants
from fhir.mapping.features.catalog import FEATURES, data_dictionary
from maintenance.conformance import conformance_page, crd_page
from maintenance.reference_pages import (
    cli_page,
    extension_page,
    hooks_page,
    incidents_page,
    metrics_page,
    reasons_page,
    trust_page,
)

DOCS = Path(__file__).resolve().parents[1] / "docs"


def main(page: str | None) -> None:
    """Write every page, or print one."""
    pages = made_pages()
    if page is None:
        write_pages(DOCS, pages)
    elif f"{page}.md" in pages:
        print(pages[f"{page}.md"], end="")
    else:
        sys.exit(f"No page is called {page}; there are {', '.join(name.removesuffix('.md') for name in pages)}.")


def write_pages(folder: Path, pages: Mapping[str, str]) -> None:
    """Write the pages into a folder of documentation."""
    for name, text in pages.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def features_page() -> str:
    """Return the data dictionary of all features, as Markdown."""
    head = (
        "# Features\n\nMade by `make docs` from `fhir/mapping/features/catalog.py`. A declaration gives the training "
        "column, the value in a hook call, and the prefetch template. The newest usable value within so many "
        "completed days counts (of 365 days one of 365 days and 5 hours, not one of 366 days). Ages are whole years on "
        "the day of the call (UTC). A value in another unit is multiplied as the column `unit` says.\n\n"
    )
    return head + data_dictionary(FEATURES.values())


def settings_page() -> str:
    """All settings with their defaults, as Markdown: a table for each part of `Settings`."""
    parts = [(str(part.__doc__), part) for part in reversed(Settings.__bases__) if part is not Constants]
    inherited = {name for _, part in parts for name in _fields(part)}
    rest = {name: row for name, row in _fields(Settings).items() if name in SETTINGS and name not in inherited}
    tables = [(title.rstrip("."), _fields(part)) for title, part in parts] + [("The process", rest)]
    return (
        "# Settings\n\nMade by `make docs` from `cds_hooks/settings/`. Every "
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


def made_pages() -> dict[str, str]:
    """Return every page of docs/ that is made from the code, by its name."""
    pages = {
        "features.md": features_page(),
        "settings.md": settings_page(),
        "conformance.md": conformance_page(),
        "crd-requirements.md": crd_page(),
        "reference/cli.md": cli_page(typer.main.get_command(app)),
        "reference/hooks.md": hooks_page(),
        "reference/extension.md": extension_page(),
        "reference/incidents.md": incidents_page(),
        "reference/metrics.md": metrics_page(),
        "reference/reasons.md": reasons_page(),
        "reference/trust-file.md": trust_page(),
    }
    return pages | {f"rules/{name}": text for name, text in rule_pages().items()}


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
