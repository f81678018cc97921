"""A model that MLflow has logged: the file in its folder, the run that logged it, and what was measured there."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from msgspec import Struct

from fhir.terminology.plain_file import plain_file
from models_onnx.errors import DeclarationError

_MLMODEL = "MLmodel"


class LoggedModel(Struct, frozen=True):
    """The model file of a folder, with the run's id and its metrics."""

    file: Path
    run_id: str
    metrics: dict[str, float]


def read_logged(folder: Path) -> LoggedModel:
    """Return the model that MLflow has logged in this folder.

    Raises:
        DeclarationError: Nothing here can be read; the sentence says what to do.
    """
    logged = _document(folder / _MLMODEL)
    flavors = logged.get("flavors") or {}
    files = (folder / str((flavors.get(name) or {}).get("data", "")) for name in ("onnx", "lightgbm", "xgboost"))
    file = next((path for path in files if path.is_file()), None)
    if file is None:
        forms = ", ".join(sorted(flavors)) or "none"
        raise DeclarationError(
            f"{folder.name} is logged in a form that only its library can load ({forms}): a pickle or code, which is "
            "never read. Log it as ONNX, as in "
            "mlflow.onnx.log_model(skl2onnx.to_onnx(model, X[:1]), name='model')",
            "source",
        )
    run_id = str(logged.get("run_id") or "")
    return LoggedModel(file, run_id, _metrics(folder, run_id))


def _document(path: Path) -> dict[str, Any]:
    import yaml  # of the extra for training, as what reads the model is

    try:
        document = yaml.safe_load(plain_file(path).read_text(encoding="utf-8"))
    except OSError as problem:
        text = f"{path.parent} is a folder without {_MLMODEL}: name a model file, or a folder that MLflow has logged"
        raise DeclarationError(text, "source") from problem
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        raise DeclarationError(f"{path} is not readable YAML: {str(problem).splitlines()[0]}", "source") from problem
    if not isinstance(document, dict):
        raise DeclarationError(f"{path} holds no mapping, as MLflow writes it", "source")
    return document


def _metrics(folder: Path, run_id: str) -> dict[str, float]:
    """Return the last value of each metric of the run, from the folder of runs in which the model lies."""
    runs = (parent for parent in folder.resolve().parents if run_id and (parent / "meta.yaml").is_file())
    measured = next((run / "metrics" for run in runs if (run / "metrics").is_dir()), None)
    metrics: dict[str, float] = {}
    for path in sorted(measured.rglob("*")) if measured is not None else ():  # val/auc is a file in a folder
        rows = path.read_text(encoding="utf-8").split("\n") if path.is_file() else []
        last = next((row.split() for row in reversed(rows) if row.strip()), [])
        with suppress(IndexError, ValueError):
            metrics[path.relative_to(measured or path).as_posix()] = float(last[1])
    return metrics
