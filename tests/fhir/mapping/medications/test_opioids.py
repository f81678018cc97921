"""Milligrams of oral morphine a day: the factors of 2022, at their most, and never for what has no factor."""

from typing import Any

import pytest

from fhir.mapping.medications.daily_dose import daily_dose
from fhir.mapping.medications.identity import identify
from fhir.mapping.medications.opioids import OpioidDose, opioid_doses
from tests.each import for_rows
from tests.fhir.builders import coded, order

FOUR_TIMES = {"timing": {"repeat": {"frequency": 4, "period": 1, "periodUnit": "d"}}}
PATCH = coded("245134", "72 HR fentanyl 0.025 MG/HR Transdermal System")


def _doses(medication: dict[str, Any] | str, dosage: dict[str, Any], **how: bool) -> tuple[OpioidDose, ...]:
    draft = order(medication, dosage)
    identity = identify(draft)
    return opioid_doses(identity, daily_dose(draft, identity), injected=how.get("injected", False))


def _of(value: float, unit: str) -> dict[str, Any]:
    return {"doseAndRate": [{"doseQuantity": {"value": value, "unit": unit}}]}


@for_rows("dosage")
def test_a_patch_counts_what_it_gives_off_whatever_its_change(dosage: dict[str, Any]) -> None:
    (dose,) = _doses(PATCH, dosage)
    assert (dose.low, dose.high) == (60.0, 60.0)
    assert (dose.tolerance_low, dose.tolerance_high) == (1.0, 1.0)


def test_two_patches_at_a_time_count_twice() -> None:
    (dose,) = _doses(PATCH, {"text": "apply 2 patches every 72 hours"})
    assert dose.high == pytest.approx(120.0)


def test_a_range_counts_at_its_upper_end_and_as_needed_from_nothing() -> None:
    (dose,) = _doses("oxycodone 5 MG Oral Tablet", {"text": "1-2 tabs q4-6h prn pain"})
    assert dose.low == 0.0
    assert dose.high == pytest.approx(90.0)


@for_rows(("drug", "words"))
def test_what_has_no_factor_is_named(drug: str, words: str) -> None:
    (dose,) = _doses(drug, _of(1, "tablet") | FOUR_TIMES)
    assert dose.high is None
    assert words in (dose.problem or "")


@pytest.mark.parametrize(
    "drug", ["buprenorphine 8 MG / naloxone 2 MG Sublingual Film", "buprenorphine 0.02 MG/HR patch"]
)
def test_buprenorphine_is_never_counted(drug: str) -> None:
    assert _doses(drug, _of(1, "film") | FOUR_TIMES) == ()


def test_an_unknown_dose_is_not_nothing() -> None:
    (dose,) = _doses("oxycodone 5 MG Oral Tablet", _of(1, "tablet"))
    assert (dose.high, dose.problem) == (None, "oxycodone: the frequency is not stated")


# Equivalent ways to write so many 5 mg tablets of oxycodone, and how often as needed.
