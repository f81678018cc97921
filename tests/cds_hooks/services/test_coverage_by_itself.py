"""The payers' service by itself: which orders and coverages it reads of a call, and what it says where it does not."""

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cards.coverage.store import policies
from cards.rules.engine.finding import Silence
from cds_hooks.errors import BadRequest, PayloadTooLarge, TooDeep
from cds_hooks.protocol.originals import Sent
from cds_hooks.services._coverage import (
    _as_meant,
    _check_number,
    _coverages,
    _entries,
    _options,
    _orders,
    _resources,
    _Sent,
    _state,
    _words_of,
)
from cds_hooks.services._service import Advice
from tests.cds_hooks.services.coverage_calls import Json, bundle, coverage, order, patient


def _sent(*resources: Json, **body: Any) -> Sent:
    """The body of a call that has these in its prefetch."""
    prefetch = {f"key{number}": resource for number, resource in enumerate(resources)}
    return Sent((json.dumps({"prefetch": prefetch} | body).encode(),))


def _call(
    *resources: Json,
    hook: str = "order-sign",
    most: int = 200,
    sent: Sent | None = None,
    requested: bool = True,
    extension: Any = None,
    **context: Any,
) -> Any:
    """As much of a call as the service reads, of the patient p."""
    return SimpleNamespace(
        request=SimpleNamespace(
            hook=hook, context=SimpleNamespace(**context), extension=json.dumps(extension).encode()
        ),
        sent=_sent(*resources) if sent is None else sent,
        record=SimpleNamespace(patient_id="p", was_requested=lambda kind: requested and kind == "Coverage"),
        max_drafts=most,
    )


def _read(call: Any) -> tuple[list[Any], list[Silence]]:
    advice = Advice()
    resources = _resources(call, _Sent(call), advice)
    return [resource.get("id") for resource in resources], advice.silences


def _bytes(*resources: Json) -> bytes:
    return json.dumps(bundle(resources)).encode()


def test_the_orders_of_a_call_are_those_that_its_hook_is_about() -> None:
    first, second = order("E0652"), order("97110")
    drafts = _bytes(first, second)
    assert _read(_call(draft_orders=drafts)) == (["order-e0652", "order-97110"], [])
    selected = _call(hook="order-select", draft_orders=drafts, selections=["ServiceRequest/order-97110", "X/y"])
    assert _read(selected) == (["order-97110"], [])
    assert _read(_call(hook="order-select", draft_orders=drafts, selections=[])) == ([], [])
    assert _read(_call(hook="own-hook", draft_orders=drafts)) == (["order-e0652", "order-97110"], [])
    booked = {"resourceType": "Appointment", "id": "a1"}
    assert _read(_call(hook="appointment-book", appointments=_bytes(booked))) == (["a1"], [])


def test_a_dispatched_order_that_did_not_come_is_named() -> None:
    names = ["ServiceRequest/order-97110", "https://x.example/ServiceRequest/order-97110", "DeviceRequest/d9", "Task/t"]
    task = {"resourceType": "Task", "id": "t"}
    call = _call(order("97110"), task, hook="order-dispatch", dispatched_orders=names)
    assert _read(call) == (
        ["order-97110"],
        [
            Silence(name, "order-not-found", f"{name} did not come: not judged.")
            for name in ("DeviceRequest/d9", "Task/t")
        ],
    )
    few = _call(order("97110"), hook="order-dispatch", most=2, dispatched_orders=names)
    with pytest.raises(PayloadTooLarge, match="The call has 3 orders, at most 2 are judged in one; nothing was judged"):
        _read(few)


def test_at_other_hooks_the_open_orders_of_the_visit_are_judged() -> None:
    def of_visit(code: str, status: str = "active", visit: Any = "Encounter/e1", **more: Any) -> Json:
        encounter = {"encounter": {"reference": visit}} if visit else {}
        return order(code, **{"status": status, "id": f"{code}-{status}", **encounter, **more})

    resources = (
        of_visit("97110"), of_visit("97110", "draft"), of_visit("97110", "completed"), of_visit("E0652"),
        of_visit("97112", visit="https://x.example/Encounter/e1"), of_visit("97113", visit="Encounter/e2"),
        of_visit("97116", visit=None),
        of_visit("97110") | {"resourceType": "MedicationRequest", "id": "m1"},
    )  # fmt: skip
    call = _call(*resources, hook="encounter-start", encounter_id="e1")
    assert _read(call) == (["97110-active", "97110-draft", "97112-active", "E0652-active", "m1"], [])


