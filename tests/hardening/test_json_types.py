"""A member of another JSON type than the protocol has is refused with a sentence: no hook answers it with a failure."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.in_process import InProcess, service_in_process
from benchmarks.subject import WrongAnswer
from cds_hooks.services import find_services

VALUES: tuple[Any, ...] = ([], "x", None, 3, True, {}, [[]], [None], {"a": []}, "", -1e300)
MEMBERS = ("hook", "hookInstance", "context", "prefetch", "fhirServer", "fhirAuthorization", "extension")
IN_CONTEXT = (
    "userId", "patientId", "encounterId", "selections", "draftOrders", "dispatchedOrders", "performer", "order", "task",
    "dispatched-orders", "fulfillment-tasks", "fulfillmentTasks", "dischargeDate",
)  # fmt: skip
CALLS = [(service.id, hook) for service in find_services().values() for hook in service.hooks]


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


def _refused_with(service: InProcess, path: str, request: dict[str, Any]) -> str:
    """The status and the start of the answer; '' for 200."""
    try:
        service.call("POST", path, json.dumps(request).encode())
    except WrongAnswer as error:
        return str(error).partition(" was answered ")[2]
    return ""


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
