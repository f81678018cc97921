"""`cds-hooks build-sheet`: writes the sheet for an EHR's analyst."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from cds_hooks.commands.build_sheet.content import sheet_blocks
from cds_hooks.commands.build_sheet.document import as_html, as_markdown
from cds_hooks.dialects import find_dialects
from cds_hooks.protocol.hooks import WrongDeclaration
from cds_hooks.services import services_for
from cds_hooks.settings import settings


def build_sheet(
    vendor: Annotated[str, typer.Option("--for", help="The vendor: epic or oracle.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for build-sheet-VENDOR.md and .html; else Markdown here.")
    ] = None,
    url: Annotated[str | None, typer.Option(help="Public address of the server; else CDS_PUBLIC_URL.")] = None,
) -> None:
    """Write the sheet for the analyst who sets our services up in an EHR that does not read discovery.

    Exit codes: 0 written, 2 there is no sheet for this vendor or the folder cannot be written.

    Example: cds-hooks build-sheet --for epic --out sheets
    """
    dialects = find_dialects()
    sheet = dialects[vendor].sheet if vendor in dialects else None
    if sheet is None:
        known = ", ".join(name for name, each in dialects.items() if each.sheet is not None)
        typer.echo(f"There is no build sheet for {vendor}; there are {known}.", err=True)
        raise typer.Exit(2)
    configured = settings()
    address = (url or configured.public_url).rstrip("/")
    try:
        services = services_for(configured)
    except WrongDeclaration as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    as_of = configured.as_of or datetime.now(UTC)
    blocks = list(sheet_blocks(dialects[vendor], sheet, services.values(), address, as_of))
    if out is None:
        typer.echo(as_markdown(blocks), nl=False)
        return
    title = f"CDS Hooks build sheet: {dialects[vendor].title}"
    for suffix, text in (("md", as_markdown(blocks)), ("html", as_html(title, blocks))):
        _write(out / f"build-sheet-{vendor}.{suffix}", text)


def _write(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        typer.echo(f"{file} cannot be written: {error.strerror}.", err=True)
        raise typer.Exit(2) from error
    typer.echo(f"{file}")
