"""Id, version and digest of a published equation, as a decision and the extension of a card name it."""

import hashlib
import inspect
from functools import cache
from importlib.resources import files
from pathlib import Path

from models_onnx.equations.declaration import Equation

# The wheel is installed unpacked, so the package's own files have a path.
PUBLISHED = Path(str(files("models_onnx.equations.published")))


def equation_digest(equation: Equation) -> str:
    """Returns the SHA-256, hexadecimal, of the module with its coefficients and of the file of its formula."""
    return _source_digest(equation.id, inspect.getsourcefile(equation.formula) if equation.formula else None)


def equation_reference(equation: Equation) -> dict[str, str]:
    """Returns id, version and digest."""
    return {"id": equation.id, "version": equation.version, "sha256": equation_digest(equation)}


@cache
def _source_digest(equation_id: str, formula: str | None) -> str:
    module, coefficients = PUBLISHED / f"{equation_id}.py", PUBLISHED / f"{equation_id}.json"
    sources = [module, *([coefficients] if coefficients.is_file() else []), *([Path(formula)] if formula else [])]
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
