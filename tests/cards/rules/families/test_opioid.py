"""What counts as an opioid that is taken: replaced orders, statements, dispenses, tolerance, last month's total."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from cards.rules.families.opioid.view import OpioidView, has_rescue_naloxone, is_long_acting
from cards.rules.patient.session import PatientSession
from fhir.mapping.medications.identity import identify_concept
from fhir.record.datatypes import CodeableConcept
from tests.cards.rules.patients import draft_of, drafts_of, record_of

Json = dict[str, Any]
OXYCODONE: Json = {"drug": "1049621", "dose": "2 tablet", "times": 4}
MORPHINE: Json = {"drug": "morphine sulfate 15 MG Oral Tablet", "dose": "1 tablet", "times": 2}


def _view(patient: Json, as_of: datetime, draft: Json = MORPHINE, **more: Any) -> OpioidView:
    session = PatientSession(record_of(patient, as_of), drafts_of(draft_of({**draft, "more": more})))
    return OpioidView(session, session.drafted[0])


def _statement(as_of: datetime, kind: str = "MedicationStatement", days_ago: int = 20, **more: Any) -> Json:
    when = (as_of - timedelta(days=days_ago)).date().isoformat()
    dosage = [{"text": "2 tablets four times a day"}]
    resource: Json = {
        "resourceType": kind,
        "id": "elsewhere",
        "status": "active",
        "medicationCodeableConcept": {"text": "oxycodone hydrochloride 5 MG Oral Tablet"},
        "subject": {"reference": "Patient/case"},
    }
    if kind == "MedicationDispense":
        supply = {"value": 30, "unit": "days", "code": "d"}
        return resource | {"status": "completed", "whenHandedOver": when, "daysSupply": supply} | {
            "dosageInstruction": dosage, "authorizingPrescription": [], **more}  # fmt: skip
    return resource | {"effectiveDateTime": when, "dosage": dosage} | more


@pytest.mark.parametrize(
    "named",
    [
        {"priorPrescription": {"reference": "MedicationRequest/active-0"}},
        {"basedOn": [{"reference": "MedicationRequest/active-0"}]},
        {"priorPrescription": {"reference": "https://ehr.example/fhir/MedicationRequest/active-0"}},
        {"basedOn": [{"reference": "MedicationRequest/active-0/_history/1"}]},
    ],
)
def test_an_order_that_the_draft_names_as_its_forerunner_is_not_added(named: Json, as_of: datetime) -> None:
    view = _view({"active": [OXYCODONE]}, as_of, **named)
    assert view.total == (30.0, True)
    assert view.is_not_raised is True


def test_a_dispense_counts_like_an_order(as_of: datetime) -> None:
    assert _view({"more": [_statement(as_of, "MedicationDispense")]}, as_of).total == (90.0, True)


def test_a_dispense_from_elsewhere_makes_tolerant(as_of: datetime) -> None:
    patient = {"more": [_statement(as_of, "MedicationDispense")]}
    assert _view(patient, as_of, {"drug": "245134"}).is_tolerant is True


@pytest.mark.parametrize(
    ("words", "long_acting"),
    [
        ("12 HR oxycodone hydrochloride 10 MG Extended Release Oral Tablet", True),
        ("OxyContin 10 mg", True),
        ("MS Contin 15 mg tablet", True),
        ("Skenan LP 30 mg", True),
        ("Morphin retard 30 mg", True),
        ("morphine sulfate ER 15 mg", True),
        ("72 HR fentanyl 0.025 MG/HR Transdermal System", True),
        ("fentanyl patch 25 mcg/hr", True),
        ("methadone 5 mg tablet", True),
        ("oxycodone 5 mg tablet", False),
        ("buprenorphine 0.02 MG/HR Transdermal System", False),
        ("morphine sulfate 2 MG/ML Oral Solution", False),
        ("metformin 500 MG Extended Release Oral Tablet", False),
    ],
)
def test_what_is_long_acting(words: str, long_acting: bool) -> None:
    assert is_long_acting(identify_concept(CodeableConcept(text=words))) is long_acting


@pytest.mark.parametrize(
    ("drug", "counts"),
    [
        ("naloxone 4 MG Nasal Spray", True),
        ("naloxone", True),
        ("nalmefene 2.7 MG Nasal Spray", True),
        ("buprenorphine 8 MG / naloxone 2 MG Sublingual Film", False),
        ("naltrexone 50 MG Oral Tablet", False),
    ],
)
def test_what_is_rescue_naloxone(drug: str, counts: bool, as_of: datetime) -> None:
    session = PatientSession(record_of({"active": [{"drug": drug, "status": "completed", "days_ago": 100}]}, as_of), [])
    assert has_rescue_naloxone(session, 365) is counts


def test_naloxone_that_will_be_ordered_is_none_yet(as_of: datetime) -> None:
    later = {"drug": "naloxone 4 MG Nasal Spray", "status": "completed", "days_ago": -30}
    assert not has_rescue_naloxone(PatientSession(record_of({"active": [later]}, as_of), []), 365)
