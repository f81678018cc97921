"""What of an order decides about coverage: codes, days, places, sites and for whom it is."""

from typing import Any

from cards.coverage.order import OrderFacts, is_for_patient, read_order
from tests.each import for_rows

Json = dict[str, Any]
HCPCS = "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"


def concept(code: str, system: str = HCPCS) -> Json:
    return {"coding": [{"system": system, "code": code}]}


def order(kind: str = "ServiceRequest", **more: Any) -> Json:
    return {"resourceType": kind, "id": "o", **more}


def read(resource: Json, sites: Json | None = None) -> OrderFacts:
    facts = read_order(resource, sites or {})
    assert facts is not None
    return facts


@for_rows(
    "change",
    [
        {"resourceType": "Observation"}, {"id": ""}, {"id": 1}, {"doNotPerform": True}, {"status": "cancelled"},
        {"status": "entered-in-error"}, {"status": "revoked"},
    ],
)  # fmt: skip
def test_what_is_no_order_or_is_not_to_be_done_is_not_read(change: Json) -> None:
    assert read_order(order() | change, {}) is None


@for_rows(
    ("resource", "is_coarse"),
    [
        (order(code={"text": "Wheelchair"}), True),
        (order("DeviceRequest", codeCodeableConcept=concept("1", "http://snomed.info/sct")), True),
        (order("DeviceRequest", codeCodeableConcept=concept("E0601")), False),
        (order(code=concept("4548-4", "http://loinc.org")), False),
        (order(), False),
        (order("MedicationRequest", medicationCodeableConcept={"text": "x"}), False),
    ],
)
def test_words_or_a_clinical_code_alone_are_too_coarse(resource: Json, is_coarse: bool) -> None:
    assert read(resource).is_too_coarse is is_coarse


@for_rows(
    ("resource", "is_own"),
    [
        (order(), True),
        (order(subject={"reference": "Patient/p"}), True),
        (order(subject={"reference": "Patient/q"}), False),
        (order(subject={"reference": "Group/q"}), True),
        (order("NutritionOrder", patient={"reference": "Patient/q"}, subject={"reference": "Patient/p"}), False),
        (order("Appointment", participant=[{"actor": {"reference": "Patient/q"}}]), False),
        (order("Appointment", participant=[{"actor": {"reference": f"Patient/{x}"}} for x in "qp"]), True),
        (order("Appointment", participant=[{"actor": {"reference": "Practitioner/q"}}, {"status": "accepted"}]), True),
    ],
)
def test_an_order_is_for_this_patient_or_for_nobody_by_name(resource: Json, is_own: bool) -> None:
    assert is_for_patient(resource, "p") is is_own
