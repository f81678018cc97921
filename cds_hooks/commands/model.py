"""`cds-hooks model`: train, evaluate, list and describe the models. What trains is imported inside the commands."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from cds_hooks.commands import (
    model_card,
    model_compare,
    model_compile,
    model_dataset,
    model_gates,
    model_import,
    model_new,
    model_release,
    model_score,
)
from cds_hooks.commands.model_console import problems, progress_bars
from cds_hooks.commands.model_options import AsJson, Data, Name, Replicates, Seed, Specs
from cds_hooks.commands.model_tables import print_json, show_comparison, show_evaluation, show_other_rows, wide_console
from cds_hooks.settings import settings
from models_onnx.registry import ARTIFACTS
from models_onnx.spec import REPLICATES, SEED

app = typer.Typer(no_args_is_help=True, help="Train, evaluate, list and describe the models.")
model_gates.register(app)
model_card.register(app)
model_release.register(app)
model_import.register(app)
model_compile.register(app)
model_score.register(app)
model_compare.register(app)
model_dataset.register(app)
model_new.register(app)


@app.command()
def train(
    name: Name,
    data: Data = None,
    out: Annotated[Path, typer.Option(help="Folder of artifacts; the model gets its own in it.")] = ARTIFACTS,
    seed: Seed = SEED,
    replicates: Replicates = REPLICATES,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing: train again and compare with the artifact in --out.")
    ] = False,
    fhir: Annotated[
        Path | None, typer.Option(help="Train from this folder of FHIR (bundles or NDJSON) instead of the table.")
    ] = None,
    specs: Specs = None,
    as_json: AsJson = False,
) -> None:
    """Train a model from its table, prove the file against scikit-learn, evaluate it, write the artifact.

    Exit codes: 0 written (with --check: the same to 1e-4), 1 a floor or the comparison failed and nothing was
    written, 2 the name, the data or the options cannot be used.

    Example: cds-hooks model train mortality_5y --check
    """
    with problems():
        from models_onnx.training import commands

        folder = data or settings().data_dir
        with progress_bars(as_json) as progress:
            if check:
                comparison = commands.check_model(name, folder, out, progress, specs)
            elif fhir is not None:
                trained = commands.train_from_charts(name, fhir, out, seed, replicates, progress, specs)
            else:
                trained = commands.train_model(name, folder, out, seed, replicates, progress, specs)
        if check:
            show_comparison(comparison, as_json)
            raise typer.Exit(0 if comparison.passed else 1)
        show_evaluation(trained.manifest, as_json)
        if not trained.passed:
            typer.echo("A floor does not hold: nothing was written.", err=True)
            raise typer.Exit(1)
        typer.echo(f"Written: {out / name}", err=True)
        model_release.publish_trained(out / name, specs)


@app.command()
def evaluate(
    name: Name,
    data: Data = None,
    rows: Annotated[
        Path | None, typer.Option(help="Evaluate the artifact on this table instead (same columns, other people).")
    ] = None,
    seed: Seed = SEED,
    replicates: Replicates = REPLICATES,
    specs: Specs = None,
    as_json: AsJson = False,
) -> None:
    """Figures with 95 % intervals on people the model was not trained on: out of fold, or on the rows of another table.

    Exit codes: 0 every floor holds (with --rows: evaluated), 1 a floor does not hold, 2 the name or the data cannot be
    used.

    Example: cds-hooks model evaluate mortality_5y
    """
    with problems():
        from models_onnx.training import commands

        with progress_bars(as_json) as progress:
            if rows is None:
                folder = data or settings().data_dir
                trained = commands.evaluate_model(name, folder, seed, replicates, progress, specs)
            else:
                other = commands.evaluate_rows(name, rows, ARTIFACTS, seed, replicates, progress, specs)
        if rows is not None:
            show_other_rows(other, as_json)
            return
        show_evaluation(trained.manifest, as_json)
        raise typer.Exit(0 if trained.passed else 1)


@app.command("list")
def list_(folder: model_release.Folder = ARTIFACTS, as_json: AsJson = False) -> None:
    """List the declared and the imported models, the state of their artifacts and where their releases stand.

    Exit codes: 0 all are ready, 1 one is not.

    Example: cds-hooks model list --json
    """
    with problems():
        from models_onnx.listing import IMPORTED, READY, list_models

        listed = list_models(folder)
    if as_json:
        print_json(listed)
    else:
        table = Table("id", "version", "title", "state", "release", "AUROC", "sha256", title="Models")
        for each in listed:
            auroc = "" if each.auroc is None else f"{each.auroc:.3f}"
            table.add_row(each.id, each.version, each.title, each.state, each.release, auroc, (each.sha256 or "")[:12])
        wide_console().print(table)
    raise typer.Exit(0 if all(each.state in (READY, IMPORTED) for each in listed) else 1)


@app.command()
def page(
    name: Name,
    out: Annotated[Path | None, typer.Option(help="Write it to this file instead of the terminal.")] = None,
) -> None:
    """The model's page in Markdown, written from its manifest.

    Example: cds-hooks model page mortality_5y --out docs/models/mortality_5y.md
    """
    with problems():
        from models_onnx.page import page as page_of
        from models_onnx.page import read_comparison
        from models_onnx.registry import load_model

        text = page_of(load_model(name).manifest, read_comparison(name))
        if out is None:
            typer.echo(text, nl=False)
        else:
            out.write_text(text, encoding="utf-8")
