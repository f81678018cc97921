"""Small tables that decide an alert, typed a second time from their source; codes against the publisher's list."""

import csv
import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

TABLES = ROOT / "fhir" / "terminology" / "tables"

# CDC Clinical Practice Guideline for Prescribing Opioids 2022 (MMWR Recomm Rep 71(3)), table of conversion factors;
# tolerance: section 1 (indications and usage) of the labels of extended-release opioids. Read 2026-11-22.


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))


@pytest.mark.slow
def test_every_loinc_code_of_a_table_has_its_check_digit() -> None:
    """The last digit of a LOINC code follows from the others (Luhn's formula), so that a mistyped code is noticed."""
    codes = [
        (path.name, code)
        for path in sorted(TABLES.glob("*.csv"))
        for row in _rows(path)
        for code in re.findall(r"\b\d{3,6}-\d\b", row.get("loinc") or "")
    ]
    assert len(codes) > 2500
    assert [(name, code) for name, code in codes if _check_digit(code[:-2]) != int(code[-1])] == []


def _check_digit(number: str) -> int:
    doubled = "".join(str(int(digit) * (2 - position % 2)) for position, digit in enumerate(reversed(number)))
    return -sum(map(int, doubled)) % 10
