"""A model folder as MLflow logs it, read without MLflow: the file MLmodel and the ONNX model it names.

Layout: https://mlflow.org/docs/latest/ml/model/ (MLmodel is YAML with `flavors`, and `signature` whose members are
JSON in quotes). Only what is needed is read: mappings by indentation, and scalars, also quoted ones over several lines.
Every flavour but onnx is a pickle or a program, and is refused.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models_onnx.errors import ImportRefused

_FILE = "MLmodel"


@dataclass(frozen=True, slots=True)
class Logged:
    """The ONNX file of the folder, where it came from, and the names of its inputs in order (empty: not told)."""

    model: Path
    words: str
    inputs: tuple[str, ...]


def read_mlflow(folder: Path) -> Logged:
    """What MLmodel says; ImportRefused where the folder holds no ONNX model."""
    try:
        text = (folder / _FILE).read_text(encoding="utf-8")
    except OSError as problem:
        raise ImportRefused(f"{folder} is a folder without {_FILE}: give an ONNX file or an MLflow model") from problem
    said = _mappings(text)
    onnx = said.get("flavors.onnx.data")
    if onnx is None:
        flavours = sorted({name.split(".")[1] for name in said if name.startswith("flavors.")})
        raise ImportRefused(
            f"the MLflow model has the flavours {', '.join(flavours) or 'none'}; only onnx is taken in, because the "
            "others are pickles or programs: log it with mlflow.onnx, or compile it with models_onnx.compiler"
        )
    model = (folder / onnx).resolve()
    if not model.is_relative_to(folder.resolve()):
        raise ImportRefused(f"{_FILE} names a file outside its folder: {onnx}")
    version, run = said.get("mlflow_version", "?"), said.get("run_id", "?")
    return Logged(model, f"MLflow {version} model of run {run}", _inputs(said.get("signature.inputs", "")))


def _mappings(text: str) -> dict[str, str]:
    """Every scalar by its path of keys, joined by dots."""
    found: dict[str, str] = {}
    path: list[tuple[int, str]] = []
    for line in _joined(text):
        if not line.strip() or line.lstrip().startswith(("#", "- ")) or ":" not in line:
            continue
        indent = len(line) - len(line.lstrip())
        key, _, value = line.strip().partition(":")
        path = [step for step in path if step[0] < indent]
        name = ".".join([*(step[1] for step in path), key.strip()])
        if value.strip():
            found[name] = _scalar(value.strip())
        else:
            path.append((indent, key.strip()))
    return found


def _joined(text: str) -> list[str]:
    """The lines, with a quoted scalar that goes over several of them in one."""
    lines: list[str] = []
    is_open = False
    for line in text.splitlines():
        if is_open:
            lines[-1] = f"{lines[-1]} {line.strip()}"
        else:
            lines.append(line)
        value = lines[-1].partition(":")[2].strip()
        is_open = value[:1] == "'" and value.replace("''", "").count("'") == 1
    return lines


def _scalar(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] == "'":
        return value[1:-1].replace("''", "'")
    if len(value) > 1 and value[0] == value[-1] == '"':
        try:
            return str(json.loads(value))
        except ValueError:
            return value[1:-1]
    return value


def _inputs(signature: str) -> tuple[str, ...]:
    """Names of the columns; a signature of one tensor names no columns."""
    try:
        columns: Any = json.loads(signature)
    except ValueError:
        return ()
    if not isinstance(columns, list) or any(
        not isinstance(each, dict) or each.get("type") == "tensor" for each in columns
    ):
        return ()
    return tuple(str(each["name"]) for each in columns if "name" in each)
