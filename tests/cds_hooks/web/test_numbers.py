"""Numbers as the pages write them, and the examples in the docstrings of the whole folder."""

import doctest
import importlib
import pkgutil

import pytest

import cds_hooks.web as package
from cds_hooks.web.numbers import format_quantity, logistic, logit, people_range


@pytest.mark.parametrize("name", [module.name for module in pkgutil.iter_modules(package.__path__)])
def test_the_examples_of_every_module_hold(name: str) -> None:
    assert doctest.testmod(importlib.import_module(f"{package.__name__}.{name}")).failed == 0


def test_a_range_never_promises_nobody_or_everybody() -> None:
    assert people_range(0.0, 0.002) == "1"
    assert people_range(0.9, 1.0) == "90 to 99"


def test_log_odds_and_probability_are_each_others_inverse() -> None:
    for probability in (1e-6, 0.0385, 0.5, 0.97):
        assert logistic(logit(probability)) == pytest.approx(probability, rel=1e-12)


def test_a_value_keeps_the_decimals_of_its_size_and_a_real_minus() -> None:
    assert format_quantity(97.24000001, "mg/dL") == "97.2 mg/dL"
    assert format_quantity(-4.0, "mmol/L") == "−4 mmol/L"
    assert format_quantity(12345.6, "U/L") == "12,346 U/L"
    assert format_quantity(41.0, "mL/min/{1.73_m2}") == "41 mL/min/1.73 m²"
