"""`cds-hooks model train`, `evaluate` and `compare`. What trains is imported inside the commands."""

from pathlib import Path
from typing import Annotated, Any

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
from cds_hooks.commands.model.release import Out, publish_trained, written_or_exit
from cds_hooks.settings import settings
from models_onnx.artifact.files import write_whole
from models_onnx.serving.registry import ARTIFACTS
from models_onnx.spec import REPLICATES, SEED, get_spec

# Groups of people by rising estimate: for the curves, and for the drawing of the calibration.
_FINE, _COARSE = 100, 10


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
        from models_onnx.workbench.release.card import refuse_incomplete_words
        from models_onnx.workbench.training import commands

        specs = own_specs(specs, out, name)
        folder = data or settings().data_dir
        if not check:
            spec = get_spec(name, specs)
            refuse_incomplete_words(spec.id, specs, spec.subgroups)
        with progress_bars(as_json) as progress:
            if check:
                comparison = commands.check_model(name, folder, out, progress, specs)
            else:
                trained = commands.train_model(name, folder, out, seed, replicates, progress, specs, charts=fhir)
        if check:
            show_comparison(comparison, as_json)
            raise typer.Exit(0 if comparison.passed else 1)
        show_evaluation(trained.manifest, as_json)
        publish_trained(written_or_exit(trained), specs, data)


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
        from models_onnx.artifact.folder import Artifact
        from models_onnx.model_card.evaluation_file import encode_evaluation
        from models_onnx.model_card.plots import bins_of
        from models_onnx.serving.runtime import Model
        from models_onnx.workbench.training import commands

        specs = own_specs(specs, folder, name)
        with progress_bars(as_json) as progress:
            if rows is not None:
                evaluated = commands.evaluate_rows(
                    name, rows, folder, seed, replicates, progress, specs, data or settings().data_dir
                )
            else:
                tables = data or settings().data_dir
                trained = commands.evaluate_model(name, tables, seed, replicates, progress, specs)
        if rows is not None:
            if html is not None:
                bins = (evaluated.bins(_FINE), evaluated.bins(_COARSE))
                _write_page(html, evaluated.model, evaluated.how, bins, evaluated.whole, evaluated.subgroups)
            if out is not None:
                write_whole(out, encode_evaluation(evaluated.later()))
            show_other_rows(evaluated, as_json)
            return
        if html is not None:
            figures, bins = trained.manifest.evaluation, (bins_of(trained.manifest),) * 2
            model = Model(Artifact(trained.manifest, trained.content))
            _write_page(html, model, figures["how"], bins, figures["all"], figures["subgroups"])
        if out is not None:
            write_whole(out, encode_evaluation(commands.later_figures(trained, folder)))
        show_evaluation(trained.manifest, as_json)
        raise typer.Exit(0 if trained.passed else 1)


def _write_page(path: Path, model: Any, how: str, bins: tuple[Any, Any], overall: Any, groups: Any) -> None:
    """Writes the report of an evaluation as an HTML page: figures, curves, and what each input of the model does."""
    from cds_hooks.pages.models.evaluation_report import evaluation_page
    from models_onnx.serving.effects import effects

    write_whole(path, evaluation_page(model.manifest, how, *bins, overall, groups, effects(model)))


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
            comparison = compare_model(name, data or settings().data_dir, seed, replicates, progress, specs)
        if out is not None:
            import orjson

            write_whole(out, orjson.dumps(comparison.document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    if as_json:
        print_json(comparison.document)
    else:
        from models_onnx.workbench.release.documentation import families_table

        print_markdown(families_table(comparison.document))
        typer.echo(f"The champion is {comparison.document['champion']}; declared is {comparison.document['declared']}.")
    raise typer.Exit(0 if comparison.agrees else 1)
