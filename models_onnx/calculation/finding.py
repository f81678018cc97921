"""Finds the equations: every module of `models_onnx/equations` declares one `EQUATION` and is named after it."""

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache

from models_onnx import equations
from models_onnx.calculation.declaration import Equation
from models_onnx.calculation.errors import EquationMisdeclared, UnknownEquation


@cache
def find_equations() -> Mapping[str, Equation]:
    """Every equation by id; refuses a module without an EQUATION or of another name."""
    found: dict[str, Equation] = {}
    for module in pkgutil.iter_modules(equations.__path__):
        equation = getattr(importlib.import_module(f"{equations.__name__}.{module.name}"), "EQUATION", None)
        if not isinstance(equation, Equation):
            raise EquationMisdeclared(f"models_onnx/equations/{module.name}.py declares no EQUATION")
        if equation.id != module.name:
            raise EquationMisdeclared(
                f"models_onnx/equations/{module.name}.py declares {equation.id!r}; name the file after the equation"
            )
        found[equation.id] = equation
    return found


def compilable() -> list[tuple[Equation, str]]:
    """Every equation and output that is linear or nothing but points, so that it has an ONNX file."""
    return [
        (each, output.id)
        for each in find_equations().values()
        for output in each.outputs
        if output.id in each.linear or each.items
    ]


def get_equation(name: str) -> Equation:
    """The equation of that id; UnknownEquation otherwise."""
    found = find_equations()
    if name not in found:
        raise UnknownEquation(f"no equation is called {name!r}; there are: {', '.join(found)}")
    return found[name]
