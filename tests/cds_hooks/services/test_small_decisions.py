"""Parts of single services on values made by hand: what is refused, what is kept for later, and how it is said."""

import asyncio
import copy
from dataclasses import replace as changed
from datetime import date, timedelta
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from msgspec import Raw
from msgspec.structs import replace

from cards.card import Action, Card, Link, Source
from cards.coverage.cards import STEPS
from cards.coverage.proposals import Member, Proposal, Proposals
from cards.extension import EXTENSION_KEY, WorklistEntry
from cards.preventive.judgement import Judgement
from cds_hooks.errors import BadRequest, PayloadTooLarge, PreconditionFailed, TooDeep
from cds_hooks.protocol.hooks import (
    EncounterDischargeContext,
    OrderDispatchContext,
    OrderSelectContext,
    OrderSignContext,
)
from cds_hooks.services import _outlook, find_services
from cds_hooks.services._model import refused_results
from cds_hooks.services._outlook import likely_deaths
from cds_hooks.services._payer_proposals import coverage_cards, proposed
from cds_hooks.services._service import no_card, opted_out_words
from cds_hooks.services.discharge_medications import _after_infarction, _goes_home, _ordered_now
from cds_hooks.services.genes_and_medications import _is_meant, _is_new, _nothing_new
from cds_hooks.services.order_safety import _check_selections, _drafts, _needs_patient
from cds_hooks.services.order_safety_dispatch import _names_studies, _require_orders
from cds_hooks.services.preventive_services import _basis, _entry, _in_context, _silences
from cds_hooks.services.vaccines_due import _not_judged, _reason_for_none, _unread, _unread_beside
from cds_hooks.trusted_models import AbsentModel
from fhir.record.datatypes import (
    ExactDecimal,
    as_json_value,
    decode_exactly,
    parse_time,
    with_plain_numbers,
    write_decimal,
)
from fhir.record.refusals import WhyNot
from tests.cds_hooks.services.deciding import SEARCHED, Json, call_about, decided, why_silent
from tests.each import for_rows
from tests.fhir import builders
from tests.fhir.builders import WOMAN, record_of, request


def made(**members: Any) -> Any:
    return SimpleNamespace(**members)


# Orders


def signed(drafts: bytes) -> OrderSignContext:
    return OrderSignContext(patient_id="p1", user_id="Practitioner/1", draft_orders=Raw(drafts))


def bundle(*entries: Json) -> bytes:
    return msgspec.json.encode({"resourceType": "Bundle", "entry": [{"resource": entry} for entry in entries]})


@for_rows(
    ("drafts", "kind", "text"),
    [
        (b"{", BadRequest, "context.draftOrders is not valid JSON."),
        (b"[" * 100_000, TooDeep, "The drafts are nested deeper than any order; nothing was checked."),
        (b'{"resourceType":"Bundle","entry":' + b"[" * 200 + b"]" * 200 + b"}", TooDeep,
         "The drafts are nested deeper than any order; nothing was checked."),
        (b"[]", BadRequest, "context.draftOrders is no FHIR Bundle with a list of entries."),
        (b'{"resourceType":"Patient"}', BadRequest, "context.draftOrders is no FHIR Bundle with a list of entries."),
        (b'{"resourceType":"Bundle","entry":{}}', BadRequest,
         "context.draftOrders is no FHIR Bundle with a list of entries."),
        (bundle(*[request("x")] * 3), PayloadTooLarge,
         "draftOrders holds 3 entries, and at most 2 are checked in one call; nothing was checked. Send the orders in "
         "parts."),
        (bundle(request("x"), request("x", subject={"reference": "Patient/p2"})), BadRequest,
         "Entry 2 of draftOrders is for another patient than context.patientId; nothing was checked."),
    ],
)  # fmt: skip
def test_drafts_that_cannot_be_checked_are_refused(drafts: bytes, kind: type[BadRequest], text: str) -> None:
    with pytest.raises(kind) as refused:
        _drafts(signed(drafts), "p1", 2)
    assert type(refused.value) is kind
    assert (refused.value.text, refused.value.expression) == (text, "context.draftOrders")


