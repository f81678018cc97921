"""`cds-hooks model import` and `compile`: a model that was trained elsewhere."""

from pathlib import Path
from typing import Annotated

import typer

from cds_hooks.commands.model.console import (
    AsJson,
    Data,
    Out,
    Replicates,
    Seed,
    print_json,
    print_markdown,
    problems,
    progress_bars,
)
from cds_hooks.commands.model.publishing import publish_trained
from cds_hooks.settings import settings
from models_onnx.serving.registry import ARTIFACTS
from models_onnx.spec import REPLICATES, SEED


def import_(
    fitted: Annotated[
        str,
        typer.Argument(
            metavar="FITTED",
            help="A file (.onnx, .skops, LightGBM text, XGBoost JSON), the folder of an MLflow model, or "
            "module:function.",
        ),
    ],
    spec: Annotated[Path, typer.Option(help="The declaration NAME.py of the model; its estimator is Fitted(...).")],
    data: Data = None,
    out: Out = ARTIFACTS,
    seed: Seed = SEED,
    replicates: Replicates = REPLICATES,
    as_json: AsJson = False,
) -> None:
    """Take in a model that was fitted elsewhere; nothing is fitted, and a pickle is never read.

    By its declaration (docs/adding/hospital-model.md) it is compiled exactly and evaluated on the table's rows, people
    whom it was not trained on.

    Exit codes: 0 taken in, 1 a floor failed and nothing was written, 2 the file, the declaration, the card or the
    table cannot be used.

    Example: cds-hooks model import falls.skops --spec mine/falls_1y.py --data tables --out trained
    """
    with problems():
        from models_onnx.workbench.release.importing import adopt

        with progress_bars(as_json) as progress:
            trained = adopt(fitted, spec, data or settings().data_dir, out, seed, replicates, progress)
        publish_trained(trained, spec.parent, data, as_json)


def compile_file(
    model_file: Annotated[Path, typer.Argument(metavar="MODEL_FILE", help="LightGBM text, XGBoost JSON, or ONNX.")],
    reference: Annotated[Path, typer.Option(help="Rows of the reference cohort, CSV or CSV.gz with a header.")],
    card: Annotated[Path, typer.Option(help="The model card, a JSON object; written into the file.")],
    out: Annotated[Path, typer.Option(help="Where the ONNX file goes.")],
    features: Annotated[
        str | None,
        typer.Option(help="Columns of the reference rows in the model's order, where the model file has no names."),
    ] = None,
    outcome: Annotated[
        str | None, typer.Option(help="Column of the reference rows with 0 or 1: gives the observed rates.")
    ] = None,
    group: Annotated[
        list[str] | None, typer.Option(help="NAME=INPUT,INPUT: explained as one; may be repeated.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The model's id; default: the name of --out.")] = None,
    version: Annotated[str, typer.Option(help="The model's version.")] = "0.0.0",
    as_json: AsJson = False,
) -> None:
    """Compile a model file of another library to ONNX with exact contributions, proven before it is written.

    The reference cohort is whom people are compared with; nobody of it should have been trained on. Pickles are
    refused, whatever they hold. Exit codes: 0 written, 2 the file, the rows or the card cannot be used.

    Example: cds-hooks model compile model.txt --reference cohort.csv.gz --card card.json --out model.onnx
    """
    with problems():
        from models_onnx.workbench.release.compiling import compile_to_file, report_page

        report = compile_to_file(
            model_file, reference, card, out,
            features=features, outcome=outcome, groups=group or (), name=name, version=version,
        )  # fmt: skip
    if as_json:
        print_json(report)
    else:
        print_markdown(report_page(report, out))
