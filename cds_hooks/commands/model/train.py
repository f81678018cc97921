"""`cds-hooks model train`, `evaluate` and `compare`. What trains is imported inside the commands."""

from pathlib import Path
from typing import Annotated

import typer

from cds_hooks.commands.model.console import (
    AsJson,
    Data,
    Name,
    Replicates,
    Seed,
    Specs,
    own_specs,
    print_json,
    print_markdown,
    problems,
    progress_bars,
    show_comparison,
    show_evaluation,
    show_other_rows,
)
from cds_hooks.commands.model.release import Out, publish_trained
from cds_hooks.commands.model.report import write_later, write_own_report, write_reports_of_rows
from cds_hooks.settings import settings
from models_onnx.artifact.files import write_whole
from models_onnx.serving.registry import ARTIFACTS
from models_onnx.spec import REPLICATES, SEED


def train(
    name: Name,
    data: Data = None,
    out: Out = ARTIFACTS,
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
        from models_onnx.workbench.training import commands

        specs = own_specs(specs, out, name)
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
        publish_trained(out / name, specs, data)


def evaluate(
    name: Name,
    data: Data = None,
    rows: Annotated[
        Path | None, typer.Option(help="Evaluate the artifact on this table instead (same columns, other people).")
    ] = None,
    folder: Annotated[Path, typer.Option("--folder", help="Folder of artifacts; also of the declaration.")] = ARTIFACTS,
    html: Annotated[Path | None, typer.Option(help="Write the report with its curves as an HTML page.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Write the figures by group as JSON; as FOLDER/NAME.evaluation.json the pages show them."),
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
        from models_onnx.workbench.training import commands

        specs = own_specs(specs, folder, name)
        with progress_bars(as_json) as progress:
            if rows is None:
                tables = data or settings().data_dir
                trained = commands.evaluate_model(name, tables, seed, replicates, progress, specs, at_equal_ages=True)
            else:
                other = commands.evaluate_rows(name, rows, folder, seed, replicates, progress, specs)
        if rows is not None:
            write_reports_of_rows(other, rows, folder, html, out)
            show_other_rows(other, as_json)
            return
        if html is not None:
            write_own_report(html, trained)
        if out is not None:
            write_later(out, commands.later_figures(trained, folder))
        show_evaluation(trained.manifest, as_json)
        raise typer.Exit(0 if trained.passed else 1)


def compare(
    name: Name,
    data: Data = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the report as JSON; beside an artifact its page shows it.")
    ] = None,
    folder: Annotated[Path, typer.Option("--folder", help="Folder with the model's declaration.")] = ARTIFACTS,
    seed: Seed = SEED,
    replicates: Replicates = 200,
    specs: Specs = None,
    as_json: AsJson = False,
) -> None:
    """Compare the families of models on the same folds: logistic or Cox, additive trees, boosted trees.

    The simplest within 0.01 AUROC of the best wins. Exit codes: 0 it is the one that is declared, 1 it is another,
    2 the name or the data cannot be used.

    Example: cds-hooks model compare readmission_30d
    """
    with problems():
        from models_onnx.workbench.training.evaluate import compare_model

        specs = own_specs(specs, folder, name)
        with progress_bars(as_json) as progress:
            found = compare_model(name, data or settings().data_dir, seed, replicates, progress, specs)
        if out is not None:
            import orjson

            write_whole(out, orjson.dumps(found.document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    if as_json:
        print_json(found.document)
    else:
        from models_onnx.workbench.release.documentation import families_table

        print_markdown(families_table(found.document))
        typer.echo(f"The champion is {found.document['champion']}; declared is {found.document['declared']}.")
    raise typer.Exit(0 if found.agrees else 1)