def test_as_many_selections_as_drafts_are_checked() -> None:
    def selecting(count: int) -> OrderSelectContext:
        names = tuple(str(number) for number in range(count))
        return OrderSelectContext(patient_id="p1", user_id=None, selections=names, draft_orders=Raw(b"{}"))

    _check_selections(selecting(2), 2)
    _check_selections(signed(b"{}"), 0)
    with pytest.raises(PayloadTooLarge) as refused:
        _check_selections(selecting(3), 2)
    text = "selections names 3 drafts, and at most 2 are checked in one call; nothing was checked."
    assert (refused.value.text, refused.value.expression) == (text, "context.selections")


@for_rows(
    ("drafts", "prefetch", "is_needed"),
    [
        (b'{"resourceType":"MedicationRequest"}', {}, True),
        (b'{"resourceType":"MedicationRequest"}', {"labs": None}, True),
        (b'{"resourceType":"MedicationRequest"}', {"labs": {}, "x": {"a": 1}}, False),
        (b'{"resourceType":"ServiceRequest"}', {}, False),
    ],
)
def test_an_order_of_a_medication_needs_something_of_the_chart(
    drafts: bytes, prefetch: Json, *, is_needed: bool
) -> None:
    assert _needs_patient(cast("Any", made(context=signed(drafts), prefetch=prefetch))) is is_needed


def signing(*orders: Json, **more: Any) -> Any:
    call = call_about(**more)
    return replace(call, request=cast("Any", made(context=signed(bundle(*orders)), hook="order-sign")))


def test_where_nothing_is_drafted_or_selected_that_is_said() -> None:
    assert why_silent(decided("order-safety", signing())) == [
        ("nothing-to-judge", "draftOrders holds no order: nothing was judged.")
    ]
    context = OrderSelectContext(
        patient_id="p1", user_id=None, selections=(), draft_orders=Raw(bundle(request("paracetamol 500 mg")))
    )
    call = replace(call_about(), request=cast("Any", made(context=context, hook="order-select")))
    advice = decided("order-safety", call)
    assert why_silent(advice) == [("nothing-to-judge", "Nothing is selected: nothing was judged.")]
    assert (advice.orders or {})["judged"] == []
    unknown = replace(context, selections=("MedicationRequest/m1", "MedicationRequest/m9"))
    advice = decided("order-safety", replace(call, request=cast("Any", made(context=unknown, hook="order-select"))))
    assert (advice.orders or {})["judged"] == ["MedicationRequest/m1"]
    assert (
        WhyNot("selections[1]", "not-in-drafts", "A selection names no entry of draftOrders: not judged.")
        in advice.silences
    )
    assert not any(silence.subject == "selections[0]" for silence in advice.silences)


# Dispatched orders


def dispatching(*orders: str, tasks: tuple[Json, ...] = (), **more: Any) -> Any:
    context = OrderDispatchContext(
        patient_id="p1", dispatched_orders=orders, performer="Organization/1", fulfillment_tasks=cast("Any", tasks)
    )
    return replace(call_about(**more), request=cast("Any", made(context=context, hook="order-dispatch")))


def test_what_is_not_judged_of_dispatched_orders_is_named() -> None:
    def focus(value: Any) -> Json:
        return {"focus": Raw(msgspec.json.encode(value))}

    tasks: tuple[Json, ...] = (
        focus({"reference": "MedicationRequest/1"}), focus({"reference": "Observation/1"}), focus("x"), {},
        focus({"reference": 5}), focus({"reference": "https://ehr.example/MedicationRequest/1"}),
    )  # fmt: skip
    call = dispatching("MedicationRequest/1", "https://ehr.example/MedicationRequest/1", tasks=tasks)
    advice = decided("order-safety-dispatch", call)
    assert [(silence.subject, silence.reason, silence.text) for silence in advice.silences] == [
        ("MedicationRequest/1", "not-a-study",
         "MedicationRequest/1 is no ServiceRequest: it is judged when it is signed."),
        ("fulfillmentTasks[1]", "not-dispatched",
         "A fulfilment Task is about an order that is not dispatched: it changes nothing here."),
    ]  # fmt: skip
    many = dispatching(*(f"MedicationRequest/{number}" for number in range(3)), max_drafts=2)
    with pytest.raises(PayloadTooLarge) as refused:
        decided("order-safety-dispatch", many)
    text = "dispatchedOrders names 3 orders, 2 are judged in one call; nothing was judged."
    assert (refused.value.text, refused.value.expression) == (text, "context.dispatchedOrders")
    assert decided("order-safety-dispatch", replace(many, max_drafts=3)).cards == []


