"""Resources as some clients send them: brought into R4's shape, and never into another meaning."""

import json
from typing import Any

import msgspec
import pytest

from cds_hooks.protocol.hooks import LIBRARY
from cds_hooks.protocol.originals import OriginalOrders
from cds_hooks.protocol.request import CDSRequest, read_request
from fhir.record.repair import has_stu3_dose, repair_bytes, repair_resource
from fhir.record.resources import Bundle, decoder
from tests.each import for_rows

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


@for_rows("value", [None, 5, "x", [], [5], {}, {"resource": 5}, {"resourceType": "Novel", "a": None}])
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


@pytest.mark.parametrize("kind", ["MedicationRequest", "Medication\\u0052equest"])
def test_an_id_and_a_type_that_are_written_with_escapes_are_found(kind: str) -> None:
    sent = _sent(_order("6"), written=f'{{"resourceType": "{kind}", "id": "order\\u002d7"}}')
    assert sent.by_id("order-7") == {"resourceType": "MedicationRequest", "id": "order-7"}


def test_an_id_with_escapes_or_of_no_text_and_a_type_that_stands_twice_are_not_found_by_their_first_bytes() -> None:
    bundle = b'{"entry":[{"resource":{"resourceType":"MedicationRequest","id":"%b"}}]}'
    escaped, broken = (bundle % identity for identity in (b"order\\u002d7", b"\xff"))
    twice = bundle % b'7","resourceType":"Task'
    body = b'{"context":{"patientId":"p"},"prefetch":{"a":%b}}' % (bundle % b"8")
    assert OriginalOrders((body, escaped)).by_id("order\\u002d7") is None
    assert OriginalOrders((body, broken)).by_id("8") == {"resourceType": "MedicationRequest", "id": "8"}
    assert OriginalOrders((body, twice)).by_id("7") is None


@for_rows("beside", [None, {}, {"id": "7"}, {"resourceType": "MedicationRequest", "id": 7}, {"resource": _order("9")}])
def test_an_original_order_is_found_beside_what_is_no_resource(beside: Any) -> None:
    assert _sent(_order("7"), beside).by_id("7") == _order("7")
    assert _sent(beside, _order("7")).by_id("7") == _order("7")
    task = {"resourceType": "Task", "id": "7", "focus": {"reference": "MedicationRequest/7"}}
    assert _sent(_order("7"), beside, task).by_id("7") == _order("7")


def test_of_every_order_those_with_an_id_of_the_type_and_in_bounds_come_back() -> None:
    long = _order("8", note=[{"text": str(number)} for number in range(200)])
    deep: Any = {"text": "x"}
    for _ in range(200):
        deep = {"extension": [deep]}
    task = {"resourceType": "Task", "id": "7", "focus": {"reference": "MedicationRequest/7"}}
    sent = _sent(_order("7"), {"resourceType": "MedicationRequest"}, long, _order("9", note=[deep]), task)
    assert sent.every() == [_order("7"), long]
    assert sent.by_id("7") == _order("7")


def test_an_original_order_is_found_in_the_wrapper_of_the_time_before_1_0() -> None:
    assert _sent({"resource": _order("9")}).by_id("9") == _order("9")


def test_a_resource_of_another_type_with_the_same_id_is_not_the_order() -> None:
    assert _sent({"resourceType": "Medication", "id": "7"}, _order("8")).by_id("7") is None


def _as_clients_write(*resources: Any, context: Any = None, **values: Any) -> OriginalOrders:
    """A call without a blank in its JSON: context, then prefetch with these resources in one Bundle."""
    bundle = {"resourceType": "Bundle", "entry": [{"resource": each} for each in resources]}
    body = {"hook": "order-sign", "context": {"patientId": "p"} | (context or {}), "prefetch": {"a": bundle} | values}
    return OriginalOrders((msgspec.json.encode(body),))


def test_an_original_order_is_found_in_json_without_blanks() -> None:
    texts = _order("7", note=[{"text": 'braces }{ and \\" quotes "{"'}], contained=[_order("c"), {"a": {"b": {}}}])
    sent = _as_clients_write({"resourceType": "Observation", "id": "7"}, texts, _order("8"), {"id": "7"}, None)
    assert sent.by_id("7") == texts
    assert sent.by_id("8") == _order("8")
    assert sent.by_id("9") is None
    assert sent.by_id("c") is None


def test_a_draft_of_the_same_id_is_not_the_original_order() -> None:
    drafts = {"resourceType": "Bundle", "entry": [{"resource": _order("7", status="draft")}]}
    assert _as_clients_write(_order("7"), context={"draftOrders": drafts}).by_id("7") == _order("7")
    assert _as_clients_write(_order("8"), context={"draftOrders": drafts}).by_id("7") is None
    # a member of that name before the patient is none of the call
    inside = {"userId": "u", "prefetch": {}, "draftOrders": drafts, "patientId": "p"}
    for call in ({"context": inside, "prefetch": {}}, {"patientId": "p", "prefetch": {}, "context": inside}):
        assert OriginalOrders((msgspec.json.encode(call),)).by_id("7") is None, call
    body = {"prefetch": {"one": _order("7")}, "context": {"patientId": "p", "draftOrders": drafts}}
    assert OriginalOrders((msgspec.json.encode(body),)).by_id("7") == _order("7")
