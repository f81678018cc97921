"""By what a record and a card name the equation that was used: id, version, and the digest of what computes it."""

import hashlib
from functools import cache

from models_onnx.calculation.calculate import Result
from models_onnx.calculation.compiled import COMPILED, compiled_name
from models_onnx.calculation.declaration import Equation


@cache
def digest_of(equation_id: str, output: str) -> str:
    """SHA-256, hexadecimal: of the ONNX file where there is one, else of the module that computes it."""
    file = COMPILED / compiled_name(equation_id, output)
    path = file if file.is_file() else COMPILED / f"{equation_id}.py"
    return hashlib.sha256(path.read_bytes()).hexdigest()


def reference_to(equation: Equation, output: str) -> dict[str, str]:
    """Id, version and digest, as the record and the extension of a card have them."""
    return {"id": equation.id, "version": equation.version, "sha256": digest_of(equation.id, output)}


def reference_of(result: Result) -> dict[str, str]:
    """The same of the equation and output of a result."""
    return reference_to(result.equation, result.output.id)
