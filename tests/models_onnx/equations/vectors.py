"""The carried test vectors, for every test that needs values that an equation takes."""

import json
from pathlib import Path
from typing import Any

from models_onnx.calculation.finding import find_equations

CASES = Path(__file__).parents[2] / "cases" / "equations"


def vectors_of(name: str) -> list[dict[str, Any]]:
    """The vectors carried for one equation."""
    vectors: list[dict[str, Any]] = json.loads((CASES / f"{name}.json").read_text(encoding="utf-8"))["vectors"]
    return vectors


def all_vectors() -> list[Any]:
    """(equation, vector) for every carried vector."""
    return [(name, vector) for name in find_equations() for vector in vectors_of(name)]
