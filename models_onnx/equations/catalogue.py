"""The catalogue of published equations: every module of `models_onnx/equations/published` declares one `EQUATION`."""

from collections.abc import Mapping
from functools import cache

from models_onnx.discovery import discover
from models_onnx.equations.declaration import Equation
from models_onnx.errors import UnknownEquation


@cache
def find_equations() -> Mapping[str, Equation]:
    """Every equation by id, which is also the name of its file.

    Raises:
        DeclarationError: a file declares no EQUATION, one of another name, or one that contradicts itself.
    """
    return discover("models_onnx.equations.published", "EQUATION", Equation, named_after_file=True)


def compilable_outputs() -> list[tuple[Equation, str]]:
    """Every equation and output that is linear or nothing but points, so that it has an ONNX file."""
    return [
        (each, output.id)
        for each in find_equations().values()
        for output in each.outputs
        if output.id in each.linear or each.items
    ]


def get_equation(name: str) -> Equation:
    """The equation of that id.

    Raises:
        UnknownEquation: there is none; the message lists those there are.
    """
    found = find_equations()
    if name not in found:
        raise UnknownEquation(f"no equation is called {name!r}; there are: {', '.join(found)}")
    return found[name]