@for_rows(
    ("states", "why"),
    [
        ([], "not sent"),
        ([("dispatched", "ServiceRequest", False, "not asked for")], "not asked for"),
        ([("tests", "ServiceRequest", False, "x")], "not sent"),
        ([("labs", "Observation", True, "x")], "not sent"),
        ([("dispatched", "ServiceRequest", False, "x"), ("tests", "ServiceRequest", True, "y")], None),
    ],
)
def test_orders_that_were_not_looked_up_are_asked_for(states: list[Any], why: str | None) -> None:
    known = [
        made(template=made(key=key, resource=resource), is_known=is_known, text=text)
        for key, resource, is_known, text in states
    ]
    call: Any = made(prefetch=made(states=known))
    if why is None:
        _require_orders(call)
        return
    with pytest.raises(PreconditionFailed) as refused:
        _require_orders(call)
    assert (refused.value.text, refused.value.expression) == (
        f"None of the ServiceRequests of context.dispatchedOrders is available ({why}): nothing was judged. Send them "
        "in the prefetch, under any key, or a fhirServer with a token that may read them.",
        "prefetch.dispatched",
    )


def test_the_patient_is_needed_where_a_study_is_dispatched() -> None:
    for orders, is_needed in (
        (("ServiceRequest/1",), True),
        (("https://ehr.example/ServiceRequest/1",), True),
        (("MedicationRequest/1",), False),
        ((), False),
    ):
        assert _names_studies(dispatching(*orders).request) is is_needed


# Discharge


STENT = builders.condition("Z95.5", builders.ICD10)


@for_rows(
    ("categories", "goes_home"),
    [([], True), (["inpatient"], False), (["inpatient", "discharge"], True), (["community"], True)],
)
def test_an_order_of_the_stay_alone_does_not_go_home(categories: list[str], *, goes_home: bool) -> None:
    assert _goes_home({"category": [{"coding": [{"code": code}]} for code in categories]}) is goes_home


def test_a_new_order_is_of_this_stay_and_for_the_time_after_it() -> None:
    context = EncounterDischargeContext(patient_id="p1", user_id="Practitioner/7", encounter_id="e7")
    call: Any = replace(call_about(), request=cast("Any", made(context=context)))
    update = Action(type="update", description="d", resource={"resourceType": "MedicationRequest"})
    assert _ordered_now(update, call) is update
    stay: Json = {"encounter": {"reference": "Encounter/e7"}, "authoredOn": "2026-11-20"}
    test = _ordered_now(replace(update, type="create", resource={"resourceType": "ServiceRequest", "id": "1"}), call)
    by = {"requester": {"reference": "Practitioner/7"}}
    assert test.resource == {"resourceType": "ServiceRequest", "id": "1"} | stay | by
    nobody: Any = replace(call, request=cast("Any", made(context=replace(context, user_id=None))))
    system = "http://terminology.hl7.org/CodeSystem/medicationrequest-category"
    assert (
        _ordered_now(replace(update, type="create"), nobody).resource
        == {"resourceType": "MedicationRequest", "category": [{"coding": [{"system": system, "code": "discharge"}]}]}
        | stay
    )


