"""docs/caches.md lists what the code of all floors remembers, and nothing is remembered in any other way."""

import ast
import importlib
import pkgutil
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import cards
import cds_hooks
import fhir.client
import fhir.mapping
import fhir.record
import fhir.terminology
import models_onnx.artifact
import models_onnx.equations
import models_onnx.serving
from fhir.terminology.caching import CACHES
from tests.conftest import ROOT

FLOORS = ("cds_hooks", "cards", "models_onnx", "fhir")
SERVING = (cds_hooks, cards, models_onnx.artifact, models_onnx.equations, models_onnx.serving)
FACTS = (fhir.client, fhir.mapping, fhir.record, fhir.terminology)
PAGE = (ROOT / "docs" / "caches.md").read_text(encoding="utf-8")
FILES = [path for floor in FLOORS for path in sorted((ROOT / floor).rglob("*.py"))]


def _place(path: Path) -> str:
    return str(path.relative_to(ROOT))


class _Definition(NamedTuple):
    """What is asked of a class or function: no tree is kept, all together have a hundred megabytes."""

    name: str
    place: str
    is_class: bool
    decorators: tuple[str, ...]
    has_arguments: bool
    derives: bool
    """Whether it is a class with a property that is derived once."""


@cache
def _definitions() -> list[_Definition]:
    """Every class and function of the project, read once for all tests."""
    return [
        _definition(node, _place(path))
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef | ast.FunctionDef)
    ]


def _definition(node: ast.ClassDef | ast.FunctionDef, place: str) -> _Definition:
    is_class = isinstance(node, ast.ClassDef)
    has_arguments = isinstance(node, ast.FunctionDef) and bool(node.args.args)
    return _Definition(
        node.name,
        place,
        is_class,
        _decorators(node),
        has_arguments,
        is_class and any(map(_is_cached_property, node.body)),
    )


def _decorators(node: ast.ClassDef | ast.FunctionDef) -> tuple[str, ...]:
    """The last word of each decorator: `cache` of `@functools.cache`."""
    named = (ast.unparse(each).partition("(")[0] for each in node.decorator_list)
    return tuple(each.rpartition(".")[2] for each in named)


def _decorated(name: str) -> list[_Definition]:
    return [each for each in _definitions() if not each.is_class and name in each.decorators]


def test_the_page_lists_every_bounded_cache_with_its_bounds_and_its_place() -> None:
    for package in (*SERVING, *FACTS):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    listed = re.findall(r"^\| ([^|]+) \| ([\d,]+) \| ([\d,]+) \| `([^`]+)` \|", PAGE, re.MULTILINE)
    made = {
        (name, f"{cache.entries:,}", f"{cache.longest:,}", f"{cache.module.replace('.', '/')}.py")
        for name, cache in CACHES.items()
    }
    assert made == set(listed)
    # a cache of a module that this test does not import would be missed above
    assert len(made) == len(_decorated("remembered"))


def test_the_page_lists_every_function_that_is_remembered_for_its_arguments() -> None:
    listed = set(re.findall(r"^\| `(\w+)` \| `([^`]+\.py)` \| [^|]+ \|$", _section("Read once"), re.MULTILINE))
    made = {(each.name, each.place) for each in _decorated("cache") if each.has_arguments}
    assert made == listed


def test_the_page_lists_every_class_with_properties_that_are_derived_once() -> None:
    listed = set(re.findall(r"^\| `(\w+)` \| `([^`]+\.py)` \|", _section("Derived on demand"), re.MULTILINE))
    made = {(each.name, each.place) for each in _definitions() if each.derives}
    assert made == listed


def test_the_objects_that_keep_something_are_where_the_page_says() -> None:
    rows = re.findall(r"^\| `([\w.]+)` \| [^|]+ \| `([^`]+\.py)` \|", _section("Kept by objects"), re.MULTILINE)
    assert rows
    for name, place in rows:
        assert f"class {name.partition('.')[0]}" in (ROOT / place).read_text(encoding="utf-8"), name


def test_nothing_is_remembered_without_a_bound_or_under_names_made_of_text() -> None:
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        assert "lru_cache" not in text, f"{_place(path)}: use remembered of fhir/terminology/caching.py"
        assert "__dict__" not in text, f"{_place(path)}: a value is kept under a name, not in __dict__"


def _section(title: str) -> str:
    start = PAGE.index(f"## {title}")
    end = PAGE.find("\n## ", start + 1)
    return PAGE[start : end if end > 0 else len(PAGE)]


def _is_cached_property(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef) and any(
        ast.unparse(each).endswith("cached_property") for each in node.decorator_list
    )
