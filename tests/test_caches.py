"""docs/caches.md lists what the code of all floors remembers, and nothing is remembered in any other way."""

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

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


def _decorated(kinds: type[ast.AST] | tuple[type[ast.AST], ...], name: str) -> Iterator[tuple[Path, ast.AST]]:
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [ast.unparse(each).partition("(")[0] for each in getattr(node, "decorator_list", ())]
            if isinstance(node, kinds) and name in [each.rpartition(".")[2] for each in names]:
                yield path, node


def test_the_page_lists_every_bounded_cache_with_its_bounds_and_its_place() -> None:
    for package in (*SERVING, *FACTS):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if ".migrations" not in module.name and not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    listed = re.findall(r"^\| ([^|]+) \| ([\d,]+) \| ([\d,]+) \| `([^`]+)` \|", PAGE, re.MULTILINE)
    made = {
        (name, f"{cache.entries:,}", f"{cache.longest:,}", f"{cache.module.replace('.', '/')}.py")
        for name, cache in CACHES.items()
    }
    assert made == set(listed)
    # a cache of a module that this test does not import would be missed above
    assert len(made) == len([*_decorated(ast.FunctionDef, "remembered")])


def test_the_page_lists_every_function_that_is_remembered_for_its_arguments() -> None:
    listed = set(re.findall(r"^\| `(\w+)` \| `([^`]+\.py)` \| [^|]+ \|$", _section("Read once"), re.MULTILINE))
    made = {
        (node.name, _place(path))
        for path, node in _decorated(ast.FunctionDef, "cache")
        if isinstance(node, ast.FunctionDef) and node.args.args
    }
    assert made == listed


def test_the_page_lists_every_class_with_properties_that_are_derived_once() -> None:
    listed = set(re.findall(r"^\| `(\w+)` \| `([^`]+\.py)` \|", _section("Derived on demand"), re.MULTILINE))
    made = {
        (node.name, _place(path))
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and any(_is_cached_property(each) for each in node.body)
    }
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