@for_rows(
    ("days", "classes", "more", "lacks"),
    [
        (0, (), (), "no statin and no antiplatelet (aspirin, P2Y12 inhibitor)"),
        (30, ("statin",), (), "no antiplatelet (aspirin, P2Y12 inhibitor)"),
        (31, (), (), None),
        (None, (), (), None),
        (5, ("statin", "antiplatelet"), (), "no aspirin"),
        (5, ("statin", "antiplatelet"), (builders.allergy("aspirin", id="a1"),), None),
        (5, ("statin", "antiplatelet", "anticoagulant"), (), None),
        (5, ("statin", "antiplatelet", "salicylate"), (), None),
        (5, ("statin", "salicylate"), (), None),
        (5, ("antiplatelet", "salicylate"), (), "no statin"),
        (5, ("antiplatelet", "salicylate"), (builders.allergy("atorvastatin", id="a1"),), None),
        (5, ("antiplatelet", "salicylate"), (builders.statement("atorvastatin 80 MG Oral Tablet"),), None),
        (5, ("antiplatelet", "salicylate"), (request("atorvastatin 80 mg", doNotPerform=True),), None),
        (5, ("statin",), (request("aspirin 81 mg", doNotPerform=True),), None),
        (5, ("statin", "salicylate"), (STENT,), "no P2Y12 inhibitor"),
        (5, ("statin", "salicylate", "antiplatelet"), (STENT,), None),
        (5, ("statin", "salicylate"), (STENT, builders.allergy("clopidogrel", id="a1")), None),
    ],
)
def test_what_is_missing_after_an_infarction_of_the_last_30_days(
    days: int | None, classes: tuple[str, ...], more: tuple[Json, ...], lacks: str | None
) -> None:
    onset = {} if days is None else {"onsetDateTime": (builders.AS_OF - timedelta(days=days)).isoformat()}
    infarction = builders.condition("I21.4", builders.ICD10, **onset)
    active = (made(medication=made(identity=made(classes=frozenset(classes)))),)
    card = _after_infarction(call_about(infarction, *more), cast("Any", active))
    assert (card is None) if lacks is None else (card is not None and f" {lacks} is among" in card.summary)
    not_searched = call_about(infarction, *more, searched=SEARCHED - {"Condition"})
    assert _after_infarction(not_searched, cast("Any", active)) is None
    assert _after_infarction(call_about(builders.condition("I25.2", builders.ICD10, **onset)), ()) is None  # an old one


# Prevention


def judged(name: str, state: str = "due", because: str = "never", text: str = "never done") -> Judgement:
    service = made(id=name, name=f"Service {name}", short=f"short {name}")
    return Judgement(
        service=cast("Any", service), state=cast("Any", state), because=because, text=text, order=cast("Any", 1)
    )


def test_what_is_not_due_has_a_reason_each_and_what_is_not_for_this_age_one_together() -> None:
    every = (
        judged("a"), judged("b", "not due", "done", "done in 2025"), judged("c", "not due", "age", "x"),
        judged("d", "not due", "sex", "x"), judged("e", "not known", "not-sent", "no reports"),
        judged("f", because="check-up"),
    )  # fmt: skip
    assert _silences(every) == [
        WhyNot("b", "already-done", "Service b: not due, done in 2025."),
        WhyNot("e", "input-missing", "Service e: not known, no reports."),
        WhyNot("f", "worklist", "Service f: due, never done; kept for a check-up."),
        WhyNot("preventive-services", "outside-population", "Not for this age or sex: short c, short d."),
    ]
    assert _silences(every[:1]) == []
    assert _entry(list(every[:2])) == WorklistEntry(
        test="Preventive services: short a, short b", purpose="preventive-services", because="no-visit"
    )
    for name, state in (("tobacco", "due"), ("colorectal", "not due")):
        (changed_one,) = _in_context((judged(name),), 60, is_check_up=True)
        assert changed_one.state == state, "what helps at once is offered with a short outlook, too"
    done = replace(every[1], last=cast("Any", made(source="Procedure/1")))
    assert _basis((every[0], done)) == {"drafts": [], "judged": [], "tests": {"b": "Procedure/1"}}


@for_rows(
    ("wanted", "kind", "is_judged"),
    [("answer", "Sick visit", True), ("cards", "Sick visit", False), ("cards", "Annual physical", True),
     ("first cards", "Annual physical", False)],
)  # fmt: skip
def test_for_another_service_reminders_are_judged_only_where_they_have_their_place(
    wanted: Any, kind: str, *, is_judged: bool
) -> None:
    visit = builders.encounter(id="e1", type=[{"text": kind}], period={"start": "2026-11-20"})
    advice = decided("preventive-services", replace(call_about(visit), wanted=wanted))
    assert (advice.scores is not None) is is_judged


# Vaccines


def due(**members: Any) -> Any:
    empty: Json = dict.fromkeys(("due", "catch_up", "of_season", "ordered", "declined", "seasons_over", "uncoded"), ())
    return made(**empty | members)


