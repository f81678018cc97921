"""REQ: calling a service, and HK: the contexts of the hooks that are answered."""

import copy
from pathlib import Path
from typing import Any

import pytest

from cds_hooks.call.services import find_services
from cds_hooks.tools.kit.contract.definitions import FIELDS, Field
from tests.cds_hooks.calls import ORDERS, PLANNING, request_for
from tests.conformance.answers import AS_OF, Answers
from tests.conformance.outside import SERVICES, Json, Outside, outcome_of
from tests.conformance.rows import row
from tests.conformance.trusted import OTHER_KEY, Site

ANSWERED = {hook for service in find_services(file="separate").values() for hook in service.hooks}
ASKED = [field for field in FIELDS if field.hook in ANSWERED]
OTHER_TYPES: dict[str, Json] = {"string": 7, "array": {}, "object": []}


def _named(field: Field) -> Any:
    return pytest.param(field, marks=row(f"HK-{field.hook}-{field.name}"), id=f"{field.hook}-{field.name}")


@row("REQ-01")
def test_a_service_is_called_by_post_at_its_address(server: Outside, discovery: list[Json]) -> None:
    for entry in discovery:
        assert server.request("GET", f"{SERVICES}/{entry['id']}").status_code == 405
    assert server.call("nobody", {}).status_code == 404


@row("REQ-02", "REQ-03", "REQ-08")
@pytest.mark.parametrize("member", ["hook", "hookInstance", "context"])
@pytest.mark.parametrize("value", ["absent", 7, None, []])
def test_a_member_that_every_call_has_is_missed(server: Outside, member: str, value: Json) -> None:
    request = request_for(PLANNING, "patient-view", "infant", AS_OF)
    if value == "absent":
        del request[member]
    else:
        request[member] = value
    answer = server.call(PLANNING, request)
    assert answer.status_code == 400
    assert member in outcome_of(answer)["diagnostics"]


@row("REQ-03")
@pytest.mark.parametrize(
    "instance", ["D1577C69-DFBE-44AD-BA6D-3E05E953B2EA", "a0eebc99-9c0b-1ef8-bb6d-6bb9bd380a11", "plain"]
)
def test_any_instance_is_taken_and_a_second_time_too(server: Outside, instance: str) -> None:
    request = request_for(PLANNING, "patient-view", "infant", AS_OF) | {"hookInstance": instance}
    assert [server.call(PLANNING, request).status_code for _ in range(2)] == [200, 200]


@row("REQ-05")
def test_a_token_without_a_server_is_not_used_and_said(server: Outside) -> None:
    granted = {"access_token": "t", "token_type": "Bearer", "expires_in": 300, "scope": "s", "subject": "s"}
    request = request_for(PLANNING, "patient-view", "infant", AS_OF)
    answer = server.call(PLANNING, request | {"fhirAuthorization": granted})
    assert answer.status_code == 200
    assert "the token was not used" in answer.text
    assert (
        server.call(
            PLANNING, request | {"fhirAuthorization": granted, "fhirServer": "http://127.0.0.1:9/f"}
        ).status_code
        == 200
    )


@row("REQ-07", "REQ-09", "REQ-10")
@pytest.mark.parametrize("member", ["fhirServer", "fhirAuthorization", "extension"])
def test_what_may_be_absent_may_be_absent(server: Outside, member: str) -> None:
    request = request_for(PLANNING, "patient-view", "infant", AS_OF)
    assert member not in request
    assert server.call(PLANNING, request).status_code == 200


@row("REQ-14")
def test_drafts_are_on_no_server_and_need_not_be(server: Outside) -> None:
    request = request_for(ORDERS, "order-select", "ckd4-metformin", AS_OF, "metformin-ckd4-coded")
    draft = request["context"]["draftOrders"]["entry"][0]["resource"]
    draft["id"] = "nowhere-to-be-read"
    request["context"]["selections"] = ["MedicationRequest/nowhere-to-be-read"]
    request["fhirServer"] = "http://127.0.0.1:9/fhir"
    assert len(server.call(ORDERS, request).json()["cards"]) == 1


@row("REQ-15")
def test_a_hook_that_discovery_does_not_list_for_the_id_is_refused(server: Outside, discovery: list[Json]) -> None:
    request = request_for(PLANNING, "patient-view", "infant", AS_OF)
    hooks = {entry["hook"] for entry in discovery}
    for service in {entry["id"] for entry in discovery}:
        listed = {entry["hook"] for entry in discovery if entry["id"] == service}
        for hook in hooks - listed | {"org.example.unheard", "medication-prescribe"}:
            answer = server.call(service, request | {"hook": hook})
            assert answer.status_code == 400
            assert outcome_of(answer)["expression"] == ["hook"]


@row("REQ-16")
def test_the_version_of_a_client_is_that_of_its_registration(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        first = site.server.discovery(headers=site.signed(SERVICES))
        second = site.server.discovery(headers=site.signed(SERVICES, OTHER_KEY))
    assert {entry.get("version") for entry in first} == {None}
    assert {entry.get("version") for entry in second} == {"3.0.0"}


@row("REQ-17")
def test_a_body_of_before_1_0_is_told_where_things_are_now(server: Outside) -> None:
    request = request_for(PLANNING, "patient-view", "infant", AS_OF)
    context = request.pop("context")
    old = request | {"user": context["userId"], "patient": context["patientId"], "context": {}}
    answer = server.call(PLANNING, old)
    assert answer.status_code == 400
    assert "context.userId" in outcome_of(answer)["diagnostics"]


@pytest.mark.parametrize("field", [_named(field) for field in ASKED])
def test_a_field_of_the_context_is_what_the_hook_says(server: Outside, answers: Answers, field: Field) -> None:
    good = next(each for each in answers.of(field.hook) if each.document["cards"] or each.entry["hook"] == field.hook)
    service, request = good.entry["id"], copy.deepcopy(good.request)
    request["context"].setdefault(field.name, {"string": "e1", "array": [], "object": {}}[field.type])
    assert server.call(service, request).status_code == 200
    wrong = copy.deepcopy(request)
    wrong["context"][field.name] = OTHER_TYPES[field.type]
    answer = server.call(service, wrong)
    assert answer.status_code == 400
    assert f"context.{field.name}" in outcome_of(answer)["expression"][0]
    del request["context"][field.name]
    assert server.call(service, request).status_code == (400 if field.required else 200)
