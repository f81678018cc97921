"""`cds-hooks model list`, `page` and `card`: which models there are, and what is known of each.

`cds-hooks model dataset`: makes the table of a model's inputs.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
import typer
from rich.table import Table

from cds_hooks.commands.model.console import (
    AsJson,
    Name,
    Specs,
    moment,
    own_specs,
    print_json,
    problems,
    progress_bars,
    wide_console,
)
from cds_hooks.commands.model.release import Folder
from cds_hooks.settings import settings
from cds_hooks.trusted_models import own_keys
from models_onnx.artifact.files import whole_file, write_whole
from models_onnx.errors import TrainingRefused, UnknownModel
from models_onnx.serving.registry import ARTIFACTS, find_version

Format = Literal["json", "html", "markdown", "huggingface", "tripod", "fhir", "chai", "schema"]


def list_(folder: Folder = ARTIFACTS, specs: Specs = None, as_json: AsJson = False) -> None:
    """List the models of a folder, the state of their artifacts and where their releases stand.

    Without --folder these are the models of the package, the declared ones that are not trained among them.

    Exit codes: 0 all are ready, 1 one is not.

    Example: cds-hooks model list --json
    """
    with problems():
        from models_onnx.workbench.release.listing import IMPORTED, READY, list_models

        if not folder.is_dir():
            raise UnknownModel(f"--folder {folder}: there is no such folder")
        listed = list_models(folder, specs)
    if as_json:
        print_json(listed)
    else:
        table = Table("id", "version", "title", "state", "release", "AUROC", "sha256", title="Models")
        for model in listed:
            auroc = "" if model.auroc is None else f"{model.auroc:.3f}"
            table.add_row(
                model.id, model.version, model.title, model.state, model.release, auroc, (model.sha256 or "")[:12]
            )
        wide_console().print(table)
    raise typer.Exit(0 if all(model.state in (READY, IMPORTED) for model in listed) else 1)


def page(
    name: Name,
    out: Annotated[Path | None, typer.Option(help="Write it to this file instead of the terminal.")] = None,
    folder: Folder = ARTIFACTS,
) -> None:
    """The model's page in Markdown, written from its manifest.

    Example: cds-hooks model page mortality_5y --out docs/models/mortality_5y.md
    """
    with problems():
        from models_onnx.serving.registry import load_model
        from models_onnx.workbench.release.documentation import model_page

        text = model_page(load_model(name, folder).manifest, folder)
        if out is None:
            typer.echo(text, nl=False)
        else:
            write_whole(out, text)


def card(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The model's id, id@version, or the id of an equation.")],
    format: Annotated[
        Format,
        typer.Option(
            help="json, html, markdown, huggingface, tripod (TRIPOD+AI list), fhir, chai, or schema of such cards."
        ),
    ] = "json",
    out: Annotated[Path | None, typer.Option(help="Write it to this file instead of the terminal.")] = None,
    folder: Annotated[Path, typer.Option("--folder", help="Folder of artifacts; each model has its own.")] = ARTIFACTS,
    check: Annotated[bool, typer.Option("--check", help="Only say what is missing, by number and name.")] = False,
) -> None:
    """The model card: 31 attributes of a predictive model, 13 of a published equation, in the form asked for.

    Exit codes: 0 written, 1 with --check: an attribute is blank, 2 there is no such model or its card is incomplete.

    Example: cds-hooks model card mortality_5y --format html --out card.html
    """
    with problems():
        from models_onnx.model_card.schema import card_problems as missing_in

        document, state, sha256 = _card(name, folder)
        if check:
            blanks = missing_in(document)
            for line in blanks or ("The card is complete.",):
                typer.echo(line)
            raise typer.Exit(1 if blanks else 0)
        if format == "tripod":
            from models_onnx.artifact.folder import read_manifest
            from models_onnx.workbench.release.tripod import tripod_list

            content = tripod_list(document, read_manifest(find_version(name, folder).folder)).encode()
        else:
            content = _written(document, format, state, sha256)
    if out is None:
        typer.echo(content.decode(), nl=False)
    else:
        write_whole(out, content)


def _card(name: str, folder: Path) -> tuple[dict[str, Any], str, str]:
    """Returns the card, the release state and the file's hash; of an equation, if a model of that name is not there."""
    from models_onnx.artifact.folder import MODEL, refuse_other_files
    from models_onnx.artifact.release_file import read_release
    from models_onnx.errors import UnknownModel

    try:
        version = find_version(name, folder)
    except UnknownModel:
        from models_onnx.equations.card import equation_card, has_equation

        if not has_equation(name):
            raise
        return equation_card(name), "active", ""
    from models_onnx.model_card.embed import read_card

    release = read_release(version.folder, own_keys(settings()))
    refuse_other_files(version.folder, release)
    card = read_card((version.folder / MODEL).read_bytes())
    return card, release.state, release.files[MODEL].sha256


