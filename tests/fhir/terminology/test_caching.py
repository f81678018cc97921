"""Caches of texts from outside are bounded by entries and by size, and stand on the page docs/caches.md."""

import importlib
import pkgutil
import re

import fhir.mapping
import fhir.record
import fhir.terminology
from fhir.terminology.caching import CACHES
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
