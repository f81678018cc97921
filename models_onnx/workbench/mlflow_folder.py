"""The ONNX model of a folder that MLflow logged, read without MLflow.

The layout is in https://mlflow.org/docs/latest/ml/model/: MLmodel is YAML with `flavors`, and `signature` whose members
are JSON in quotes; only the few lines that are needed are found in it. Every flavour but onnx is a pickle or a program,
and is refused.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fhir.terminology.plain_file import plain_file
from models_onnx.errors import TrainingRefused

_FILE = "MLmodel"


@dataclass(frozen=True, slots=True)
class MLflowModel:
    """The ONNX file of the folder, and the names of its inputs in order (empty: not told)."""

    model: Path
    inputs: tuple[str, ...]


def read_mlflow(folder: Path) -> MLflowModel:
    """Return what MLmodel says; TrainingRefused where the folder holds no ONNX model."""
    try:
        text = plain_file(folder / _FILE).read_text(encoding="utf-8")
    except OSError as problem:
        raise TrainingRefused(
            f"{folder} is a folder without {_FILE}: give an ONNX file or an MLflow model"
        ) from problem
    data = re.search(r"^  onnx:\n(?:    .*\n)*?    data: *(.+)", text, re.MULTILINE)
    if data is None:
        flavours = re.findall(r"^  (\w+): *$", text.partition("flavors:")[2], re.MULTILINE)
        raise TrainingRefused(
            f"the MLflow model has the flavours {', '.join(flavours) or 'none'}; only onnx is taken in, because the "
            "others are pickles or programs: log it with mlflow.onnx, or compile it with models_onnx.workbench.compiler"
        )
    model = (folder / data[1].strip("\"' ")).resolve()
    if not model.is_relative_to(folder.resolve()):
        raise TrainingRefused(f"{_FILE} names a file outside its folder: {data[1]}")
    return MLflowModel(model, _inputs(text))


def _inputs(text: str) -> tuple[str, ...]:
    """Return the names of the columns in the signature, which is JSON in quotes; none where it is of one tensor."""
    signature = re.search(r"^  inputs: *'((?:[^']|'')*)'", text, re.MULTILINE)
    try:
        columns: Any = json.loads(signature[1].replace("''", "'")) if signature is not None else []
    except ValueError:
        return ()
    if not isinstance(columns, list) or not all(isinstance(column, dict) for column in columns):
        return ()
    return tuple(str(column["name"]) for column in columns if "name" in column and column.get("type") != "tensor")