def test_why_no_vaccine_is_due() -> None:
    childhood = (made(label="MMR"), made(label="varicella"))
    declined = (made(group="influenza", when="2026-10-01"), made(group="zoster", when="2026-02-03"))
    for found, reason, text in (
        (due(ordered=("zoster", "Tdap"), declined=declined), "already-ordered",
         "What is due is ordered already: zoster, Tdap."),
        (due(declined=declined, catch_up=childhood), "declined",
         "What is due was declined by the patient within a year: influenza (2026-10-01), zoster (2026-02-03)."),
        (due(uncoded=(made(label="zoster"), made(label="Tdap")), catch_up=childhood), "input-missing",
         "What is due is recorded without a vaccine code or a date: zoster, Tdap. Check what is missing."),
        (due(catch_up=childhood), "worklist",
         "Only doses of childhood may be missing: MMR, varicella. Kept for the worklist."),
    ):  # fmt: skip
        assert _reason_for_none(found) == no_card("vaccines-due", reason, text)
    (silence,) = _reason_for_none(due(seasons_over=(("influenza", "2026-06-30"),))).silences
    assert silence.reason == "below-threshold"
    assert silence.text.startswith("No vaccine is due by ")
    assert silence.text.endswith(". Its seasons are over: influenza (to 2026-06-30) is not judged any more.")
    assert "seasons" not in _reason_for_none(due()).silences[0].text


def test_another_service_is_not_told_of_vaccines_where_nobody_is_reminded() -> None:
    """After a visit its own answer keeps what is due for the worklist; another service, that asks, gets nothing."""
    past = builders.encounter("AMB", "finished", id="e1", period={"start": "2026-11-01", "end": "2026-11-01"})
    for wanted in ("cards", "first cards", "answer"):
        advice = decided("vaccines-due", call_about(past, wanted=wanted))
        assert (advice.cards, bool(advice.worklist), bool(advice.scores)) == ([], *([wanted == "answer"] * 2))
    assert decided("vaccines-due", call_about(wanted="cards")).cards


@pytest.mark.parametrize(
    ("count", "words"), [(0, []), (2, ["e0", "e1"]), (3, ["e0", "e1", "1 more entries like these"])]
)
def test_two_entries_that_are_no_doses_are_named(count: int, words: list[str]) -> None:
    unread = [made(text=f"e{number}.", subject=f"Immunization/{number}") for number in range(count)]
    assert _unread(cast("Any", made(history=made(unread=unread)))) == words


# Genes


@for_rows(
    ("resources", "shown", "count", "text"),
    [
        ([], ["codeine", "codeine", "clopidogrel"], 2,
         "Older genetic results are information only about codeine, clopidogrel: said when it is ordered."),
        ([], [], 0, "No medication that is taken is on the chart."),
        ([request("pill from abroad")], [], 0,
         "No medication that is taken can be read. Not readable on the medication list: pill from abroad."),
        ([], [], 1, "The drug that is taken needs no change for the genetic results on record."),
        ([], [], 2, "The 2 drugs that are taken need no change for the genetic results on record."),
    ],
)  # fmt: skip
def test_why_no_gene_matters(resources: list[Json], shown: list[str], count: int, text: str) -> None:
    drugs = [cast("Any", made(name=name)) for name in shown]
    assert _nothing_new(record_of(*resources), drugs, count) == text


@for_rows(
    ("entered", "measured", "is_new"),
    [("2026-10-21", "2020-01-01", True), ("2026-10-20", "2026-11-01", False), (None, "2026-11-01", True),
     (None, "2020-01-01", False), (None, None, False)],
)  # fmt: skip
def test_a_genetic_result_is_new_for_a_month_after_it_was_entered(
    entered: str | None, measured: str | None, *, is_new: bool
) -> None:
    reading = cast("Any", made(entered=parse_time(entered or ""), time=parse_time(measured or "")))
    assert _is_new(reading, record_of()) is is_new


@pytest.mark.parametrize(
    ("indicator", "source", "is_meant"),
    [("info", "Observation/old", False), ("info", "Observation/new", True), ("warning", "Observation/old", True)],
)
def test_of_an_older_genetic_result_only_a_warning_is_shown(indicator: str, source: str, *, is_meant: bool) -> None:
    finding = cast("Any", made(indicator=indicator, facts=[made(name="gene", source=source)]))
    assert _is_meant(finding, {"Observation/new"}) is is_meant


