"""Names say what they hold: no variable, parameter or function is called `each`, `one`, `found` and the like.

A package in REMAINING may have so many of them and not one more; the others have none.
"""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import ROOT

STOP_LIST = frozenset(
    {"each", "one", "found", "said", "known", "own", "place", "thing", "told", "named", "asked", "taken"}
)
FLOORS = ("cds_hooks", "cards", "models_onnx", "fhir", "benchmarks")
REMAINING: dict[str, int] = {
    "benchmarks": 1,
    "cards/rules": 2,
    "cds_hooks": 1,
    "cds_hooks/answer": 2,
    "cds_hooks/commands": 10,
    "cds_hooks/hold_back": 2,
    "cds_hooks/monitor": 14,
    "cds_hooks/outcomes": 30,
    "cds_hooks/pages": 32,
    "cds_hooks/panel": 44,
    "cds_hooks/replay": 2,
    "cds_hooks/routes": 1,
    "cds_hooks/security": 28,
    "cds_hooks/services": 1,
    "cds_hooks/settings": 1,
    "cds_hooks/storage": 1,
    "cds_hooks/web": 2,
    "fhir/mapping": 2,
    "models_onnx/equations": 1,
    "models_onnx/monitoring": 11,
    "models_onnx/panel": 4,
}


def _bound_names(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name


def _package(file: Path) -> str:
    parts = file.relative_to(ROOT).parts
    return "/".join(parts[:2]) if len(parts) > 2 else parts[0]


def _counts() -> Counter[str]:
    return Counter(
        _package(file)
        for floor in FLOORS
        for file in sorted((ROOT / floor).rglob("*.py"))
        for name in _bound_names(file)
        if name.strip("_") in STOP_LIST
    )


def test_no_package_has_more_names_of_the_stop_list_than_it_had() -> None:
    more = {package: count for package, count in _counts().items() if count > REMAINING.get(package, 0)}
    assert not more, f"name what they hold (docs/architecture.md, Glossary): {more}"


def test_a_package_that_has_fewer_keeps_its_lower_number() -> None:
    counts = _counts()
    fewer = {package: counts[package] for package, count in REMAINING.items() if counts[package] < count}
    assert not fewer, f"write these numbers into REMAINING: {fewer}"


def test_the_glossary_has_each_term_once_and_in_order() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = [
        line.split("|")[1].strip() for line in page.partition("## Glossary")[2].splitlines() if line.startswith("| ")
    ]
    terms = rows[1:]
    assert len(terms) >= 60
    assert terms == sorted(set(terms))
