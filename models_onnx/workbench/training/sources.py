"""Model files of other libraries as they come: what inputs they name, and where they say that they were logged.

A file is ONNX, LightGBM's text or XGBoost's JSON; a folder with an `MLmodel` is a model that MLflow has logged.
"""

import json
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fhir.terminology.plain_file import plain_file, read_plain, unreadable
from models_onnx.artifact.onnx_file import refuse_unsafe
from models_onnx.errors import CompileRefused, UnsafeModel
from models_onnx.serving.runtime import RUN_ERRORS, session_of
from models_onnx.workbench.compiler.readers.source import read_file

MLMODEL = "MLmodel"
_LOADED_BY_CODE = (
    "is logged in a form that only its library can load ({flavors}), and is a pickle or code, which is never read. Log "
    "it as ONNX: mlflow.onnx.log_model(skl2onnx.to_onnx(model, X[:1]), name='model', signature=signature)"
)


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A model file: its inputs by name (none where they are one table without names), and which of them are texts.

    `count` is how many numbers it takes, None where the file does not say it. `run_id` and `metrics` are those of
    MLflow.
    """

    path: Path
    inputs: tuple[str, ...]
    texts: frozenset[str] = frozenset()
    count: int | None = None
    run_id: str = ""
    metrics: dict[str, float] = field(default_factory=dict)


def read_source(path: Path) -> ModelSource:
    """Return a model file, or that of a folder which MLflow has logged.

    Raises:
        CompileRefused: nothing here can be read; the sentence says what to do.
    """
    if path.is_dir():
        return _of_mlflow(path)
    if path.suffix.lower() == ".onnx":
        return _of_onnx(path)
    names = read_file(path).features
    return ModelSource(path, names, count=len(names))


def _of_onnx(path: Path) -> ModelSource:
    try:
        content = read_plain(path)
    except OSError as problem:
        raise CompileRefused(unreadable(path, problem)) from problem
    refuse_unsafe(content)
    try:
        items = session_of(content).get_inputs()
    except RUN_ERRORS as problem:
        raise UnsafeModel(f"{path.name} cannot be loaded: {str(problem).splitlines()[0][:200]}") from problem
    if len(items) > 1 or items[0].shape[1:] == [1]:
        texts = frozenset(item.name for item in items if item.type == "tensor(string)")
        return ModelSource(path, tuple(item.name for item in items), texts, len(items))
    count = items[0].shape[-1]
    return ModelSource(path, (), count=count if isinstance(count, int) else None)


def _of_mlflow(folder: Path) -> ModelSource:
    logged = _yaml(folder / MLMODEL)
    flavors = logged.get("flavors") or {}
    for flavor, member in (("onnx", "data"), ("lightgbm", "data"), ("xgboost", "data")):
        if flavor in flavors and (file := folder / str(flavors[flavor].get(member, ""))).is_file():
            source = read_source(file)
            break
    else:
        raise CompileRefused(f"{folder.name} {_LOADED_BY_CODE.format(flavors=', '.join(sorted(flavors)) or 'none')}")
    named = _signature(logged)
    if named and source.inputs and set(named) != set(source.inputs):
        raise CompileRefused(
            f"{folder.name}: the signature names the inputs {', '.join(named)}, the file {', '.join(source.inputs)}: "
            "log the model again with the signature of this file"
        )
    inputs = source.inputs or named
    run_id = str(logged.get("run_id") or "")
    return ModelSource(source.path, inputs, source.texts, source.count or len(inputs), run_id, _metrics(folder, run_id))


def _yaml(path: Path) -> dict[str, Any]:
    import yaml

    try:
        document = yaml.safe_load(plain_file(path).read_text(encoding="utf-8"))
    except OSError as problem:
        raise CompileRefused(
            f"{path.parent} is a folder without {MLMODEL}: name a model file, or a folder that MLflow has logged"
        ) from problem
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        raise CompileRefused(f"{path} is not readable YAML: {str(problem).splitlines()[0]}") from problem
    if not isinstance(document, dict):
        raise CompileRefused(f"{path} holds no mapping, as MLflow writes it")
    return document


def _signature(logged: dict[str, Any]) -> tuple[str, ...]:
    """Return the named columns of the signature, in their order; none where it has a tensor or is not there."""
    try:
        columns = json.loads((logged.get("signature") or {}).get("inputs") or "[]")
        return tuple(str(column["name"]) for column in columns)
    except (ValueError, KeyError, TypeError):
        return ()


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