def test_as_many_orders_as_allowed_are_judged() -> None:
    call = _call(most=2)
    _check_number([1, 2], call)
    with pytest.raises(PayloadTooLarge) as refused:
        _check_number([1, 2, 3], call)
    assert refused.value.text == "The call has 3 orders, at most 2 are judged in one; nothing was judged."
    assert refused.value.expression == "context"


DEEP = b'{"a":' * 100 + b"1" + b"}" * 100


@pytest.mark.parametrize(
    ("raw", "kind", "text"),
    [
        (b"{", BadRequest, "where is not valid JSON."),
        (b'{"a":' * 100_000, TooDeep, "The orders are nested deeper than any order; nothing was judged."),
        (DEEP, TooDeep, "The orders are nested deeper than any order; nothing was judged."),
        (b"[]", BadRequest, "where is no FHIR Bundle with a list of entries."),
        (b'{"resourceType":"List"}', BadRequest, "where is no FHIR Bundle with a list of entries."),
        (b'{"resourceType":"Bundle","entry":{}}', BadRequest, "where is no FHIR Bundle with a list of entries."),
    ],
)
def test_orders_that_cannot_be_read_are_refused(raw: bytes, kind: type[BadRequest], text: str) -> None:
    with pytest.raises(BadRequest) as refused:
        _entries(raw, "where")
    assert (type(refused.value), refused.value.text, refused.value.expression) == (kind, text, "where")


def test_entries_without_a_resource_are_passed_over() -> None:
    assert _entries(b'{"resourceType":"Bundle"}', "where") == []
    assert _entries(b'{"resourceType":"Bundle","entry":[7,{},{"resource":7},{"resource":{"id":"a"}}]}', "where") == [
        {"id": "a"}
    ]


def test_an_order_is_read_as_it_is_meant() -> None:
    def meant(resource: Json, *others: Json, **context: Any) -> Json:
        call = _call(*others, **context)
        return _as_meant(resource, _Sent(call), call)

    service, booked = order("97110"), {"resourceType": "Appointment", "id": "a1"}
    without_code = {name: value for name, value in order("97112").items() if name != "code"}
    by_order = booked | {
        "basedOn": [7, {"reference": "ServiceRequest/none"}, {"reference": "ServiceRequest/order-97110"}]
    }
    assert meant(service, performer="Practitioner/x") == service | {"performer": [{"reference": "Practitioner/x"}]}
    for performer in ("", None, 7):
        assert meant(service, performer=performer) == service
    assert meant(booked) == booked
    assert meant(by_order, service) == by_order | {"serviceType": [service["code"]]}
    typed = by_order | {"serviceType": [{"text": "x"}]}
    assert meant(typed, service) == typed
    assert meant(by_order) == by_order
    of_codeless = booked | {"basedOn": [{"reference": "ServiceRequest/order-97112"}]}
    assert meant(of_codeless, without_code) == of_codeless
    assert meant(service | {"basedOn": by_order["basedOn"]}, service) == service | {"basedOn": by_order["basedOn"]}


def test_orders_of_another_patient_are_refused_and_what_is_no_order_is_named() -> None:
    def read(*orders: Json) -> tuple[list[str], list[Silence]]:
        call, advice = _call(draft_orders=_bytes(*orders)), Advice()
        return [found.reference for found in _orders(call, _Sent(call), advice)], advice.silences

    task = {"resourceType": "Task", "id": "t1"}
    names = ("Task/t1", "Task without an id")
    assert read(order("97110"), task, {"resourceType": "Task"}) == (
        ["ServiceRequest/order-97110"],
        [Silence(name, "not-an-order", f"{name} is no order that a payer notes on.") for name in names],
    )
    with pytest.raises(BadRequest) as refused:
        read(order("97110"), order("97112", subject={"reference": "Patient/q"}))
    assert refused.value.text == "An order is for another patient than context.patientId; nothing was judged."


def _paired(*resources: Json, requested: bool = True) -> tuple[list[tuple[str, str]], list[Silence]]:
    call, advice = _call(*resources, requested=requested), Advice()
    pairs = _coverages(call, _Sent(call), policies(), advice)
    return [(made["id"], payer.name) for made, payer in pairs], advice.silences


