"""The published test vectors of the equations, for every test that needs values that an equation takes."""

import json
from pathlib import Path
from typing import Any

from models_onnx.equations.declaration import find_equations

VECTORS = Path(__file__).parent / "published"


def vectors_of(name: str) -> list[dict[str, Any]]:
    """The vectors of one equation, each with its id; none where it has no file."""
    file = VECTORS / f"{name}.json"
    vectors = json.loads(file.read_text(encoding="utf-8"))["test_vectors"] if file.exists() else []
    return [{"id": f"{name}-{position}", **vector} for position, vector in enumerate(vectors, start=1)]


def all_vectors() -> list[Any]:
    """(equation, vector) for every vector that expects a value; another test is about those that expect a refusal."""
    pairs = [(name, vector) for name in find_equations() for vector in vectors_of(name)]
    return [(name, vector) for name, vector in pairs if vector.get("expected") is not None]
