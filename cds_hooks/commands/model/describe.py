"""`cds-hooks model list`, `card` and `dataset`: which models there are, their cards, and the tables of their inputs."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table

from cds_hooks.commands.model.console import (
    AsJson,
    Folder,
    Name,
    Specs,
    own_specs,
    print_json,
    problems,
    progress_bars,
    today,
    wide_console,
)
from cds_hooks.settings import settings
from cds_hooks.trusted_models import own_keys
from models_onnx.artifact.files import write_whole
from models_onnx.errors import UnknownModel
from models_onnx.serving.registry import ARTIFACTS

Format = Literal["json", "html", "chai"]


def list_(folder: Folder = ARTIFACTS, specs: Specs = None, as_json: AsJson = False) -> None:
    """List every version in a folder: whether its files, signature and card hold, its gates, and who signed it.

    Without --folder these are the models of the package, the declared ones that are not trained among them. Which
    version answers is decided by acts of release (cds-hooks release).

    Exit codes: 0 all are ready, 1 one is not.

    Example: cds-hooks model list --json
    """
    with problems():
        from models_onnx.workbench.release.listing import list_models

        if not folder.is_dir():
            raise UnknownModel(f"--folder {folder}: there is no such folder")
        listed = list_models(own_keys(settings()), folder, specs)
    if as_json:
        print_json(listed)
    else:
        table = Table("name", "version", "title", "state", "release", "AUROC", "digest", "signed by", title="Models")
        for model in listed:
            gates = f", {', '.join(model.gates.red)} not green" if model.gates is not None and model.gates.red else ""
            auroc = "" if model.auroc is None else f"{model.auroc:.3f}"
            columns = (model.name, model.version, model.title, model.state, f"{model.release}{gates}", auroc)
            table.add_row(*columns, model.digest[:12], model.signed_by)
        wide_console().print(table)
    raise typer.Exit(0 if all(model.is_ready for model in listed) else 1)


def card(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The model's id, id@version, or the id of an equation.")],
    format: Annotated[
        Format, typer.Option(help="json, html (a page for people) or chai (XML of the Coalition for Health AI).")
    ] = "json",
    out: Annotated[Path | None, typer.Option(help="Write it to this file instead of the terminal.")] = None,
    folder: Folder = ARTIFACTS,
    check: Annotated[bool, typer.Option("--check", help="Only say what is missing, by number and name.")] = False,
) -> None:
    """Show the model card: 31 attributes of a predictive model, 13 of a published equation, in the form asked for.

    Exit codes: 0 written, 1 with --check: an attribute is blank, 2 there is no such model or its card is incomplete.

    Example: cds-hooks model card mortality_5y --format html --out card.html
    """
    with problems():
        from models_onnx.model_card.formats import encode_card_as
        from models_onnx.model_card.schema import card_problems
        from models_onnx.workbench.release.card import released_card

        document, state = released_card(name, folder, own_keys(settings()))
        if check:
            blanks = card_problems(document)
            typer.echo("\n".join(blanks or ("The card is complete.",)))
            raise typer.Exit(1 if blanks else 0)
        content = encode_card_as(document, format, state, today())
    if out is None:
        typer.echo(content.decode(), nl=False)
    else:
        write_whole(out, content)


def dataset(
    name: Name,
    table: Annotated[Path, typer.Option(help="A table with the columns of the model's own study.")],
    out: Annotated[Path, typer.Option(help="Write the rows to this file, as CSV.")],
    folder: Folder = ARTIFACTS,
    specs: Specs = None,
) -> None:
    """Make the table of a model's inputs from the columns of its study, which `cds-hooks score` reads.

    Each row becomes `id`, the inputs and whom the study leaves out. A table from charts is made by `cds-hooks data`,
    with --charts. Exit codes: 0 made, 2 the table cannot be used.

    Example: cds-hooks model dataset mortality_5y --table tabular/nhanes_mortality.csv.gz --out rows.csv
    """
    with problems():
        from models_onnx.spec import get_spec
        from models_onnx.workbench.training.data.study_inputs import exclude_options, write_inputs

        spec = get_spec(name, own_specs(specs, folder, name))
        with progress_bars(False) as progress:
            count = write_inputs(spec, table, out, lambda done: progress("rows", done, done))
    next_command = f"cds-hooks score {name} {out} --out SCORES.csv{exclude_options(spec)}"
    typer.echo(f"{count:,} rows: {out}\nNext: {next_command}")
