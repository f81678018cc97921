"""Caches of texts from outside are bounded by entries and by size, and stand on the page docs/caches.md."""

import importlib
import pkgutil
import re
from typing import Any

import pytest

import fhir.mapping
import fhir.record
import fhir.terminology
from fhir.terminology.caching import CACHES, BoundedCache, remembered
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "caches.md").read_text(encoding="utf-8")
LISTED = re.findall(r"^\| ([^|]+) \| ([\d,]+) \| ([\d,]+) \| `(fhir/[^`]+)` \|", PAGE, re.MULTILINE)


def test_the_page_lists_every_cache_of_fhir_with_its_bounds_and_place() -> None:
    for package in (fhir.record, fhir.terminology, fhir.mapping):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    found = {
        (name, f"{cache.entries:,}", f"{cache.longest:,}", f"{cache.module.replace('.', '/')}.py")
        for name, cache in CACHES.items()
        if cache.module.startswith("fhir.")
    }
    assert found == set(LISTED)


def test_no_cache_of_fhir_is_made_in_another_way() -> None:
    for path in (ROOT / "fhir").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "lru_cache" not in text, path
        for match in re.finditer(r"^@cache\n(?:async )?def (\w+)\(([^)]*)\)", text, re.MULTILINE):
            assert match[2] in ("", "kind: type[Struct]") or path.name == "analytes.py", (
                f"{path}: {match[1]} is remembered for any argument"
            )


def test_a_cache_forgets_when_it_is_full_and_keeps_no_long_text() -> None:
    for cache in CACHES.values():
        assert len(cache) <= cache.entries, cache.name
        assert all(len(key) <= cache.longest for key in cache if isinstance(key, str)), cache.name


def test_a_cache_keeps_what_fits_and_starts_anew_when_it_is_full() -> None:
    asked: list[Any] = []

    def compute(key: Any) -> str:
        asked.append(key)
        return f"answer {key}"

    cache = BoundedCache("test", compute, 2, 300, "tests")
    assert [cache["a"], cache["b"], cache["a"]] == ["answer a", "answer b", "answer a"]
    assert asked == ["a", "b"]
    assert cache["c"] == "answer c"
    assert list(cache) == ["c"]
    keys: list[Any] = ["x" * 200, "x" * 201, ("x" * 200, "y" * 100), ("x" * 200, "y" * 101), ("x" * 201, "y"),
                       (("x" * 200,), b"y" * 100), (("x" * 200,), b"y" * 101), (1, None)]  # fmt: skip
    kept = []
    for key in keys:
        cache.clear()
        cache[key]
        kept.append(key in cache)
    assert kept == [True, False, True, False, False, True, False, True]
    short = BoundedCache("test", compute, 2, 5, "tests")
    for key in ("12345", "123456"):
        short[key]
    assert list(short) == ["12345"]


def test_a_function_of_one_two_or_three_texts_is_remembered_by_all_of_them() -> None:
    calls = []

    def one(first: str) -> str:
        calls.append(first)
        return first

    def two(first: str, second: str) -> str:
        calls.append(first + second)
        return first + second

    def three(first: str, second: str, third: str) -> str:
        calls.append(first + second + third)
        return first + second + third

    first = remembered("test of 1", entries=9, longest=9)(one)
    second = remembered("test of 2", entries=9, longest=9)(two)
    third = remembered("test of 3", entries=9, longest=9)(three)
    for _ in range(2):
        assert [first("a"), second("a", "b"), third("a", "b", "c")] == ["a", "ab", "abc"]
    assert calls == ["a", "ab", "abc"]
    with pytest.raises(ValueError, match="two caches have the name 'test of 1'"):
        remembered("test of 1", entries=1, longest=1)(one)
    for count in (1, 2, 3):
        assert CACHES.pop(f"test of {count}").entries == 9
