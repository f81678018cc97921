"""`cds-hooks model train` and `evaluate`. What trains is imported inside the commands."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from cds_hooks.commands.model.console import (
    Data,
    Folder,
    Name,
    Out,
    Replicates,
    Seed,
    Specs,
    own_specs,
    print_markdown,
    problems,
    progress_bars,
)
from cds_hooks.commands.model.publishing import publish_trained
from cds_hooks.commands.options import AsJson, print_json
from cds_hooks.settings import settings
from models_onnx.serving.registry import ARTIFACTS
from models_onnx.spec import REPLICATES, SEED, get_spec


def train(
    name: Name,
    data: Data = None,
    out: Out = ARTIFACTS,
    seed: Seed = SEED,
    replicates: Replicates = REPLICATES,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing: train again and compare with the artifact in --out.")
    ] = False,
    table: Annotated[
        Path | None, typer.Option(help="Train the next version on this table of model dataset, in --out.")
    ] = None,
    version: Annotated[str | None, typer.Option(help="With --table: its number; else the next minor one.")] = None,
    specs: Specs = None,
    as_json: AsJson = False,
) -> None:
    """Train a model from its table, prove the file against the fitted model, evaluate it, write the artifact.

    With --table the declared estimator is trained again on what happened after this site's own estimates, as a new
    version beside the others; it changes nothing until it is released.

    Exit codes: 0 written (with --check: the same to 1e-4), 1 a floor or the comparison failed and nothing was
    written, 2 the name, the data or the options cannot be used.

    Example: cds-hooks model train mortality_5y --check

    Example: cds-hooks model train readmission_30d --table tables/readmission_30d.csv --out own --specs mine
    """
    with problems():
        from models_onnx.workbench.release.card import refuse_incomplete_words
        from models_onnx.workbench.release.documentation import retrained_page
        from models_onnx.workbench.training import commands
        from models_onnx.workbench.training.renewing import renew

        specs, tables = own_specs(specs, out, name), data or settings().data_dir
        with progress_bars(as_json) as progress:
            if check:
                comparison = commands.check_model(name, tables, out, progress, specs)
            elif table is not None:
                specs, data = specs or out, table.parent
                trained = renew(name, table, version, out, specs, seed, replicates, progress)
            else:
                spec = get_spec(name, specs)
                refuse_incomplete_words(spec.id, specs, spec.subgroups)
                trained = commands.train_model(name, tables, out, seed, replicates, progress, specs)
        if not check:
            publish_trained(trained, specs, data, as_json)
            return
    if as_json:
        print_json({**msgspec.to_builtins(comparison), "passed": comparison.passed})
    else:
        print_markdown(retrained_page(comparison))
    raise typer.Exit(0 if comparison.passed else 1)


def evaluate(
    name: Name,
    data: Data = None,
    rows: Annotated[
        Path | None, typer.Option(help="Evaluate the artifact on this table instead (same columns, other people).")
    ] = None,
    folder: Folder = ARTIFACTS,
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
        from models_onnx.workbench.release import documentation

        specs, tables = own_specs(specs, folder, name), data or settings().data_dir
        with progress_bars(as_json) as progress:
            if rows is not None:
                result = documentation.evaluate_on_rows(name, rows, tables, folder, seed, replicates, progress, specs)
            else:
                result = documentation.evaluate_artifact(name, tables, seed, replicates, progress, specs)
    if as_json:
        print_json(result.document)
    else:
        print_markdown(result.page)
    raise typer.Exit(0 if result.passed else 1)
