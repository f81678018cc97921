"""Reads the coefficients that stand as JSON beside the module of an equation."""

import json
from importlib.resources import files
from typing import Any


def read_coefficients(name: str) -> Any:
    """The document `models_onnx/equations/<name>.json`; its member `source` says where the figures are from."""
    return json.loads((files("models_onnx.equations") / f"{name}.json").read_bytes())
