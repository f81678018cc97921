"""A result such as ">6.4" says on which side of a number it lies: it decides what it can, and cards write the side."""

from datetime import datetime
from typing import Any

import orjson
import pytest

from cards.casebook.patients import PATIENT_ID
from cards.compose.orders import check_orders
from cards.rules.patient.orders import read_drafts
from fhir.record.record import read_record
from fhir.record.resources import decoder
from tests.cards.rules.cases import findings, texts, uuids

_SUBJECT = {"reference": f"Patient/{PATIENT_ID}"}


def _potassium(day: str, value: dict[str, Any]) -> dict[str, Any]:
    code = {"coding": [{"system": "http://loinc.org", "code": "2823-3"}]}
    return {
        "resource": {
            "resourceType": "Observation",
            "id": f"potassium-{day}",
            "status": "final",
            "code": code,
            "subject": _SUBJECT,
            "effectiveDateTime": f"2026-07-{day}",
            **value,
        }
    }


def _said(as_of: datetime, *results: dict[str, Any]) -> tuple[list[str], str]:
    patient = {"resourceType": "Patient", "id": PATIENT_ID, "gender": "male", "birthDate": "1950-01-01"}
    bundle = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": patient}, *results]}
    order = {
        "resourceType": "MedicationRequest",
        "id": "draft-1",
        "status": "draft",
        "intent": "order",
        "subject": _SUBJECT,
        "medicationCodeableConcept": {"text": "lisinopril 10 mg tablet"},
    }
    record = read_record({"all": decoder.decode(orjson.dumps(bundle))}, PATIENT_ID, as_of)
    drafts = read_drafts([{"resource": order}])
    outcome = check_orders(record, drafts, None, uuids(), None, lambda _: None, signing=True)
    return [rule for rule, _, _ in findings(outcome)], texts(outcome)


ABOVE = {"valueString": ">6.4 mmol/L"}
QUANTITY = {"valueQuantity": {"value": 6.4, "comparator": ">", "unit": "mmol/L", "code": "mmol/L"}}
NORMAL = {"valueQuantity": {"value": 4.1, "unit": "mmol/L", "code": "mmol/L"}}


@pytest.mark.parametrize("value", [ABOVE, QUANTITY])
def test_a_potassium_above_a_number_counts_and_the_card_says_the_side(value: dict[str, Any]) -> None:
    as_of = datetime.fromisoformat("2026-07-30T12:00:00+00:00")
    rules, said = _said(as_of, _potassium("20", NORMAL), _potassium("29", value))
    assert "disease-raas-potassium" in rules
    assert "potassium &gt;6.4" in said or "potassium >6.4" in said


def test_a_number_that_is_newer_goes_before_it() -> None:
    as_of = datetime.fromisoformat("2026-07-30T12:00:00+00:00")
    rules, _ = _said(as_of, _potassium("20", ABOVE), _potassium("29", NORMAL))
    assert "disease-raas-potassium" not in rules


def test_below_a_high_number_leaves_the_question_open() -> None:
    as_of = datetime.fromisoformat("2026-07-30T12:00:00+00:00")
    rules, _ = _said(as_of, _potassium("29", {"valueString": "<7.0 mmol/L"}))
    assert "disease-raas-potassium" not in rules
