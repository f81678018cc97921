"""The numbers that modules of decisions name, as `tests/cases/numbers.csv` has them: `python -m tests.numbers --write`.

A change of one must be written there, where a reviewer sees it beside its name: few of them have a test of their own.
"""

import ast
import csv
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILE = ROOT / "tests/cases/numbers.csv"
PARTS = (
    "fhir/mapping",
    "fhir/record",
    "cards",
    "models_onnx/equations",
    "models_onnx/monitoring",
    "models_onnx/serving",
    "models_onnx/workbench/gates",
    "cds_hooks/answer",
    "cds_hooks/hold_back",
    "cds_hooks/prefetch",
    "cds_hooks/protocol",
    "cds_hooks/security",
    "cds_hooks/services",
    "cds_hooks/storage",
)
_LONGEST = 400
_PLAIN_CALLS = frozenset({"timedelta", "frozenset", "datetime", "Decimal", "steps", "present", "over", "ScoreItem"})
"""Calls that only write a number down; a value that is built by another one is the subject of other tests."""


def numbers_of(text: str) -> Iterator[tuple[str, str]]:
    """Yields the names that a module gives to values with a number in them, and the values as they are written."""
    for statement in ast.parse(text).body:
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target: ast.expr = statement.targets[0]
        elif isinstance(statement, ast.AnnAssign):
            target = statement.target
        else:
            continue
        value = statement.value
        if value is None or not any(map(_is_number, ast.walk(value))) or any(map(_builds, ast.walk(value))):
            continue
        written = ast.unparse(value)
        if len(written) <= _LONGEST:
            yield ast.unparse(target), written


def _is_number(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) in (int, float)


def _builds(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and not (isinstance(node.func, ast.Name) and node.func.id in _PLAIN_CALLS)


def numbers_of_modules() -> list[tuple[str, str, str]]:
    """Return module, name and value of every number of the parts, in order."""
    paths = sorted(path for part in PARTS for path in (ROOT / part).rglob("*.py"))
    return [
        (path.relative_to(ROOT).as_posix(), name, value)
        for path in paths
        for name, value in numbers_of(path.read_text(encoding="utf-8"))
    ]


def listed_numbers() -> list[tuple[str, str, str]]:
    """Return the rows of the file."""
    with FILE.open(encoding="utf-8", newline="") as file:
        return [(row["module"], row["name"], row["value"]) for row in csv.DictReader(file)]


if __name__ == "__main__" and "--write" in sys.argv:
    with FILE.open("w", encoding="utf-8", newline="") as output:
        csv.writer(output, lineterminator="\n").writerows([("module", "name", "value"), *numbers_of_modules()])
