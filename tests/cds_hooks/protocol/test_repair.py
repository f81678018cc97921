"""Resources as some clients send them: brought into R4's shape, and never into another meaning."""

import json
from typing import Any

import msgspec
import pytest

from cds_hooks.protocol.hooks import LIBRARY
from cds_hooks.protocol.repair import has_stu3_dose, repair_bytes, repair_resource
from cds_hooks.protocol.request import CDSRequest, read_request
from fhir.record.resources import AllergyIntolerance, Bundle, MedicationRequest, decoder

EPIC_ORDER: dict[str, Any] = {
    "resourceType": "MedicationRequest",
    "id": "o1",
    "status": "active",
    "intent": "order",
    "category": {"coding": [{"code": "inpatient"}], "text": "Inpatient"},
    "medicationReference": {
        "reference": "https://ehr.example/api/FHIR/R4/Medication/m1",
        "display": "IBUPROFEN 200 MG",
    },
    "subject": {"reference": "https://ehr.example/api/FHIR/R4/Patient/p1"},
    "reasonCode": None,
    "dosageInstruction": {"timing": {"repeat": {"frequency": 1, "period": 6, "periodUnit": "h", "when": "MORN"}}},
}
CALL: dict[str, Any] = {
    "hook": "patient-view",
    "hookInstance": "f399c67c-c703-11ea-af16-460231621f93",
    "context": {"userId": "PractitionerRole/1", "patientId": "p1"},
}


def _read(prefetch: dict[str, Any]) -> CDSRequest:
    return read_request(json.dumps(CALL | {"prefetch": prefetch}).encode(), {"patient-view": LIBRARY["patient-view"]})


def test_an_order_with_objects_for_lists_and_null_for_a_list_is_read() -> None:
    bundle = {"resourceType": "Bundle", "total": 1, "link": None, "entry": [{"resource": EPIC_ORDER}, None]}
    request = _read({"medications": bundle})
    (entry,) = request.prefetch["medications"].entry
    assert request.refusals == []
    assert isinstance(entry.resource, MedicationRequest)
    timing: Any = entry.resource.dosageInstruction[0].timing
    assert timing.repeat.when == ("MORN",)


@pytest.mark.parametrize("category", ["medication", ["medication"], {"coding": [{"code": "medication"}]}])
def test_a_category_is_read_however_it_is_sent(category: Any) -> None:
    allergy = {"resourceType": "AllergyIntolerance", "id": "a", "category": category, "clinicalStatus": "active"}
    read = _read({"allergies": allergy}).prefetch["allergies"]
    assert isinstance(read, AllergyIntolerance)
    assert read.category == ("medication",)
    assert read.clinicalStatus is not None
    assert read.clinicalStatus.has("active")


@pytest.mark.parametrize("wrapper", [{"response": {"status": "200 OK"}}, {}])
def test_a_resource_is_taken_out_of_the_wrapper_of_the_time_before_1_0(wrapper: dict[str, Any]) -> None:
    request = _read({"patient": wrapper | {"resource": {"resourceType": "Patient", "id": "p1"}}})
    assert request.prefetch["patient"].id == "p1"
    assert request.refusals == []


def test_what_is_beyond_mending_is_refused_as_before() -> None:
    broken: dict[str, Any] = {"resourceType": "Observation", "id": "bad", "status": None, "code": {}}
    request = _read({"labs": {"resourceType": "Bundle", "entry": [{"resource": broken}, {"resource": EPIC_ORDER}]}})
    assert [refusal.subject for refusal in request.refusals] == ["Observation/bad"]
    assert isinstance(request.prefetch["labs"], Bundle)


@pytest.mark.parametrize("value", [None, 5, "x", [], [5], {}, {"resource": 5}, {"resourceType": "Novel", "a": None}])
def test_anything_else_stays_as_it_is(value: Any) -> None:
    assert repair_resource(value) == value


def test_a_resource_that_needs_no_mending_is_not_changed() -> None:
    order = {"resourceType": "MedicationRequest", "id": "o", "dosageInstruction": [{"text": "x"}], "extension": [{}]}
    assert repair_resource(order) == order
    assert decoder.decode(repair_bytes(msgspec.json.encode(order))) == decoder.decode(msgspec.json.encode(order))


def test_two_values_where_one_belongs_are_not_chosen_from() -> None:
    request = _read({"condition": {"resourceType": "Condition", "id": "c", "code": [{"text": "a"}, {"text": "b"}]}})
    assert [refusal.reason for refusal in request.refusals] == ["unreadable"]


def test_a_dose_where_stu3_had_it_is_moved_to_where_r4_has_it() -> None:
    dose = {"value": 400, "unit": "mg"}
    old = {"resourceType": "MedicationRequest", "dosageInstruction": [{"text": "q6h", "doseQuantity": dose}]}
    new = {
        "resourceType": "MedicationRequest",
        "dosageInstruction": [{"text": "q6h", "doseAndRate": [{"doseQuantity": dose}]}],
    }
    assert repair_resource(old) == new
    assert repair_resource(new) == new
    assert has_stu3_dose(old)
    for order in (new, {}, {"dosageInstruction": None}, {"dosageInstruction": [None, {"text": "x"}]}):
        assert not has_stu3_dose(order)
