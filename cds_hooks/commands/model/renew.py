"""`cds-hooks model retrain` and `recalibrate`: a new version of a model from the table of `outcomes dataset`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from cds_hooks.commands.model.console import (
    AsJson,
    Replicates,
    Seed,
    Specs,
    own_specs,
    problems,
    progress_bars,
    show_evaluation,
)
from cds_hooks.commands.model.release import Out, publish_trained, written_or_exit
from models_onnx.serving.registry import ARTIFACTS
from models_onnx.spec import REPLICATES, SEED

Name = Annotated[str, typer.Argument(metavar="NAME", help="The model's id, or id@version to begin from.")]
TableFile = Annotated[Path, typer.Option("--table", help="The table of outcomes dataset, or one like the model's.")]
Number = Annotated[str | None, typer.Option("--version", help="Number of the new version; else the next minor one.")]


def retrain(
    name: Name,
    table: TableFile,
    version: Number = None,
    out: Out = ARTIFACTS,
    specs: Specs = None,
    seed: Seed = SEED,
    replicates: Replicates = REPLICATES,
    as_json: AsJson = False,
) -> None:
    """Train the declared estimator again on what happened after this site's own estimates, as a new version.

    The new version lies beside the one in use and changes nothing until it is released. Exit codes: 0 written, 1 a
    floor does not hold and nothing was written, 2 the model or the table cannot be used.

    Example: cds-hooks model retrain readmission_30d --table tables/readmission_30d.csv --folder own --specs mine
    """
    _renew(name, table, "all", version, out, specs, seed, replicates, as_json)


def recalibrate(
    name: Name,
    table: TableFile,
    slope: Annotated[
        bool, typer.Option("--slope", help="Fit intercept and slope; without it the intercept alone.")
    ] = False,
    version: Number = None,
    out: Out = ARTIFACTS,
    specs: Specs = None,
    seed: Seed = SEED,
    replicates: Replicates = REPLICATES,
    as_json: AsJson = False,
) -> None:
    """Fit the intercept (or intercept and slope) of a model to what happened after its estimates, as a new version.

    Its terms stay as they are, so contributions stay exact; a model that was fitted elsewhere can be recalibrated, too.
    Exit codes: 0 written, 1 a floor does not hold and nothing was written, 2 the model or the table cannot be used.

    Example: cds-hooks model recalibrate readmission_30d --table tables/readmission_30d.csv --folder own --specs mine
    """
    _renew(name, table, "slope" if slope else "intercept", version, out, specs, seed, replicates, as_json)


def _renew(
    name: str,
    table: Path,
    fit: Literal["all", "slope", "intercept"],
    version: str | None,
    out: Path,
    specs: Path | None,
    seed: int,
    replicates: int,
    as_json: bool,
) -> None:
    with problems():
        from models_onnx.workbench.training.renewing import renew

        folder = own_specs(specs, out, name)
        with progress_bars(as_json) as progress:
            trained = renew(name, table, fit, version, out, folder or out, seed, replicates, progress)
        show_evaluation(trained.manifest, as_json)
        publish_trained(written_or_exit(trained, f", declared in {folder or out}"), folder or out, table.parent)
