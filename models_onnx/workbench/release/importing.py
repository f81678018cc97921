"""Takes in a model that somebody else fitted, by its declaration: compiled, evaluated, written. Never unpickled."""

from pathlib import Path

from models_onnx.errors import TrainingRefused
from models_onnx.spec import Fitted, ModelSpec, get_spec
from models_onnx.workbench.release.card import refuse_incomplete_words
from models_onnx.workbench.training.commands import train_model
from models_onnx.workbench.training.crossvalidate import Progress
from models_onnx.workbench.training.pipeline import Trained


def adopt(
    fitted: str, declaration: Path, data: Path, out: Path, seed: int, replicates: int, progress: Progress
) -> Trained:
    """Compiles and evaluates a fitted model by its declaration, and writes its artifact where its floors hold.

    Raises:
        ModelError: the file, the declaration or the table cannot be used.
    """
    spec = _declared(declaration, fitted)
    refuse_incomplete_words(spec.id, declaration.parent, spec.subgroups)
    return train_model(spec.id, data, out, seed, replicates, progress, declaration.parent)


def _declared(path: Path, fitted: str) -> ModelSpec:
    """Return the declaration, which must name this fitted model, so that the gates can compile it again."""
    if not path.is_file():
        raise TrainingRefused(f"{path} is not there; docs/adding/hospital-model.md shows a declaration")
    spec = get_spec(path.stem, path.parent)
    is_code = ":" in fitted and "/" not in fitted.partition(":")[0]
    source = fitted if is_code else _beside(Path(fitted), path.parent)
    if not isinstance(spec.estimator, Fitted):
        raise TrainingRefused(
            f"{path.name} declares an estimator that is fitted here. To import, take Fitted from models_onnx.spec and "
            f"write estimator=Fitted({source!r}, trained_on='WHOM IT WAS TRAINED ON')"
        )
    if spec.estimator.source != source:
        raise TrainingRefused(
            f"{path.name} declares Fitted({spec.estimator.source!r}), and the command names {source!r}"
        )
    return spec


def _beside(fitted: Path, folder: Path) -> str:
    """Return the path as the declaration writes it: from its own folder."""
    if not fitted.exists():
        return str(fitted)
    try:
        return str(fitted.resolve().relative_to(folder.resolve()))
    except ValueError:
        raise TrainingRefused(f"{fitted} lies outside {folder}: put it beside the declaration") from None
