"""Every example in a docstring of the product runs and gives what it says."""

import doctest
import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType

import pytest

import cards
import cds_hooks
import fhir.client
import fhir.mapping
import fhir.record
import fhir.terminology
import models_onnx
from tests.each import for_each

PACKAGES: tuple[ModuleType, ...] = (
    cards, cds_hooks, fhir.client, fhir.mapping, fhir.record, fhir.terminology, models_onnx,
)  # fmt: skip
LEAST_EXAMPLES = 80


def _module_names() -> Iterator[str]:
    for package in PACKAGES:
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                yield module.name


def _doctests() -> list[doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    modules = (importlib.import_module(name) for name in _module_names())
    found = {test.name: test for module in modules for test in finder.find(module) if test.examples}
    return list(found.values())


def _gives_what_it_says(example: doctest.DocTest) -> None:
    report: list[str] = []
    failed, _ = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(example, out=report.append)
    assert not failed, "".join(report)


@pytest.mark.slow
def test_every_example_gives_what_it_says() -> None:
    examples = [(example.name, (example,)) for example in _doctests()]
    assert len(examples) >= LEAST_EXAMPLES
    for_each(examples, _gives_what_it_says)
