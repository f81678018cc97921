"""By what a record and a card name the equation that was used: id, version, and the digest of what computes it."""

import hashlib
from functools import cache
from importlib.resources import files

from models_onnx.calculation.declaration import Equation


@cache
def digest_of(equation_id: str) -> str:
    """SHA-256 over the module of the equation and the coefficients beside it, hexadecimal."""
    folder = files("models_onnx.equations")
    parts = [folder / f"{equation_id}.py", folder / f"{equation_id}.json"]
    return hashlib.sha256(b"".join(part.read_bytes() for part in parts if part.is_file())).hexdigest()


def reference_to(equation: Equation) -> dict[str, str]:
    """Id, version and digest, as the record and the extension of a card have them."""
    return {"id": equation.id, "version": equation.version, "sha256": digest_of(equation.id)}
