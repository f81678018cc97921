"""A number that a module names is the one that was confirmed."""

import random

from benchmarks.faults import faults_of
from tests.numbers import ROOT, listed_numbers, numbers_inside, numbers_of, numbers_of_modules


def test_no_confirmed_number_is_another() -> None:
    confirmed = listed_numbers()
    assert len(confirmed) > 1_600
    actual = {(module, name): value for module, name, value in numbers_of_modules()}
    changed = [
        f"{module}: {name} is {actual[module, name]} and was confirmed as {value}"
        for module, name, value in confirmed
        if actual.get((module, name), value) != value
    ]
    assert changed == [], "if that is meant: python -m tests.numbers --write"
    assert sum(row[:2] in actual for row in confirmed) > 0.9 * len(confirmed), "python -m tests.numbers --write"


def test_a_quarter_more_is_noticed() -> None:
    path = "cards/vaccines/patient.py"
    text = (ROOT / path).read_text(encoding="utf-8")
    faults = [fault for fault in faults_of(path, text, random.Random(1)) if fault.words == "20.0 → 25.0"]
    assert faults
    assert all(list(numbers_of(fault.text)) != list(numbers_of(text)) for fault in faults)


def test_a_number_inside_a_function_is_listed_but_for_those_that_count() -> None:
    text = "LIMIT = 5\n\n\ndef dose(mg: float) -> float:\n    return mg * 1.5 if mg > 10 else mg * 2\n"
    assert list(numbers_inside(text)) == [("dose()", "numbers: 1.5 10")]
