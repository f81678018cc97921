"""An order composed on /try, and how the drafts there are told in words."""

from datetime import date
from typing import Any

import pytest

from cds_hooks.pages.tester.orders import Dosing, Orderable, UnusableOrder, compose, dose_of, name_of

METFORMIN = Orderable(
    "MedicationRequest",
    "metformin hydrochloride 500 MG Oral Tablet",
    "http://www.nlm.nih.gov/research/umls/rxnorm",
    "861007",
)
TODAY = date(2026, 11, 20)


def _composed(**dosing: Any) -> dict[str, Any]:
    return compose(METFORMIN, Dosing(**dosing), TODAY)


def test_a_dose_with_its_days_is_an_order_of_fhir() -> None:
    order = _composed(dose="2,5", unit="mg", frequency="2d", days="7", as_needed=True)
    (dosage,) = order["dosageInstruction"]
    assert dosage["text"] == "2.5 mg twice a day as needed"
    assert dosage["timing"] == {"repeat": {"frequency": 2, "period": 1, "periodUnit": "d"}}
    assert dosage["doseAndRate"][0]["doseQuantity"]["value"] == 2.5
    assert dosage["asNeededBoolean"] is True
    assert order["dispenseRequest"]["expectedSupplyDuration"]["value"] == 7
    assert order["authoredOn"] == "2026-11-20"


@pytest.mark.parametrize(("dose", "is_taken"), [("0", False), ("x", False), ("999999", True), ("1000000", False)])
def test_a_dose_is_a_number_above_zero_and_below_a_million(dose: str, is_taken: bool) -> None:
    if is_taken:
        assert _composed(dose=dose)["dosageInstruction"]
    else:
        with pytest.raises(UnusableOrder, match="above 0"):
            _composed(dose=dose)


@pytest.mark.parametrize(
    ("dosage", "words"),
    [
        ([{"text": "one at night"}], "one at night"),
        ([{"doseAndRate": [{"doseQuantity": {"value": 5, "unit": "mg"}}]}], "5 mg"),
        (
            [
                {
                    "doseAndRate": [{"doseQuantity": {"value": 5, "unit": "mg"}}],
                    "timing": {"repeat": {"frequency": 2, "period": 1, "periodUnit": "d"}},
                }
            ],
            "5 mg twice a day",
        ),
        ([{"timing": {"repeat": {"frequency": 5, "period": 9, "periodUnit": "d"}}}], ""),
        ([{"timing": {"repeat": {"frequency": 2, "period": 1, "periodUnit": "d"}}}, {"text": "b"}], "twice a day; b"),
        ([{"doseAndRate": "none", "timing": "none"}, "no dosage"], ""),
        ("none", ""),
    ],
)
def test_a_draft_is_told_by_its_text_or_by_its_dose_and_rhythm(dosage: Any, words: str) -> None:
    assert dose_of({"dosageInstruction": dosage}) == words


@pytest.mark.parametrize(
    ("draft", "name"),
    [
        ({"medicationCodeableConcept": {"text": "A", "coding": [{"display": "B"}]}}, "A"),
        ({"code": {"coding": [{"display": "B", "code": "1"}]}}, "B"),
        ({"vaccineCode": {"coding": [{"code": "1"}]}}, "1"),
        ({"medicationReference": {"display": "C"}}, "C"),
        ({"code": "none", "resourceType": "ServiceRequest"}, "ServiceRequest"),
        ({}, "order"),
    ],
)
def test_a_draft_is_named_by_its_text_its_display_or_its_code(draft: dict[str, Any], name: str) -> None:
    assert name_of(draft) == name
