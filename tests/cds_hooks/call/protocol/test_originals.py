"""Resources as some clients send them: brought into R4's shape, and never into another meaning."""

import json
from typing import Any

import pytest

from cds_hooks.call.protocol.hooks import LIBRARY
from cds_hooks.call.protocol.originals import OriginalOrders
from cds_hooks.call.protocol.request import CDSRequest, read_request
from fhir.record.repair import has_stu3_dose, repair_resource
from fhir.record.resources import Bundle

EPIC_ORDER: dict[str, Any] = {
    "resourceType": "MedicationRequest", "id": "o1", "status": "active", "intent": "order",
    "category": {"coding": [{"code": "inpatient"}], "text": "Inpatient"},
    "medicationReference": {"reference": "https://ehr.example/api/FHIR/R4/Medication/m1",
                            "display": "IBUPROFEN 200 MG"},
    "subject": {"reference": "https://ehr.example/api/FHIR/R4/Patient/p1"}, "reasonCode": None,
    "dosageInstruction": {"timing": {"repeat": {"frequency": 1, "period": 6, "periodUnit": "h", "when": "MORN"}}},
}  # fmt: skip
CALL: dict[str, Any] = {
    "hook": "patient-view",
    "hookInstance": "f399c67c-c703-11ea-af16-460231621f93",
    "context": {"userId": "PractitionerRole/1", "patientId": "p1"},
}


def _read(prefetch: dict[str, Any]) -> CDSRequest:
    return read_request(json.dumps(CALL | {"prefetch": prefetch}).encode(), {"patient-view": LIBRARY["patient-view"]})


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


def _order(identity: Any, **more: Any) -> dict[str, Any]:
    return {"resourceType": "MedicationRequest", "id": identity, "status": "active"} | more


def _sent(*resources: Any, written: str = "") -> OriginalOrders:
    """A call with these resources in one Bundle of its prefetch, and `written` as the text of one more."""
    entries = [json.dumps({"resource": one}) for one in resources] + ([f'{{"resource": {written}}}'] if written else [])
    bundle = f'{{"resourceType": "Bundle", "entry": [{", ".join(entries)}]}}'
    return OriginalOrders((f'{{"hook": "order-sign", "prefetch": {{"orders": {bundle}, "none": null}}}}'.encode(),))


def test_an_original_order_comes_back_as_it_was_sent() -> None:
    sent = _sent(_order("6"), _order("7", note=[{"text": "as the client wrote it: 7"}], unknown={"x": 1}), _order("77"))
    assert sent.original("MedicationRequest/7") == _order(
        "7", note=[{"text": "as the client wrote it: 7"}], unknown={"x": 1}
    )
    assert sent.original("MedicationRequest/8") is None
    assert sent.original("ServiceRequest/7") is None


def test_of_two_orders_of_one_id_the_later_one_counts() -> None:
    assert _sent(_order("7", status="active"), _order("7", status="stopped")).by_id("7") == _order(
        "7", status="stopped"
    )
    page = json.dumps({"resourceType": "Bundle", "entry": [{"resource": _order("7", status="on-hold")}]}).encode()
    body = json.dumps({"prefetch": {"orders": _order("7")}}).encode()
    assert OriginalOrders((body, page)).by_id("7") == _order("7", status="on-hold")