def test_each_coverage_has_the_payer_of_its_rules_or_a_reason() -> None:
    subject = "coverage-requirements"
    (medicare,), _ = _paired(coverage())
    assert medicare[0] == "cov1"
    none = [Silence(subject, "no-coverage", "The patient has no coverage on record.")]
    assert _paired() == ([], none)
    assert _paired(coverage(status="draft"), coverage("cov2", status="entered-in-error")) == ([], none)
    missing = Silence(subject, "coverage-missing", "The coverage of the patient did not come.")
    assert _paired(requested=False) == ([], [missing])
    other = coverage("cov2", "Nobody's Insurance", "A plan")
    assert _paired(other, coverage()) == (
        [medicare],
        [Silence("Coverage/cov2", "no-rules-for-payer", "There are no rules of Nobody's Insurance here.")],
    )
    unnamed = coverage("cov3", plan="A plan") | {"payor": [{"reference": "Organization/none"}]}
    assert _paired(unnamed)[1] == [
        Silence("Coverage/cov3", "no-rules-for-payer", "There are no rules of this payer here.")
    ]
    for beneficiary in ("Patient/p", "https://x.example/Patient/p", "RelatedPerson/r", ""):
        assert _paired(coverage(beneficiary={"reference": beneficiary})) == ([medicare], [])
    with pytest.raises(BadRequest, match="A Coverage is of another patient than context"):
        _paired(coverage(beneficiary={"reference": "Patient/q"}))


@pytest.mark.parametrize(
    ("addresses", "state"),
    [
        ([], None),
        ([{"city": "x"}, 7], None),
        ([{"state": " oh "}], "OH"),
        ([{"state": "Ohio"}], "OH"),
        ([{"state": "Bavaria"}], "Bavaria"),
        ([{"state": "FL", "use": "work"}, {"state": "CA", "use": "home"}], "CA"),
        ([{"state": "FL", "use": "old"}, {"state": "CA"}], "CA"),
        ([{"state": "FL"}, {"state": "CA"}], "FL"),
    ],
)
def test_the_state_is_that_of_the_home_else_of_an_address_that_is_not_old(addresses: Any, state: str | None) -> None:
    assert _state(_Sent(_call(patient() | {"address": addresses})), "p") == state


def test_without_a_patient_there_is_no_state() -> None:
    assert _state(_Sent(_call(patient() | {"id": "q"})), "p") is None


def test_a_client_takes_every_type_of_card_that_it_does_not_switch_off() -> None:
    every = dict(_options(_call()))
    assert set(every.values()) == {True}
    first, second = list(every)[:2]
    configuration = {first: False, second: "no", "unknown": False}
    extension = {"davinci-crd.configuration": configuration}
    call = _call(extension=extension)
    assert _options(call) == every | {first: False}
    kept = {"resourceType": "Parameters", "id": "davinci-crd-configuration", "configuration": configuration}
    assert call.sent.given == {"Parameters/davinci-crd-configuration": kept}
    page = json.dumps({"resourceType": "Bundle", "entry": [{"resource": kept}]}).encode()
    assert _options(_call(sent=Sent((b"{}", page)))) == every | {first: False}, "in a replay"
    assert _options(_call(kept)) == every, "what a client sends as data is no wish"
    for odd in ({"davinci-crd.configuration": 7}, ["davinci-crd.configuration"]):
        assert _options(_call(extension=odd)) == every


@pytest.mark.parametrize(
    ("resource", "words"),
    [
        ({"code": {"text": "A walk"}}, "A walk"),
        ({"codeCodeableConcept": {"text": "A wheel"}}, "A wheel"),
        ({"medicationCodeableConcept": {"text": "A pill"}}, "A pill"),
        ({"code": {"coding": []}}, "1, 2"),
        ({"code": "x"}, "1, 2"),
        ({}, "1, 2"),
    ],
)
def test_an_order_is_called_by_its_words_else_its_codes(resource: Json, words: str) -> None:
    made = SimpleNamespace(resource=resource, codes=(("a", "1"), ("b", "2")), reference="X/1")
    assert _words_of(cast("Any", made)) == words
    made.codes = ()
    assert _words_of(cast("Any", made)) == (words if words != "1, 2" else "X/1")