def test_without_a_genetic_result_nothing_is_said() -> None:
    genes = "genes-and-medications"
    assert why_silent(decided(genes, call_about())) == [
        ("input-missing", "The genetic results are not known: nothing is said.")
    ]
    assert why_silent(decided(genes, call_about(searched=SEARCHED | {"genomics"}))) == [
        ("below-threshold", "No genetic result is on record.")
    ]


# The review


@for_rows(
    ("resources", "searched", "reasons"),
    [
        ([], SEARCHED - {"MedicationRequest", "MedicationStatement"},
         [("input-missing", "The medication list is not known: nothing is reviewed.")]),
        ([], SEARCHED - {"MedicationRequest"},
         [("below-threshold", "No medication that is taken is on the chart.")]),
        ([], SEARCHED - {"MedicationStatement"},
         [("below-threshold", "No medication that is taken is on the chart.")]),
        ([request("pill from abroad")], SEARCHED,
         [("not-recognised", "On the medication list, not readable, so not reviewed: pill from abroad.")]),
        ([request("acetaminophen 500 MG Oral Tablet", status="unknown")], SEARCHED,
         [("input-missing", "Whether it is taken is not known, so not reviewed: acetaminophen, status unknown."),
          ("below-threshold", "No medication that is taken is on the chart.")]),
    ],
)  # fmt: skip
def test_why_the_review_has_no_card(
    resources: list[Json], searched: frozenset[str], reasons: list[tuple[str, str]]
) -> None:
    assert (
        why_silent(decided("medication-review", call_about(*resources, searched=searched)))[: len(reasons)] == reasons
    )


# What a payer proposes


PAYER: Any = made(id="own", name="Own Health", url="")


def test_a_coverage_that_the_payer_knows_is_offered() -> None:
    member = Member("own", "M-1", "1956-11-20", "gold-2027", "Gold 2027", "2026-10-01", "2027-09-30")
    rows = Proposals({}, {("own", "M-1"): member})
    patient: Json = {"resourceType": "Patient", "id": "p1", "birthDate": "1956-11-20"}
    old: Json = {"resourceType": "Coverage", "id": "c1", "subscriberId": "M-1", "period": {"start": "2025-10-01"}}

    def offered(known: Proposals, pairs: list[Any], who: Json = patient) -> list[Card]:
        return list(coverage_cards(call_about(), known, pairs, [PAYER], who))

    (card,) = offered(rows, [(old, PAYER)])
    assert card.summary == "Own Health: the coverage is known with the plan Gold 2027 from 2026-10-01"
    assert [(one.label, one.actions[0].type, one.actions[0].description) for one in card.suggestions] == [
        ("Update the coverage", "update", "Update plan and period of the coverage")
    ]
    assert offered(Proposals(), [(old, PAYER)]) == []
    assert offered(rows, [(old, PAYER)], patient | {"birthDate": "1956-11-21"}) == []
    number = {
        "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MB"}]},
        "value": "M-1",
    }
    (created,) = offered(rows, [], patient | {"identifier": [number]})
    assert created.summary == "Own Health: a coverage is known with the plan Gold 2027 from 2026-10-01"
    assert [(one.label, one.actions[0].type, one.actions[0].description) for one in created.suggestions] == [
        ("Add the coverage", "create", "Add the coverage")
    ]
    unnamed = Proposals({}, {("own", "M-1"): replace(member, plan_name="")})
    assert "with the plan gold-2027 from" in offered(unnamed, [(old, PAYER)])[0].summary


@pytest.mark.parametrize(("criteria", "doc_needed"), [(None, "clinical"), (made(id="c", criteria=()), None)])
def test_a_form_is_proposed_for_criteria_whose_documents_are_needed_only(criteria: Any, doc_needed: Any) -> None:
    row = Proposal("form", "own", "E1", "s", "x", "Questionnaire", "A form", date(2026, 1, 1), None, "ours")
    answer = made(payer=PAYER, code=("s", "E1"), criteria=criteria, doc_needed=doc_needed, order="DeviceRequest/1")
    note: Any = made(answer=answer, updated={}, words="A device")
    rows = Proposals({("own", "E1"): (row,)})
    assert list(proposed(call_about(), note, rows, (), {STEPS.code: True}, "https://x.example")) == []


