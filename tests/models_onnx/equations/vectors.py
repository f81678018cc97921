"""The test vectors of the equations as they are written, for every test that needs values that an equation takes."""

import json
from typing import Any

from models_onnx.equations.compiled import PUBLISHED
from models_onnx.equations.declaration import find_equations


def vectors_of(name: str) -> list[dict[str, Any]]:
    """The vectors of one equation, from its declaration or from the file beside it."""
    if declared := find_equations()[name].vectors:
        return [{"id": f"{name}-{position}", **vector} for position, vector in enumerate(declared, start=1)]
    text = (PUBLISHED / f"{name}.vectors.json").read_text(encoding="utf-8")
    vectors: list[dict[str, Any]] = json.loads(text)["test_vectors"]
    return vectors


def all_vectors() -> list[Any]:
    """(equation, vector) for every vector that expects a value; another test is about those that expect a refusal."""
    pairs = [(name, vector) for name in find_equations() for vector in vectors_of(name)]
    return [(name, vector) for name, vector in pairs if vector.get("expected") is not None]