def _written(document: dict[str, Any], format: Format, state: str, sha256: str) -> bytes:
    from models_onnx.model_card.formats import card_html, chai_xml, fhir_bundle
    from models_onnx.model_card.markdown import card_markdown, hugging_face_card
    from models_onnx.model_card.schema import card_schema

    if format == "html":
        return card_html(document).encode()
    if format in ("markdown", "huggingface"):
        return (card_markdown if format == "markdown" else hugging_face_card)(document).encode()
    if format == "schema":
        document = card_schema(document["kind"])
    if format == "chai":
        return chai_xml(document, state, moment()[:10])
    if format == "fhir":
        document = fhir_bundle(document, state, sha256, moment(), settings().public_url)
    return orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n"


def dataset(
    name: Name,
    fhir: Annotated[Path | None, typer.Option(help="Folder of FHIR: bundles (.json, .json.gz) or NDJSON.")] = None,
    table: Annotated[
        Path | None, typer.Option(help="A table with the columns of the model's own study, in place of charts.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the rows to this file, as CSV.")] = None,
    folder: Annotated[Path, typer.Option("--folder", help="Folder with the model's declaration.")] = ARTIFACTS,
    specs: Specs = None,
    as_json: AsJson = False,
) -> None:
    """Make the table of a model's inputs: from charts, to train on, or from the columns of its study, to score.

    From charts there is one row per index, only of what was known then; ids are hashed and the only date that is kept
    is the year. From a study's table (--table) each row becomes `id`, the inputs and whom the study leaves out, which
    `cds-hooks score` reads. Exit codes: 0 made, 2 the folder or the table cannot be used.

    Example: cds-hooks model dataset readmission_30d --fhir charts --out rows.csv.gz
    """
    with problems():
        from models_onnx.spec import get_spec
        from models_onnx.workbench.training.data.dataset import dataset as rows_of
        from models_onnx.workbench.training.data.dataset import describe, exclusion_column, write_inputs

        spec = get_spec(name, own_specs(specs, folder, name))
        if (fhir is None) == (table is None) or (table is not None and out is None):
            raise TrainingRefused("give --fhir, a folder of charts, or --table with --out")
        with progress_bars(as_json) as progress:
            if table is not None and out is not None:
                count = write_inputs(spec, table, out, lambda done: progress("rows", done, done))
            elif fhir is not None:
                rows = rows_of(spec, fhir, lambda done: progress("charts", done, done))
                if out is not None:
                    with whole_file(out) as draft:
                        rows.to_csv(draft, index=False)
    if table is not None:
        columns = [column for exclusion in spec.exclusions if (column := exclusion_column(exclusion))]
        left_out = "".join(f" --exclude {column}" for column in columns if column != "deceased")
        typer.echo(f"{count:,} rows: {out}\nNext: cds-hooks score {name} {out} --out SCORES.csv{left_out}")
        return
    summary = describe(rows)
    summary["years"] = f"{min(summary['years'])}-{max(summary['years'])}"
    if as_json:
        print_json(summary)
        return
    typer.echo("{rows:,} rows of {patients:,} patients, {events:,} events, {years}".format(**summary))
    for feature, share in summary["missing"].items():
        typer.echo(f"  {feature}: {share:.0%} missing")