# What every service has


def test_the_pages_of_a_decision() -> None:
    call = call_about()
    assert call.explain_url == "https://cds.example/explain/d1"
    assert call.model_url("m") == "https://cds.example/models/m"
    assert call.equation_url("e") == "https://cds.example/equations/e"
    assert call.reads_of([], []) == {}
    assert opted_out_words(cast("Any", made(opted_out="Consent/1"))) == (
        "The patient has opted out of estimates and reminders (Consent/1)."
    )
    first = Link(label="First", url="https://x.example", type="absolute")
    card = Card(summary="s", indicator="info", source=Source(label="l"), uuid="u", links=(first,))
    own = Link(label="Why this card", url="https://cds.example/explain/d1", type="absolute")
    assert call.links_of(card) == (first, own)
    findings = {EXTENSION_KEY: {"findings": [{"rule": "r1"}, {"rule": "r2"}]}}
    rule = Link(label="The rule and its sources", url="https://cds.example/rules/r1", type="absolute")
    found = replace(card, extension=cast("Any", findings))
    assert call.links_of(found) == (first, rule, own)


def test_a_service_is_listed_once_for_each_hook() -> None:
    services = find_services()
    review = services["medication-review"]
    assert (review.listed_id("patient-view"), review.listed_id("order-sign")) == (
        "medication-review", "medication-review-order-sign",
    )  # fmt: skip
    orders = services["order-safety"]
    assert [entry["id"] for entry in orders.discovery()] == ["order-safety-select", "order-safety-sign"]
    alone = orders.for_hook("order-sign")
    assert ([*alone.answers], alone.hooks) == (["order-sign"], ("order-sign",))
    assert [entry["hook"] for entry in alone.discovery()] == ["order-sign"]
    assert "extension" not in alone.discovery()[0]
    asking = review.asking_for(["Consent"])
    assert asking.needs.resources == review.needs.resources | {"Consent"}


def test_a_card_names_the_results_that_could_not_be_used_but_for_what_was_entered_in_error() -> None:
    refusals = [
        made(analyte=analyte, reason=reason)
        for analyte, reason in (("glucose", "implausible"), ("glucose", "entered-in-error"), ("", "implausible"))
    ]
    assert refused_results(made(refusals=refusals)) == refusals[:1]


def test_nothing_is_expected_of_the_years_to_come_where_the_site_withholds_the_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    codes = {"1751-7": (4.2, "g/dL"), "6768-6": (70, "U/L"), "3094-0": (15, "mg/dL"), "2160-0": (0.9, "mg/dL"),
             "2345-7": (95, "mg/dL"), "1975-2": (0.6, "mg/dL"), "6690-2": (6.5, "10*3/uL"), "789-8": (4.5, "10*6/uL"),
             "787-2": (90, "fL"), "788-0": (13, "%"), "736-9": (30, "%"), "8480-6": (130, "mm[Hg]"),
             "8462-4": (80, "mm[Hg]"), "39156-5": (27, "kg/m2")}  # fmt: skip
    results = [builders.observation(code, value, unit, "2026-11-10") for code, (value, unit) in codes.items()]

    async def predict(model: Any, values: Any) -> Any:
        return model.predict_each([values])[0]

    def expected(*resources: Json, withheld: str | None = None, patient: Json | None = None) -> int | None:
        call: Any = replace(
            call_about(*resources, patient=patient), predict=cast("Any", predict), why_withheld=lambda _: withheld
        )
        return asyncio.run(likely_deaths(call))

    assert expected(*results) is not None
    assert expected(*results, withheld="paused") is None
    assert expected() is None
    monkeypatch.setattr(_outlook, "OUTLOOK", AbsentModel("mortality_5y", OSError("gone"), ()))
    assert expected(*results) is None
    monkeypatch.undo()
    assert expected(*results, patient=WOMAN | {"birthDate": "2016-11-20"}) is None


def test_a_service_that_sees_the_visit_asks_for_what_the_others_read_of_an_opened_chart() -> None:
    vaccines = find_services()["vaccines-due"]
    other = find_services()["planning-conversation"].asking_for(("Device",))
    assert "Device" in vaccines.seeing_visit([other]).needs.resources
    assert "Device" not in vaccines.seeing_visit([changed(other, hooks=("order-sign",))]).needs.resources


