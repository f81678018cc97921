"""What is read of a body, by itself: each refusal on and beside its limit, and originals of orders in any form."""

import json
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from cds_hooks.errors import BadRequest, PayloadTooLarge
from cds_hooks.protocol.body import _may_repeat, _number, _whole_number
from cds_hooks.protocol.hooks import LIBRARY
from cds_hooks.protocol.hooks.declared import _declared
from cds_hooks.protocol.originals import (
    _balanced_at,
    _object_at,
    _start_of_prefetch,
)
from cds_hooks.protocol.request import (
    EntryLimits,
    _other_hook,
    _with_user_in_context,
    read_context,
    read_request,
    request_of_context,
)
from tests.each import for_rows

Json = dict[str, Any]
VIEW = LIBRARY["patient-view"]
SIGN = LIBRARY["order-sign"]
HOOKS = {"patient-view": VIEW}
BODY: Json = {
    "hook": "patient-view", "hookInstance": "h", "context": {"userId": "Practitioner/1", "patientId": "p1"},
}  # fmt: skip


def body(**changed: Any) -> bytes:
    return json.dumps({name: value for name, value in (BODY | changed).items() if value is not None}).encode()


def fault(call: Any, *arguments: Any) -> tuple[str, str | None]:
    with pytest.raises(BadRequest) as refused:
        call(*arguments)
    return refused.value.text, refused.value.expression


# Requests


@for_rows(
    ("changed", "expression"),
    [
        ({"hookInstance": " "}, "hookInstance"),
        ({"hookInstance": "h" * 513}, "hookInstance"),
        ({"extension": 7}, "extension"),
        ({"extension": []}, "extension"),
        ({"hook": "order-sign"}, "hook"),
        ({"hook": "medication-prescribe"}, "hook"),
        ({"context": {"userId": "Practitioner/1", "patientId": " "}}, "context.patientId"),
        ({"context": {"userId": "Practitioner/1", "patientId": "p" * 513}}, "context.patientId"),
        ({"context": {"userId": "Practitioner/1", "patientId": "Group/1"}}, "context.patientId"),
        ({"context": {"userId": "Practitioner/1", "patientId": "Patient/"}}, "context.patientId"),
        ({"context": {"userId": "Practitioner/1", "patientId": "p", "encounterId": "x/1"}}, "context.encounterId"),
    ],
)
def test_what_no_request_can_have_is_named(changed: Json, expression: str) -> None:
    assert fault(read_request, body(**changed), HOOKS)[1] == expression


def bundle(count: int) -> Json:
    return {"resourceType": "Bundle", "entry": [{}] * count}


@for_rows(
    ("prefetch", "where"),
    [
        ({"a": bundle(3)}, None),
        ({"a": bundle(4)}, "prefetch.a"),
        ({"a b": bundle(4)}, "prefetch"),
        ({"a" * 40: bundle(4)}, "prefetch." + "a" * 40),
        ({"a" * 41: bundle(4)}, "prefetch"),
        ({"a": bundle(3), "b": bundle(2)}, None),
        ({"a": bundle(3), "b": bundle(3)}, "prefetch"),
        (dict.fromkeys("abcde"), None),
        (dict.fromkeys("abcdef"), "prefetch"),
    ],
)
def test_a_prefetch_has_as_many_entries_as_are_read(prefetch: Json, where: str | None) -> None:
    limits = EntryLimits(3, 5)
    if where is None:
        assert read_request(body(prefetch=prefetch), HOOKS, None, limits).prefetch.keys() == prefetch.keys()
        return
    with pytest.raises(PayloadTooLarge) as refused:
        read_request(body(prefetch=prefetch), HOOKS, None, limits)
    assert refused.value.expression == where


def test_a_hook_of_another_name_is_what_the_dialect_says() -> None:
    assert read_request(body(hook="their-view"), HOOKS, lambda _name, _extension: "patient-view").hook == "patient-view"
    with pytest.raises(BadRequest):
        read_request(body(hook="their-view"), HOOKS, lambda name, _extension: name)
    assert _other_hook("order-sign", HOOKS).text == (
        "This service answers patient-view; the body says order-sign. See GET /cds-services."
    )
    assert "the body says another hook" in _other_hook("x", HOOKS).text
    replaced = _other_hook("order-review", HOOKS).text
    assert (
        replaced
        == "order-review was replaced in the CDS Hooks library: use order-sign. This service answers patient-view."
    )
    request = request_of_context(
        "patient-view", "h", Raw(json.dumps(BODY["context"]).encode()), HOOKS, wants_timings=True
    )
    assert (request.prefetch, request.wants_timings, request.context.patient_id) == ({}, True, "p1")
    with pytest.raises(BadRequest):
        request_of_context("order-sign", "h", Raw(b"{}"), HOOKS, wants_timings=False)


