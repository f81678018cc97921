"""What a hook call must hold, and what is said where it does not."""

from typing import Any

import orjson
import pytest

from cds_hooks.call.protocol.hooks import LIBRARY
from cds_hooks.call.protocol.request import LONGEST_ID, CDSRequest, read_request
from cds_hooks.errors import BadRequest
from tests.each import for_rows

HOOKS = {"patient-view": LIBRARY["patient-view"]}
CALL: dict[str, Any] = {
    "hook": "patient-view",
    "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
    "context": {"userId": "Practitioner/1", "patientId": "p1"},
    "prefetch": {"patient": {"resourceType": "Patient", "id": "p1"}, "labs": None},
}


def _read(call: dict[str, Any]) -> CDSRequest:
    return read_request(orjson.dumps(call), HOOKS)


@pytest.mark.parametrize(("member", "wanted"), [("hookInstance", "hookInstance"), ("patientId", "context.patientId")])
def test_an_id_that_no_index_of_the_record_holds_is_refused(member: str, wanted: str) -> None:
    for length, is_taken in ((LONGEST_ID, True), (LONGEST_ID + 1, False)):
        call = orjson.loads(orjson.dumps(CALL | {"prefetch": {}}))
        (call if member in call else call["context"])[member] = "\U00010000" * length
        if is_taken:
            assert _read(call)
            continue
        with pytest.raises(BadRequest) as refused:
            _read(call)
        assert refused.value.expression == wanted


def test_an_error_never_repeats_a_value() -> None:
    with pytest.raises(BadRequest) as error:
        _read(CALL | {"context": {"userId": "Practitioner/1", "patientId": {"name": "Jane Secret"}}})
    assert "Secret" not in error.value.text


def test_what_is_missing_is_told_apart_from_null_and_an_empty_body_from_a_cut_one() -> None:
    hooks, user = {"order-sign": LIBRARY["order-sign"]}, {"userId": "Practitioner/1", "patientId": "p1"}
    missing, null = (
        orjson.dumps(CALL | {"hook": "order-sign", "context": user | x}) for x in ({}, {"draftOrders": None})
    )
    for body, said in ((missing, "missing"), (null, "received null"), (b" ", "is empty"), (null[:40], "too early")):
        with pytest.raises(BadRequest, match=said):
            read_request(body, hooks)


def test_a_token_is_used_only_for_this_patient_and_with_a_server() -> None:
    bearer = {"access_token": "t", "token_type": "bearer"}

    def read(**more: Any) -> tuple[Any, list[str]]:
        call = CALL | {"fhirServer": "https://ehr.example/fhir", "fhirAuthorization": bearer} | more
        request = _read({name: value for name, value in call.items() if value is not None})
        return request.fhir_authorization, [refusal.reason for refusal in request.refusals]

    for patient in (None, "p1", "Patient/p1"):
        authorization, refusals = read(fhirAuthorization=bearer | ({"patient": patient} if patient else {}))
        assert (authorization.access_token, refusals) == ("t", [])
    assert read(fhirAuthorization=None) == (None, [])
    for address in (None, "", " "):
        assert read(fhirServer=address) == (None, ["not-used"])
    assert read(fhirAuthorization=bearer | {"access_token": " "}) == (None, ["not-used"])
    for changed, text, member in (
        (
            {"token_type": "Basic"},
            "`fhirAuthorization.token_type` must be `Bearer`; received another type. Nothing was computed.",
            "token_type",
        ),
        (
            {"patient": "Patient/p2"},
            "`fhirAuthorization.patient` must be the patient of `context.patientId`; received another one. "
            "Nothing was computed.",
            "patient",
        ),
    ):
        with pytest.raises(BadRequest) as refused:
            read(fhirAuthorization=bearer | changed)
        assert (refused.value.text, refused.value.expression) == (text, f"fhirAuthorization.{member}")


@for_rows(("context", "ids"))
def test_an_id_with_its_type_is_the_bare_id_and_that_of_another_type_is_refused(
    context: dict[str, Any], ids: list[str | None] | str
) -> None:
    call = CALL | {"context": {"userId": "Practitioner/1"} | context}
    if not isinstance(ids, str):
        read = _read(call).context
        assert [read.patient_id, read.encounter_id] == ids
        return
    with pytest.raises(BadRequest) as refused:
        _read(call)
    assert refused.value.expression == ids


def test_a_hook_by_another_name_is_read_where_the_client_says_what_it_is() -> None:
    call = orjson.dumps(CALL | {"hook": "patient-open"})
    read = read_request(call, HOOKS, actual_hook=lambda name, _: {"patient-open": "patient-view"}.get(name, name))
    assert read.hook == "patient-view"
    renamed = read_request(orjson.dumps(CALL), HOOKS, actual_hook=lambda *_: "order-sign")
    assert renamed.hook == "patient-view", "a hook that is known by its name needs no other"
    for actual_hook in (None, lambda *_: "order-sign"):
        with pytest.raises(BadRequest):
            read_request(call, HOOKS, actual_hook=actual_hook)