def test_a_model_that_cannot_be_served_is_refused_and_a_second_one_is_missed_by_nobody() -> None:
    absent = AbsentModel("m", OSError("gone"), ())
    planning = find_services()["planning-conversation"]
    second = changed(planning, models=(planning.models[0], absent))
    second.require_model()
    assert second.absent_models == (absent,)
    assert planning.absent_models == ()
    first = changed(planning, models=(absent, planning.models[0]))
    with pytest.raises(Exception, match="The model m cannot be served"):
        first.require_model()
    changed(planning, models=()).require_model()


# Entries that may be a dose, or forbid one


def charted(*unread: str, observations: tuple[str, ...] = (), to_check: tuple[str, ...] = ()) -> Any:
    return made(
        history=made(unread=[made(text=text, subject="") for text in unread]),
        person=made(observations=[made(words=words) for words in observations]),
        to_check=[made(words=words) for words in to_check],
    )


def test_an_entry_of_which_the_card_speaks_is_not_named_again() -> None:
    entries = [made(text=f"Immunization/{number} has no code.", subject=f"Immunization/{number}") for number in (1, 2)]
    due = made(uncoded=[made(doses=[made(source="Immunization/1")])])
    assert _unread(cast("Any", made(history=made(unread=entries))), due) == ["Immunization/2 has no code"]


UNREADABLE = "Not readable on the medication list: pill from abroad. One of them may weaken the immune system."


@for_rows(
    ("resources", "unread", "silences"),
    [
        ([], (), []),
        ([], ("Immunization/1 has no day.", "Immunization/2 has no code."),
         [("vaccines-unreadable",
           "Not counted as doses: Immunization/1 has no day; Immunization/2 has no code.")]),
        ([request("pill from abroad")], (), [("medications-unreadable", UNREADABLE)]),
        ([request("pill from abroad")], ("x.",),
         [("vaccines-unreadable", "Not counted as doses: x."), ("medications-unreadable", UNREADABLE)]),
    ],
)  # fmt: skip
def test_a_silent_answer_says_what_of_the_chart_was_not_counted(
    resources: list[Json], unread: tuple[str, ...], silences: list[tuple[str, str]]
) -> None:
    found = list(_not_judged(record_of(*resources), charted(*unread)))
    assert found == [WhyNot("vaccines-due", reason, text) for reason, text in silences]


def test_allergies_and_medications_that_no_table_knows_may_forbid_a_vaccine() -> None:
    record = record_of(
        *(builders.allergy(f"strange thing {number}", id=f"a{number}") for number in range(3)),
        request("pill from abroad"),
    )
    pill = "medications that could not be read (pill from abroad)"
    first, second, third = (f"an allergy that could not be read (strange thing {number})" for number in range(3))
    assert _unread_beside(record, charted()) == [first, second, pill]
    known = charted(observations=("strange thing 0",), to_check=("strange thing 1",))
    assert _unread_beside(record, known) == [third, pill]
    assert _unread_beside(record_of(), charted()) == []


# Decimals of a draft come back digit for digit in the corrected draft, in every version of the protocol.


JSON = {"content-type": "application/json"}


def test_a_number_that_a_float_gives_back_as_it_was_written_is_a_plain_float() -> None:
    ordinary, exact = decode_exactly(b"[2.5, 2.50]")
    assert type(ordinary) is float
    assert isinstance(exact, ExactDecimal)
    assert exact == ordinary
    assert copy.deepcopy([exact])[0] is exact


def test_exact_decimals_are_written_by_the_hook_and_made_plain_for_other_readers() -> None:
    value = decode_exactly(b'{"a": [1.10]}')
    assert msgspec.json.encode(value, enc_hook=write_decimal) == b'{"a":[1.10]}'
    assert type(with_plain_numbers(value)["a"][0]) is float
    assert isinstance(as_json_value(value)["a"][0], ExactDecimal)
    with pytest.raises(NotImplementedError, match="object"):
        write_decimal(object())


@pytest.mark.parametrize("text", [b"1e400", b"[1.", b"NaN"])
def test_a_number_beyond_64_bits_or_no_json_is_refused(text: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_exactly(text)
