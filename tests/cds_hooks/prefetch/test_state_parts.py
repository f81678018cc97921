"""The state of a prefetch key, and what follows from it, by itself: on and beside each limit."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from msgspec import Raw, structs

from cards.card import Card, Source
from cds_hooks.errors import PreconditionFailed
from cds_hooks.prefetch.fetch import (
    gap_reason,
    still_missing,
)
from cds_hooks.prefetch.state import (
    NO_PREFETCH,
    FetchCost,
    KeyState,
    PrefetchState,
    Templates,
    _ago,
    _has_failed,
    _is_empty,
    has_missing_medications,
    inspect_prefetch,
    with_prefetch_note,
)
from cds_hooks.prefetch.template import KeyPolicy, Template
from cds_hooks.security.addresses import OutboundRefused
from fhir.client.errors import FetchError
from fhir.record.record import BrokenResource
from fhir.record.refusals import WhyNot
from fhir.record.resources import decoder
from tests.each import for_rows
from tests.fhir.builders import AS_OF, observation

PATIENT = Template("patient", "Patient/{{context.patientId}}", "Patient", "the patient", policy=KeyPolicy("fail"))
PROBLEMS = Template("conditions", "Condition?patient={{context.patientId}}", "Condition", "problems")
LABS = Template(
    "labs", "Observation?patient={{context.patientId}}&_count=2", "Observation", "laboratory results",
    analytes=frozenset({"potassium"}),
)  # fmt: skip
QUIET = replace(PROBLEMS, key="quiet", policy=KeyPolicy("omit"))
NOW = AS_OF.timestamp()


def state(template: Template = PROBLEMS, kind: Any = "unobtainable", **more: Any) -> KeyState:
    return KeyState(template, kind, **more)


@for_rows(
    ("made", "known_gap_reported"),
    [
        (state(kind="given"), (True, False, False)),
        (state(kind="null"), (True, False, False)),
        (state(kind="fetched"), (True, False, False)),
        (state(kind="failed", reason="x"), (False, True, True)),
        (state(reason="not-sent"), (False, True, True)),
        (state(QUIET, reason="not-sent"), (False, True, False)),
        (state(kind="given", reason="old"), (True, True, True)),
        (state(kind="given", reason="partial", cause="next-page"), (True, True, True)),
        (state(kind="given", reason="partial", cause="cut"), (True, False, True)),
    ],
)
def test_a_key_is_known_a_gap_and_reported(made: KeyState, known_gap_reported: tuple[bool, ...]) -> None:
    assert (made.is_known, made.is_gap, made.is_reported) == known_gap_reported


MISSING = state(reason="not-sent", text="not sent by the EHR; no server")
PART = state(LABS, "given", reason="partial", cause="cut", text="the EHR sent 1 of 3")
OLD = state(replace(PROBLEMS, key="allergies", words="allergies"), "given", reason="old", text="looked up 2 days ago")


def test_the_note_names_what_is_missing_partial_and_old_and_whom_it_can_change() -> None:
    whole = PrefetchState((state(PATIENT, "given"), MISSING, PART, OLD))
    assert whole.note == (
        "**Checked without** problems (not sent by the EHR). **Not complete:** laboratory results "
        "(the EHR sent 1 of 3). **Not from today:** allergies (looked up 2 days ago)."
    )
    assert whole.note_about(frozenset({"potassium"})) == ("**Not complete:** laboratory results (the EHR sent 1 of 3).")
    assert whole.note_about(frozenset({"Immunization"})) is None
    again = replace(PROBLEMS, key="b", words="orders"), replace(PROBLEMS, key="c", words="visits")
    alike = PrefetchState((MISSING, *(structs.replace(MISSING, template=template) for template in again)))
    assert alike.note == "**Checked without** problems, orders and visits (not sent by the EHR)."
    assert PrefetchState((state(PATIENT, "given"), state(QUIET, reason="not-sent"))).note is None


def test_what_the_answer_says_of_a_key_is_a_sentence() -> None:
    tobacco = state(replace(PROBLEMS, key="t", words="tobacco use"), reason="not-sent", text="not sent")
    both = state(replace(PROBLEMS, key="u", words="weight and height"), reason="not-sent", text="not sent")
    whole = PrefetchState((MISSING, PART, tobacco, both))
    assert [(refusal.subject, refusal.reason, refusal.text) for refusal in whole.refusals] == [
        ("prefetch.conditions", "not-sent", "Problems are not known: not sent by the EHR; no server."),
        ("prefetch.labs", "partial", "Laboratory results are not complete: the EHR sent 1 of 3."),
        ("prefetch.t", "not-sent", "Tobacco use is not known: not sent."),
        ("prefetch.u", "not-sent", "Weight and height are not known: not sent."),
    ]


def test_what_is_recorded_of_a_key() -> None:
    cost = FetchCost(1.5, 2, 300, 4)
    whole = PrefetchState(
        (
            state(PATIENT, "given"),
            state(PROBLEMS, "failed", reason="prefetch-failed"),
            state(LABS, "fetched", cost=cost),
            structs.replace(OLD, cause="next-page"),
        )
    )
    assert orjson.loads(bytes(whole.basis)) == {
        "patient": "given",
        "conditions": {"state": "failed", "reason": "prefetch-failed"},
        "labs": {"state": "fetched", "milliseconds": 1.5, "pages": 2, "bytes": 300, "resources": 4},
        "allergies": {"state": "given", "reason": "old", "cause": "next-page"},
    }
    assert whole.summary == "patient=given conditions=failed labs=fetched allergies=given"
    assert whole.looked_up == {"Patient", "Observation", "potassium", "Condition"}
    assert [gap.template.key for gap in whole.gaps] == ["conditions", "allergies"]
    assert whole.texts == {"allergies": "looked up 2 days ago"}
    one = whole.changed("why", whole.states[:1])
    assert one.states == whole.states[:1]
    assert whole.changed("why", ()) is one


def test_a_required_key_is_known_or_the_call_is_refused() -> None:
    whole = PrefetchState((state(PATIENT, "failed", reason="x", text="failed"), state(PROBLEMS, "given")))
    with pytest.raises(PreconditionFailed) as refused:
        whole.require("patient")
    assert refused.value.expression == "prefetch.patient"
    assert refused.value.text.startswith("prefetch.patient (the patient) is required and missing: failed.")
    for made in (state(PATIENT, "given"), state(PATIENT, "null"), state(PATIENT, cause="not-recognised")):
        PrefetchState((made,)).require("patient")
    with pytest.raises(LookupError, match="'conditions' is not declared as required by the service; declared: patient"):
        whole.require("conditions")
    NO_PREFETCH.require("anything")


@for_rows(
    ("detail", "expected"),
    [
        (None, "NOTE"),
        ("", "NOTE"),
        ("One line.", "One line.\n\nNOTE"),
        ("1\n2\n3\n4", "1\n2\n3\n4\n\nNOTE"),
        ("1\n2\n3\n4\n5", "1\n2\n3\n4\n5 NOTE"),
        ("1\n2\n3\n4\n5\n6", "1\n2\n3\n4\n5\n6\n\nNOTE"),
    ],
)
def test_the_note_is_the_last_line_of_each_card_that_it_can_change(detail: str | None, expected: str) -> None:
    whole = PrefetchState((MISSING,))
    assert whole.note is not None
    card = Card(uuid="u", summary="s", indicator="info", source=Source(label="l"), detail=detail)
    (noted,) = with_prefetch_note([card], whole)
    assert (noted.detail or "").replace(whole.note, "NOTE") == expected
    assert with_prefetch_note([card], whole, {"u": frozenset({"Immunization"})}) == [card]
    assert with_prefetch_note([card], whole, {"u": frozenset({"Condition"})}) == [noted]
    assert with_prefetch_note([card], NO_PREFETCH) == [card]


# Gaps


def test_a_gap_that_could_not_be_filled_says_both_reasons() -> None:
    reason = WhyNot("prefetch", "no-server", "no server")
    first = still_missing(state(reason="not-sent", cause="c", text="not sent"), reason)
    assert (first.reason, first.cause, first.text) == ("no-server", "c", "not sent; no server")
    second = still_missing(state(kind="given", reason="old", text="old"), reason)
    assert (second.reason, second.cause, second.text) == ("old", "no-server", "old; no server")


def test_what_the_way_out_refused_is_told_as_its_refusal() -> None:
    error = FetchError("no connection")
    assert gap_reason(error) == WhyNot("prefetch", "not-fetched", "no connection")
    error.__cause__ = OutboundRefused("address", "Its address is private.")
    assert gap_reason(error) == WhyNot(
        "prefetch", "not-allowed", "the FHIR server is not read (its address is private)"
    )


def test_what_a_client_of_an_earlier_version_is_asked_for() -> None:
    asked = Template(
        "dispatched", "ServiceRequest?_id={{context.dispatchedOrders.resolve().id}}", "ServiceRequest", "x"
    )
    read = replace(asked, key="read", is_always_read=True)
    every = Templates((PATIENT, asked, read))
    for version, keys, read_keys in (
        ("3.0", ["patient", "dispatched", "read"], ["patient", "dispatched", "read"]),
        ("2.0", ["patient"], ["patient", "read"]),
    ):
        assert [each.key for each in every.for_protocol(version)] == keys
        assert [each.key for each in every.read_for_protocol(version)] == read_keys


def test_a_user_is_asked_for_what_users_of_its_type_have() -> None:
    role = Template("roles", "PractitionerRole/{{userPractitionerRoleId}}", "PractitionerRole", "roles")
    every = Templates((PATIENT, role, Template("own", "Practitioner/{{userPractitionerId}}", "Practitioner", "user")))
    for user, keys in (
        ("PractitionerRole/1", ["patient", "roles"]),
        ("https://ehr.example/Practitioner/1", ["patient", "own"]),
        ("RelatedPerson/1", ["patient"]),
        ("1", ["patient"]),
    ):
        assert [[each.key for each in every.for_user(user)] for _ in range(2)] == [keys, keys]


# What a client sent


def bundle(*resources: dict[str, Any], **more: Any) -> Any:
    document = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": one} for one in resources]}
    return decoder.decode(orjson.dumps(document | more))


def drafts(*resources: dict[str, Any]) -> Raw:
    return Raw(orjson.dumps({"resourceType": "Bundle", "entry": [{"resource": one} for one in resources]}))


POTASSIUM = observation("2823-3", when=None, patient=None, id="o")
SODIUM = {**POTASSIUM, "code": {"coding": [{"system": "http://loinc.org", "code": "2951-2"}]}}
CONDITION = {"resourceType": "Condition", "id": "c"}
NEXT = {"link": [{"relation": "next", "url": "https://ehr.example/next"}]}
FAILURE = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "x"}]}
REMARK = {"resourceType": "OperationOutcome", "issue": [{"severity": "warning", "code": "x"}]}
NOTHING = {"resourceType": "Bundle", "type": "searchset"}
FOUND = {**NOTHING, "entry": [{"resource": CONDITION}]}


def batch(*entries: Any) -> Any:
    """The answer to a batch."""
    return decoder.decode(orjson.dumps({"resourceType": "Bundle", "type": "batch-response", "entry": entries}))


WEIGHT = {**POTASSIUM, "id": "w", "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]}}
SHARED = Templates([PROBLEMS])
SEVERAL = [LABS, replace(LABS, key="body", analytes=frozenset({"body_weight"})), PROBLEMS]
TOGETHER = Templates(SEVERAL)
BEFORE = {"meta": {"lastUpdated": "2026-11-19T08:59:00Z"}}


@for_rows(
    ("value", "expected"),
    [
        (None, ("null", "", "")),
        (bundle(), ("null", "", "")),
        (bundle(REMARK), ("null", "", "")),
        (bundle(FAILURE), ("failed", "prefetch-failed", "")),
        (bundle(FAILURE, CONDITION), ("given", "partial", "failed-entry")),
        (bundle(REMARK, CONDITION), ("given", "", "")),
        (batch({"response": {"status": "403"}}), ("failed", "prefetch-failed", "")),
        (batch({"response": {"status": "500 Internal Server Error"}}), ("failed", "prefetch-failed", "")),
        (batch({"response": {"status": "200", "outcome": FAILURE}}), ("failed", "prefetch-failed", "")),
        (batch({"response": {"status": "200"}, "resource": FOUND}), ("given", "", "")),
        (batch({"response": {"status": "200"}, "resource": NOTHING}), ("null", "", "")),
        (batch({"resource": FOUND}, {"response": {"status": "503"}}), ("given", "partial", "failed-entry")),
        (batch({"resource": {**NOTHING, "entry": [{"resource": FAILURE}]}}), ("failed", "prefetch-failed", "")),
        (decoder.decode(orjson.dumps(REMARK)), ("failed", "prefetch-failed", "")),
        (bundle({"resourceType": "Patient", "id": "p1"}), ("unobtainable", "other-kind", "")),
        (bundle(CONDITION), ("given", "", "")),
        (bundle(CONDITION, **NEXT), ("given", "partial", "next-page")),
        (bundle(CONDITION, total=2), ("given", "partial", "cut")),
        (bundle(CONDITION, **BEFORE), ("given", "old", "")),
        (bundle(**NEXT), ("null", "partial", "next-page")),
        (bundle(CONDITION, link=[{"relation": "self", "url": "https://ehr.example/1"}]), ("given", "", "")),
        (bundle(CONDITION, link=[{"relation": "next"}]), ("given", "", "")),
        (BrokenResource(resource_type="Condition"), ("given", "", "")),
        (BrokenResource(resource_type="Observation"), ("unobtainable", "other-kind", "")),
        (BrokenResource(resource_type="resource"), ("failed", "not-a-resource", "")),
    ],
)
def test_the_state_of_a_key_by_what_was_sent_under_it(value: Any, expected: tuple[str, str, str]) -> None:
    """And whatever was sent before: of a call that brings everything the state is remembered."""
    for templates in (Templates([PROBLEMS]), SHARED, SHARED):
        inspected = inspect_prefetch({"conditions": value}, templates, NOW)
        (made,) = inspected.states
        assert (made.state, made.reason, made.cause, inspected.other) == (*expected, ())
        whole = inspect_prefetch({"conditions": bundle(CONDITION)}, templates, NOW)
        assert [(state.state, state.reason) for state in whole.states] == [("given", "")]


@for_rows(
    ("prefetch", "known"),
    [
        ({"labs": bundle(POTASSIUM), "body": bundle(WEIGHT)}, ["labs", "body"]),
        ({"labs": bundle(POTASSIUM, WEIGHT)}, ["labs", "body"]),
        ({"labs": bundle(POTASSIUM)}, ["labs"]),
        ({"body": bundle(WEIGHT)}, ["body"]),
        ({"conditions": bundle(WEIGHT)}, ["body"]),
        ({"mine": bundle(WEIGHT, POTASSIUM)}, ["labs", "body"]),
        ({"mine": bundle(CONDITION)}, ["conditions"]),
        ({"mine": bundle(SODIUM)}, []),
        ({"mine": None}, []),
        ({}, []),
        ({"conditions": bundle(CONDITION)}, ["conditions"]),
        ({"conditions": bundle(CONDITION), "mine": bundle(POTASSIUM, WEIGHT)}, ["labs", "body", "conditions"]),
    ],
)
def test_what_stands_under_another_key_is_known_by_its_content(prefetch: dict[str, Any], known: list[str]) -> None:
    for templates in (Templates(SEVERAL), TOGETHER, TOGETHER):
        inspected = inspect_prefetch(prefetch, templates, NOW)
        assert [state.template.key for state in inspected.states if state.is_known] == known
        assert inspected.other == ()


def test_a_search_is_old_after_the_hours_of_its_policy_and_never_without_them() -> None:
    assert [KeyPolicy(fresh_hours=24).is_old(hours) for hours in (24, 24.1)] == [False, True]
    assert not KeyPolicy(fresh_hours=None).is_old(1e6)


def test_a_query_since_a_day_has_its_date_by_a_token_from_3_0_on() -> None:
    recent = replace(PROBLEMS, since=("recorded-date", 30))
    assert recent.query_for("3.0") == PROBLEMS.query + "&recorded-date=ge{{today() - 30 days}}"
    assert {recent.query_for("2.0"), PROBLEMS.query_for("3.0"), PROBLEMS.query_for("2.0")} == {PROBLEMS.query}


PRODUCT = {"resourceType": "Medication", "id": "m1"}
REFERS = {"resourceType": "MedicationRequest", "id": "r", "medicationReference": {"reference": "Medication/m1"}}
MIXED_IN_WORDS, MIXED = {"itemCodeableConcept": {"text": "x"}}, {"itemReference": {"reference": "Medication/other"}}
ORDERED = Template("medications", "MedicationRequest?patient={{context.patientId}}", "MedicationRequest", "orders")


@for_rows(("hours", "words"), [(1, "1 hours"), (47.4, "47 hours"), (48, "2 days"), (100, "4 days")])
def test_an_age_is_in_days_from_two_days_on(hours: float, words: str) -> None:
    assert _ago(hours) == words


@for_rows(
    ("templates", "authorized", "context", "prefetch", "is_missing"),
    [
        ([ORDERED], True, {}, {"medications": bundle(REFERS)}, True),
        ([ORDERED], True, {}, {"medications": bundle(REFERS, PRODUCT)}, False),
        ([ORDERED], True, {}, {"medications": bundle(REFERS, PRODUCT | {"ingredient": [MIXED_IN_WORDS]})}, False),
        ([ORDERED], True, {}, {"medications": bundle(REFERS, PRODUCT | {"ingredient": [MIXED]})}, True),
        ([ORDERED], False, {}, {"medications": bundle(REFERS)}, False),
        ([PROBLEMS], True, {}, {"medications": bundle(REFERS)}, False),
        ([ORDERED], True, {"draft_orders": drafts(REFERS)}, {}, True),
        ([ORDERED], True, {"draft_orders": drafts(REFERS, PRODUCT)}, {}, False),
        ([ORDERED], True, {"medications": drafts(REFERS)}, {}, True),
        ([ORDERED], True, {"draft_orders": None, "medications": drafts(REFERS)}, {}, True),
        ([ORDERED], True, {"medications": drafts(PRODUCT)}, {"medications": bundle(REFERS)}, False),
        ([ORDERED], True, {"draft_orders": Raw(b'{"entry":5}')}, {"medications": bundle(REFERS)}, True),
        ([ORDERED], True, {"draft_orders": Raw(b'{"entry":[{"fullUrl":"urn:uuid:1"}]}')}, {}, False),
        ([ORDERED], True, {"draft_orders": drafts({"resourceType": "ServiceRequest", "id": "s"})}, {}, False),
        ([ORDERED], True, {}, {}, False),
        ([ORDERED], True, {}, {"medications": bundle(REFERS | {"medicationReference": {"display": "x"}})}, False),
    ],
)
def test_a_product_that_an_order_refers_to_is_missing_where_a_server_may_be_asked(
    templates: list[Template], authorized: bool, context: dict[str, Any], prefetch: dict[str, Any], is_missing: bool
) -> None:
    authorization = object() if authorized else None
    request: Any = SimpleNamespace(
        fhir_authorization=authorization, context=SimpleNamespace(**context), prefetch=prefetch
    )
    assert has_missing_medications(request, Templates(templates)) is is_missing


@for_rows(
    ("count", "more", "text"),
    [
        (1, {"total": 3}, "the EHR sent 1 of 3"),
        (2, {"total": 3}, "the newest 2 of 3 were asked for"),
        (1, NEXT, "the EHR sent the first page only"),
        (2, NEXT, "the newest 2 were asked for, there are more"),
        (3, NEXT, "the newest 2 were asked for, there are more"),
    ],
)
def test_what_the_query_itself_cuts_off_is_no_fault_of_the_client(count: int, more: Any, text: str) -> None:
    results = [SODIUM | {"id": str(number)} for number in range(count)]
    (made,) = inspect_prefetch({"labs": bundle(*results, **more)}, Templates([LABS]), NOW).states
    assert made.text == text


def test_a_failure_under_a_key_of_the_clients_own_is_named() -> None:
    other = inspect_prefetch({"mine": bundle(FAILURE)}, Templates([PROBLEMS]), NOW).other
    assert [(refusal.subject, refusal.reason) for refusal in other] == [("prefetch.mine", "prefetch-failed")]
    assert inspect_prefetch({"mine": None}, Templates([PROBLEMS]), NOW).other == ()
    assert not _has_failed(bundle())
    assert not _has_failed(bundle(REMARK))
    assert not _has_failed(bundle(FAILURE, CONDITION))
    assert _has_failed(bundle(FAILURE, REMARK))
    assert _is_empty(bundle(REMARK))
    assert not _is_empty(bundle(CONDITION))
