"""`cds-hooks build-sheet`: writes the sheet for an EHR's analyst."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from markdown_it import MarkdownIt
from markupsafe import Markup

from cds_hooks.commands.build_sheet.content import sheet_parts
from cds_hooks.commands.sentences import failure
from cds_hooks.dialects import find_dialects
from cds_hooks.protocol.hooks import WrongDeclaration
from cds_hooks.services import services_for
from cds_hooks.settings import settings
from cds_hooks.web.site import render, static_file
from models_onnx.artifact.files import write_whole


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
        vendors = ", ".join(name for name, dialect in dialects.items() if dialect.sheet is not None)
        raise failure(f"There is no build sheet for {vendor}; there are {vendors}.", 2)
    if out is not None:
        _make_folder(out)
    configured = settings()
    address = (url or configured.public_url).rstrip("/")
    try:
        services = services_for(configured)
    except WrongDeclaration as error:
        raise failure(str(error), 2) from error
    as_of = configured.as_of or datetime.now(UTC)
    text = "\n\n".join(sheet_parts(dialects[vendor], sheet, services.values(), address, as_of)) + "\n"
    if out is None:
        typer.echo(text, nl=False)
        return
    _write(out / f"build-sheet-{vendor}.md", text)
    _write(out / f"build-sheet-{vendor}.html", as_html(f"CDS Hooks build sheet: {dialects[vendor].title}", text))


def as_html(title: str, markdown: str) -> str:
    """Return the sheet as one HTML file with the look of the server's pages in it; it loads nothing."""
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)
    return render(
        "build_sheet.html",
        title=title,
        look=Markup(static_file("look.css").decode()),  # noqa: S704 - our own style sheet
        body=Markup(body.replace("<blockquote>", '<blockquote class="card">')),  # noqa: S704 - HTML in it is escaped
    )


def _make_folder(folder: Path) -> None:
    """Makes the folder before the work, so that an error about it is reported at once."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _stop(folder, error)


def _write(file: Path, text: str) -> None:
    try:
        write_whole(file, text)
    except OSError as error:
        _stop(file, error)
    typer.echo(f"{file}")


def _stop(path: Path, error: OSError) -> NoReturn:
    raise failure(f"{path} cannot be written: {error.strerror}.", 2) from error