@for_rows(("drafts", "is_good"), [("{}", True), (' {"a": 1}', True), ("null", False), ("[]", False), ('"x"', False)])
def test_drafts_are_an_object(drafts: str, *, is_good: bool) -> None:
    members = Raw(b'{"userId": "u/1", "patientId": "p", "draftOrders":' + drafts.strip().encode() + b"}")
    if is_good:
        assert read_context(SIGN, members).patient_id == "p"
    else:
        assert fault(read_context, SIGN, members)[1] == "context.draftOrders"


MOVED: Json = {"hook": "patient-view", "hookInstance": "h", "context": {"patientId": "p1"}, "user": "Practitioner/1"}


@for_rows(
    ("changed", "user"),
    [
        ({}, "Practitioner/1"),
        ({"userId": "Practitioner/2"}, "Practitioner/2"),
        ({"user": "1"}, None),
        ({"user": 7}, None),
        ({"context": {"patientId": "p1", "userId": "x"}}, None),
        ({"context": {}}, None),
        ({"context": []}, None),
    ],
)
def test_a_user_beside_the_hook_is_put_into_the_context(changed: Json, user: str | None) -> None:
    moved = _with_user_in_context(json.dumps(MOVED | changed).encode())
    context = json.loads(moved)["context"] if moved is not None else {}
    assert context.get("userId") == user
    assert _with_user_in_context(b"{]") is None


# Members and numbers


@for_rows(
    ("text", "may"),
    [
        (b'{"a":1}', False),
        (b'{"a":1,"a":1}', True),
        (b'{"a": 1, "b": 2}', False),
        (b'{"a": 1, "a": 2}', True),
        (b'{"a" : 1}', True),
        (b'{"a"\n: 1}', True),
        (b'{"a": "\\u00e4"}', False),
        (b'{"a": "x\\":y", "b": 1}', False),
        (b'{"a\\\\": 1}', True),
        (b'{"a": "\\ud800"}', True),
    ],
)
def test_a_text_that_may_hold_a_member_twice_is_looked_at(text: bytes, *, may: bool) -> None:
    assert _may_repeat(text) is may


def test_a_number_is_within_64_bits() -> None:
    assert _whole_number(str(2**64 - 1)) == 2**64 - 1
    assert _whole_number(str(-(2**63))) == -(2**63)
    for digits in (str(2**64), str(-(2**63) - 1), "0" * 21):
        assert fault(_whole_number, digits)[0] == "A number in the body is larger than 64 bits."
    assert _number("1e308") == 1e308
    for digits in ("1e309", "-1e309"):
        assert fault(_number, digits)[0] == "A number in the body is larger than 64 bits can hold."


# Originals of orders


def order(identity: str, **more: Any) -> Json:
    return {"resourceType": "MedicationRequest", "id": identity, **more}


def test_the_object_that_begins_at_a_place() -> None:
    text = b'x{"a":{"b":1}},{"c":"}"}'
    assert _balanced_at(text, 1) == _object_at(text, 1) == b'{"a":{"b":1}}'
    assert _object_at(text, 15) == b'{"c":"}"}'
    assert _balanced_at(text, 15) == b'{"c":"}'
    assert _balanced_at(b'{"a":', 0) == _object_at(b'{"a":', 0) == b'{"a":'
    head = b'{"context":{"patientId":"p"}'
    assert _start_of_prefetch(head + b',"prefetch":{}}') == len(head)
    assert _start_of_prefetch(b'{"a":1,"prefetch":{}}') == len(b'{"a":1,"prefetch":{}}')
    assert _start_of_prefetch(b"{}") == 2


# Hooks of a site's own

DECLARED: Json = {"name": "org.example.round", "version": "1.0", "like": "patient-view", "services": ["a"]}


def test_a_hook_of_a_site_extends_one_of_the_library() -> None:
    fields = [
        {"name": "wardId", "type": "string", "required": True, "token": True},
        {"name": "patientId", "type": "string", "required": True},
        {"name": "bed", "type": "object"},
    ]
    declared = _declared(DECLARED | {"field": fields}, "x")
    assert (declared.like, declared.services, declared.hook.version) == ("patient-view", ("a",), "1.0")
    assert declared.hook.tokens == VIEW.tokens | {"wardId"}
    members = {"userId": "u/1", "patientId": "p", "wardId": "w"}
    context = read_context(declared.hook, Raw(msgspec.json.encode(members)))
    assert (context.patient_id, context.wardId) == ("p", "w")  # type: ignore[attr-defined]
    assert fault(read_context, declared.hook, Raw(b'{"userId": "u/1", "patientId": "p"}'))[1] == "context"
