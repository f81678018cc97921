"""A member of another JSON type than the protocol has is refused with a sentence: no hook answers it with a failure."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.in_process import InProcess, service_in_process
from benchmarks.subject import WrongAnswer
from cds_hooks.call.services import find_services
from tests.each import some_of
from tests.fhir.builders import bundle

VALUES: tuple[Any, ...] = ([], "x", None, 3, True, {}, [[]], [None], {"a": []}, "", -1e300)
MEMBERS = ("hook", "hookInstance", "context", "prefetch", "fhirServer", "fhirAuthorization", "extension")
IN_CONTEXT = (
    "userId", "patientId", "encounterId", "selections", "draftOrders", "dispatchedOrders", "performer", "order", "task",
    "dispatched-orders", "fulfillment-tasks", "fulfillmentTasks", "dischargeDate",
)  # fmt: skip
CALLS = [(service.id, hook) for service in find_services(file="separate").values() for hook in service.hooks]


@pytest.fixture(scope="module")
def service() -> Iterator[InProcess]:
    with service_in_process() as started:
        yield started


def _request(hook: str) -> dict[str, Any]:
    context = {
        "userId": "Practitioner/1",
        "patientId": "p",
        "encounterId": "e",
        "selections": [],
        "draftOrders": {"resourceType": "Bundle", "entry": []},
        "dispatchedOrders": ["ServiceRequest/1"],
        "performer": "Organization/1",
    }
    instance = "120c21ba-69b4-5fc0-ac7e-be7bc390cdc5"
    return {"hook": hook, "hookInstance": instance, "context": context, "prefetch": {}}


def _members_of(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where each member and each element of a list stands, at any depth."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        yield (*path, name)
        yield from _members_of(inner, (*path, name))


def _with(request: dict[str, Any], path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    changed = json.loads(json.dumps(request))
    holder: Any = changed
    for name in path[:-1]:
        holder = holder[name]
    holder[path[-1]] = value
    return dict(changed)


def _whole_request(hook: str) -> dict[str, Any]:
    """A call with everything that the protocol has, an order, and resources in prefetch."""
    order = {
        "resourceType": "MedicationRequest", "id": "o1", "status": "draft", "intent": "order",
        "subject": {"reference": "Patient/p"},
        "medicationCodeableConcept": {"coding": [{"system": "s", "code": "c"}], "text": "warfarin 5 mg"},
        "dosageInstruction": [{"text": "daily", "doseAndRate": [{"doseQuantity": {"value": 5, "unit": "mg"}}]}],
    }  # fmt: skip
    request = _request(hook)
    request["context"] |= {"draftOrders": {"resourceType": "Bundle", "entry": [{"resource": order}]}}
    request["fhirServer"] = "https://fhir.example.org/r4"
    request["fhirAuthorization"] = {
        "access_token": "t", "token_type": "Bearer", "scope": "patient/*.rs", "subject": "us", "expires_in": 300,
    }  # fmt: skip
    patient = {"resourceType": "Patient", "id": "p", "birthDate": "1950-01-01", "gender": "female"}
    taken = {**order, "status": "active", "id": "m1"}
    request["prefetch"] = {"patient": patient, "medications": bundle(taken)}
    return request


def _refused_with(service: InProcess, path: str, request: dict[str, Any]) -> str:
    """The status and the start of the answer; '' for 200."""
    try:
        service.call("POST", path, json.dumps(request).encode())
    except WrongAnswer as error:
        return str(error).partition(" was answered ")[2]
    return ""


@pytest.mark.slow
@pytest.mark.parametrize(("name", "hook"), CALLS)
def test_no_member_of_another_type_is_a_failure_of_the_server(service: InProcess, name: str, hook: str) -> None:
    for value in VALUES:
        requests = [{**_request(hook), member: value} for member in MEMBERS]
        for member in IN_CONTEXT:
            request = _request(hook)
            request["context"][member] = value
            requests.append(request)
        for request in requests:
            refusal = _refused_with(service, f"/cds-services/{name}", request)
            assert not refusal.startswith("5"), (request, refusal)
            assert not refusal or "OperationOutcome" in refusal, (request, refusal)


@pytest.mark.sampled
@pytest.mark.parametrize(
    ("name", "hook"),
    [pytest.param("order-safety", "order-sign", marks=pytest.mark.slow), ("medication-review", "patient-view")],
)
def test_no_inner_member_of_another_type_is_a_failure_of_the_server(service: InProcess, name: str, hook: str) -> None:
    whole = _whole_request(hook)
    in_two = dict(whole)  # a body that ends with its prefetch is read in two parts
    in_two["prefetch"] = in_two.pop("prefetch")
    requests = [(request, path) for request in (whole, in_two) for path in _members_of(request)]
    for request, path in some_of(requests, 4):
        for value in VALUES[:6]:
            refusal = _refused_with(service, f"/cds-services/{name}", _with(request, path, value))
            assert not refusal.startswith("5"), (path, value, refusal)
