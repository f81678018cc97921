"""`cds-hooks model adopt`: a model that was fitted elsewhere gets file, manifest and card as if trained here."""

from pathlib import Path
from typing import Annotated

import typer

from cds_hooks.commands.model.adding import import_
from cds_hooks.commands.model.console import (
    AsJson,
    Data,
    Replicates,
    Seed,
    problems,
    progress_bars,
    show_evaluation,
)
from cds_hooks.commands.model.release import Out, publish_trained, written_or_exit
from cds_hooks.settings import settings
from models_onnx.errors import ImportRefused, TrainingRefused
from models_onnx.serving.registry import ARTIFACTS
from models_onnx.spec import REPLICATES, SEED, Fitted, ModelSpec


def adopt(
    fitted: Annotated[
        str,
        typer.Argument(
            metavar="FITTED",
            help="A file beside the declaration (.skops, LightGBM text, XGBoost or CatBoost JSON, ONNX of series), "
            "or module:function.",
        ),
    ],
    spec: Annotated[
        Path | None, typer.Option(help="The declaration NAME.py of the model; its estimator is Fitted(...).")
    ] = None,
    card: Annotated[Path | None, typer.Option(help="Of an ONNX file: its model card as JSON.")] = None,
    features: Annotated[Path | None, typer.Option(help="Of an ONNX file: its feature map as JSON.")] = None,
    server: Annotated[
        str | None, typer.Option("--mlflow", help="Of models:/ or runs:/: address of the server.")
    ] = None,
    data: Data = None,
    out: Out = ARTIFACTS,
    seed: Seed = SEED,
    replicates: Replicates = REPLICATES,
    as_json: AsJson = False,
) -> None:
    """Adopt a model that was fitted elsewhere: compile it exactly, evaluate it on the table's rows, write the artifact.

    Nothing is fitted. The table's rows are people whom the model was not trained on; the declaration says whom it was
    trained on. A pickle is never read. An ONNX file is taken in with --card and --features in place of a declaration,
    as by `cds-hooks model import`: nothing is compiled, and gate G6 refuses it for cards unless it explains itself.

    Exit codes: 0 written, 1 a floor failed and nothing was written, 2 the file, the declaration or the table cannot be
    used.

    Example: cds-hooks model adopt falls.skops --spec mine/falls_1y.py --data tables --out trained
    """
    if _is_onnx(fitted) and not _takes_series(spec):
        with problems():
            missing = [name for name, path in (("--card", card), ("--features", features)) if path is None]
            if missing or card is None or features is None:
                raise ImportRefused(
                    f"an ONNX file brings no training to compile; it is taken in with its card and its map: add "
                    f"{' and '.join(missing)} (docs/models/registry.md has both). The fitted model itself, as .skops, "
                    "LightGBM text or XGBoost JSON, would get exact contributions"
                )
        import_(fitted, card, features, out, server)
        return
    with problems():
        from models_onnx.workbench.release.card import refuse_incomplete_words
        from models_onnx.workbench.training import commands

        if spec is None:
            raise TrainingRefused("--spec names the declaration; cds-hooks model new NAME --folder FOLDER writes one")
        declared = _declared(spec, fitted)
        refuse_incomplete_words(declared.id, spec.parent, declared.subgroups)
        folder = data or settings().data_dir
        with progress_bars(as_json) as progress:
            trained = commands.train_model(declared.id, folder, out, seed, replicates, progress, spec.parent)
        show_evaluation(trained.manifest, as_json)
        publish_trained(written_or_exit(trained), spec.parent, data)


def _declared(path: Path, fitted: str) -> ModelSpec:
    """Returns the declaration, which must name this fitted model, so that the gates can compile it again."""
    from models_onnx.spec import get_spec

    if not path.is_file():
        raise TrainingRefused(f"{path} is not there; cds-hooks model new NAME --folder FOLDER writes a declaration")
    spec = get_spec(path.stem, path.parent)
    declared_estimator = spec.estimator
    source = fitted if _is_code(fitted) else _beside(Path(fitted), path.parent)
    if not isinstance(declared_estimator, Fitted):
        raise TrainingRefused(
            f"{path.name} declares an estimator that is fitted here. To adopt, import Fitted from models_onnx.spec and "
            f"write estimator=Fitted({source!r}, trained_on='WHOM IT WAS TRAINED ON')"
        )
    if declared_estimator.source != source:
        raise TrainingRefused(
            f"{path.name} declares Fitted({declared_estimator.source!r}), and the command names {source!r}"
        )
    return spec


def _takes_series(path: Path | None) -> bool:
    """Returns whether the declaration is that of a network over series, which is compiled like other fitted models."""
    if path is None or not path.is_file():
        return False
    from models_onnx.spec import get_spec

    with problems():
        estimator = get_spec(path.stem, path.parent).estimator
    return isinstance(estimator, Fitted) and estimator.steps is not None


def _is_onnx(fitted: str) -> bool:
    return fitted.startswith(("models:/", "runs:/")) or Path(fitted.partition(":")[0]).suffix.lower() == ".onnx"


def _is_code(fitted: str) -> bool:
    return ":" in fitted and "/" not in fitted.partition(":")[0]


def _beside(fitted: Path, folder: Path) -> str:
    """Returns the path as the declaration writes it: from its own folder."""
    if fitted.is_file():
        try:
            return str(fitted.resolve().relative_to(folder.resolve()))
        except ValueError:
            raise TrainingRefused(f"{fitted} lies outside {folder}: put it beside the declaration") from None
    return str(fitted)
