"""The numbers that modules of decisions name, as `tests/cases/numbers.csv` has them: `python -m tests.numbers --write`.

A change of one must be written there, where a reviewer sees it beside its name: few of them have a test of their own.
"""

import ast
import csv
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILE = ROOT / "tests/cases/numbers.csv"
PARTS = ("cards", "cds_hooks", "fhir", "models_onnx")
DECIDING = (
    "cards/", "cds_hooks/hold_back/", "cds_hooks/services/", "fhir/", "models_onnx/equations/",
    "models_onnx/monitoring/",
)  # fmt: skip
"""Where numbers inside functions are listed too, but for 0, 1 and 2, which count and point."""
_LONGEST = 400
_PLAIN_CALLS = frozenset({"timedelta", "frozenset", "datetime", "Decimal", "steps", "present", "over", "ScoreItem"})
"""Calls that only write a number down; of a value that is built by another one only its numbers are listed."""


def numbers_of(text: str) -> Iterator[tuple[str, str]]:
    """Yields the names that a module, a class or an argument gives to values with a number, as they are written.

    Of a long value and of one that is built by a call, the numbers alone.
    """
    tree = _tree(text)
    for name, value in (*_named(tree.body, ""), *_defaults(tree)):
        numbers = [ast.unparse(node) for node in ast.walk(value) if _is_number(node)] if value is not None else []
        if value is None or not numbers:
            continue
        written = ast.unparse(value)
        is_plain = len(written) <= _LONGEST and not any(map(_builds, ast.walk(value)))
        yield name, written if is_plain else f"numbers: {' '.join(numbers)}"


def numbers_inside(text: str) -> Iterator[tuple[str, str]]:
    """Yields the functions of a module and the numbers that stand in them, but for 0, 1 and 2."""
    numbers = [node for node in ast.walk(_tree(text)) if isinstance(node, ast.Constant) and _is_number(node)]
    for name, function in _functions(_tree(text).body, ""):
        first, last = function.body[0].lineno, function.end_lineno or function.lineno
        inside = [node for node in numbers if first <= node.lineno <= last and node.value not in (0, 1, 2)]
        if inside:
            inside.sort(key=lambda node: (node.lineno, node.col_offset))
            yield f"{name}()", f"numbers: {' '.join(map(ast.unparse, inside))}"


def _functions(body: list[ast.stmt], owner: str) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Yield the functions of a module and of its classes."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield owner + node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node.body, f"{owner}{node.name}.")


@lru_cache(maxsize=1)
def _tree(text: str) -> ast.Module:
    return ast.parse(text)


def _named(body: list[ast.stmt], owner: str) -> Iterator[tuple[str, ast.expr | None]]:
    for statement in body:
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            yield owner + ast.unparse(statement.targets[0]), statement.value
        elif isinstance(statement, ast.AnnAssign):
            yield owner + ast.unparse(statement.target), statement.value
        elif isinstance(statement, ast.ClassDef):
            yield from _named(statement.body, f"{owner}{statement.name}.")


def _defaults(tree: ast.Module) -> Iterator[tuple[str, ast.expr | None]]:
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            arguments = function.args
            positional = [*arguments.posonlyargs, *arguments.args]
            for argument, default in (
                *zip(positional[len(positional) - len(arguments.defaults) :], arguments.defaults, strict=True),
                *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
            ):
                yield f"{function.name}({argument.arg})", default


def _is_number(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) in (int, float)


def _builds(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and not (isinstance(node.func, ast.Name) and node.func.id in _PLAIN_CALLS)


def numbers_of_modules() -> list[tuple[str, str, str]]:
    """Return module, name and value of every number that the parts name or decide by, in order."""
    paths = sorted(path for part in PARTS for path in (ROOT / part).rglob("*.py"))
    found = []
    for path in paths:
        module, text = path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
        inside = numbers_inside(text) if module.startswith(DECIDING) else ()
        found += [(module, name, value) for name, value in (*numbers_of(text), *inside)]
    return found


def listed_numbers() -> list[tuple[str, str, str]]:
    """Return the rows of the file."""
    with FILE.open(encoding="utf-8", newline="") as file:
        return [(row["module"], row["name"], row["value"]) for row in csv.DictReader(file)]


if __name__ == "__main__" and "--write" in sys.argv:
    with FILE.open("w", encoding="utf-8", newline="") as output:
        csv.writer(output, lineterminator="\n").writerows([("module", "name", "value"), *numbers_of_modules()])
