"""`cds-hooks model card`: the model card as JSON, for people, in FHIR, and as CHAI's XML."""

from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
import typer

from cds_hooks.commands.model_console import problems
from cds_hooks.settings import settings
from cds_hooks.trusted_models import own_keys
from models_onnx.registry import ARTIFACTS, find_version

Format = Literal["json", "html", "fhir", "chai"]


def register(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    app.command()(card)


def card(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The model's id, id@version, or the id of an equation.")],
    format: Annotated[Format, typer.Option(help="json, html, fhir (Device and DocumentReference) or chai.")] = "json",
    out: Annotated[Path | None, typer.Option(help="Write it to this file instead of the terminal.")] = None,
    folder: Annotated[Path, typer.Option("--folder", help="Folder of artifacts; each model has its own.")] = ARTIFACTS,
    check: Annotated[bool, typer.Option("--check", help="Only say what is missing, by number and name.")] = False,
) -> None:
    """The model card: 31 attributes of a predictive model, 13 of a published equation, in the form asked for.

    Exit codes: 0 written, 1 with --check: an attribute is blank, 2 there is no such model or its card is incomplete.

    Example: cds-hooks model card mortality_5y --format html --out card.html
    """
    with problems():
        from models_onnx.card.check import problems as missing_in

        document, state, sha256 = _card(name, folder)
        if check:
            found = missing_in(document)
            for line in found or ("The card is complete.",):
                typer.echo(line)
            raise typer.Exit(1 if found else 0)
        content = _written(document, format, state, sha256)
    if out is None:
        typer.echo(content.decode(), nl=False)
    else:
        out.write_bytes(content)


def _card(name: str, folder: Path) -> tuple[dict[str, Any], str, str]:
    """The card, the release state and the file's hash; of an equation, if a model of that name is not there."""
    from models_onnx.artifact import MODEL, refuse_other_files
    from models_onnx.card.embed import card_of
    from models_onnx.errors import UnknownModel
    from models_onnx.signing.release import read_release

    try:
        found = find_version(name, folder)
    except UnknownModel:
        from models_onnx.evidence_cards import equation_card, has_equation

        if not has_equation(name):
            raise
        return equation_card(name), "active", ""
    release = read_release(found.folder, own_keys())
    refuse_other_files(found.folder, release)
    card = card_of((found.folder / MODEL).read_bytes())
    return card, release.state, release.files[MODEL].sha256


def _written(document: dict[str, Any], format: Format, state: str, sha256: str) -> bytes:
    from cds_hooks.commands.model_evidence import moment
    from models_onnx.card.chai import chai_xml
    from models_onnx.card.fhir import fhir_bundle
    from models_onnx.card.page import card_html

    if format == "html":
        return card_html(document).encode()
    if format == "chai":
        return chai_xml(document, state, moment()[:10])
    if format == "fhir":
        document = fhir_bundle(document, state, sha256, moment(), settings().public_url)
    return orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n"
