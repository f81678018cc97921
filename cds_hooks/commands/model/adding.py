"""`cds-hooks model import`: a model that was trained elsewhere."""

from pathlib import Path
from typing import Annotated

import typer

from cds_hooks.commands.model.console import Data, Out, Replicates, Seed, problems, progress_bars
from cds_hooks.commands.model.publishing import publish_trained
from cds_hooks.commands.options import AsJson
from cds_hooks.settings import settings
from models_onnx.serving.registry import ARTIFACTS
from models_onnx.spec import REPLICATES, SEED


def import_(
    fitted: Annotated[
        str,
        typer.Argument(
            metavar="FITTED",
            help="A file (.onnx, .skops, LightGBM text, XGBoost JSON), or module:function.",
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
        from models_onnx.workbench.training.renewing import adopt

        with progress_bars(as_json) as progress:
            trained = adopt(fitted, spec, data or settings().data_dir, out, seed, replicates, progress)
        publish_trained(trained, spec.parent, data, as_json)
