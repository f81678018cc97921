"""The payers' service by itself: which orders and coverages it reads of a call, and what it says where it does not."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class

from cards.coverage.policy import Policies, PolicyFault, load_policies
from cards.coverage.proposals import Proposals, load_proposals
from cards.coverage.store import policies
from cds_hooks.errors import BadRequest, PayloadTooLarge, TooDeep
from cds_hooks.protocol.originals import Sent
from cds_hooks.services import _coverage
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
from cds_hooks.services.coverage_requirements import SERVICE as DECLARED
from fhir.record.refusals import WhyNot
from tests.cds_hooks.services.coverage_calls import (
    COPD,
    Json,
    ask,
    bundle,
    concept,
    coverage,
    extensions_of,
    order,
    patient,
)
from tests.cds_hooks.services.crd_profiles import faults
from tests.cds_hooks.services.test_coverage_look_alikes import CASES
from tests.cds_hooks.services.test_crd_requirements import own_folder
from tests.cds_hooks.services.test_payer_requirements import CASES as EARLIER_CASES
from tests.each import for_rows
from tests.live import record_in
from tests.program import run_program


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


def _read(call: Any) -> tuple[list[Any], list[WhyNot]]:
    advice = Advice()
    resources = _resources(call, _Sent(call), advice)
    return [resource.get("id") for resource in resources], advice.silences


def _bytes(*resources: Json) -> bytes:
    return json.dumps(bundle(resources)).encode()


def test_a_dispatched_order_that_did_not_come_is_named() -> None:
    names = ["ServiceRequest/order-97110", "https://x.example/ServiceRequest/order-97110", "DeviceRequest/d9", "Task/t"]
    task = {"resourceType": "Task", "id": "t"}
    call = _call(order("97110"), task, hook="order-dispatch", dispatched_orders=names)
    assert _read(call) == (
        ["order-97110"],
        [
            WhyNot(name, "order-not-found", f"{name} did not come: not judged.")
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


def test_what_is_no_resource_among_the_entries_is_left_out() -> None:
    entries = ["x", {"resource": "y"}, {}, {"resource": order("97110") | {"note": [{"text": "[" * 200}]}}]
    raw = json.dumps({"resourceType": "Bundle", "entry": entries}).encode()
    assert [entry["id"] for entry in _entries(raw, "where")] == ["order-97110"]


@for_rows(
    ("addresses", "state"),
    [
        ([{"city": "Austin"}, {"state": "TX"}], "TX"),
        (["Austin", {"state": "Ohio"}], "OH"),
        ([{"state": "CA", "use": "old"}, {"state": "NV"}, {"state": "TX", "use": "home"}], "TX"),
        ([], None),
    ],
)
def test_the_state_is_that_of_the_home(addresses: list[Any], state: str | None) -> None:
    patient = {"resourceType": "Patient", "id": "p", "address": addresses}
    assert _state(_Sent(_call(patient)), "p") == state


def test_an_order_is_named_by_its_words_else_by_its_codes() -> None:
    for displays, words in (([" ", "Physical therapy"], "Physical therapy"), ([" "], "97110"), ([], "97110")):
        resource = {"code": {"coding": [{"display": display} for display in displays]}}
        ordered: Any = SimpleNamespace(resource=resource, codes=[("cpt", "97110")], reference="ServiceRequest/1")
        assert _words_of(ordered) == words
    bare: Any = SimpleNamespace(resource={}, codes=[], reference="ServiceRequest/1")
    assert _words_of(bare) == "ServiceRequest/1"
    bare.resource = {"medicationCodeableConcept": {"text": "A drug"}}
    assert _words_of(bare) == "A drug"


DEEP = b'{"a":' * 100 + b"1" + b"}" * 100


@for_rows(
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
    def read(*orders: Json) -> tuple[list[str], list[WhyNot]]:
        call, advice = _call(draft_orders=_bytes(*orders)), Advice()
        return [found.reference for found in _orders(call, _Sent(call), advice)], advice.silences

    task = {"resourceType": "Task", "id": "t1"}
    names = ("Task/t1", "Task without an id")
    assert read(order("97110"), task, {"resourceType": "Task"}) == (
        ["ServiceRequest/order-97110"],
        [WhyNot(name, "not-an-order", f"{name} is no order that a payer notes on.") for name in names],
    )
    with pytest.raises(BadRequest) as refused:
        read(order("97110"), order("97112", subject={"reference": "Patient/q"}))
    assert refused.value.text == "An order is for another patient than context.patientId; nothing was judged."


def _paired(*resources: Json, requested: bool = True) -> tuple[list[tuple[str, str]], list[WhyNot]]:
    call, advice = _call(*resources, requested=requested), Advice()
    pairs = _coverages(call, _Sent(call), policies(), advice)
    return [(made["id"], payer.name) for made, payer in pairs], advice.silences


def test_each_coverage_has_the_payer_of_its_rules_or_a_reason() -> None:
    subject = "coverage-requirements"
    (medicare,), _ = _paired(coverage())
    assert medicare[0] == "cov1"
    none = [WhyNot(subject, "no-coverage", "The patient has no coverage on record.")]
    assert _paired() == ([], none)
    assert _paired(coverage(status="draft"), coverage("cov2", status="entered-in-error")) == ([], none)
    missing = WhyNot(subject, "coverage-missing", "The coverage of the patient did not come.")
    assert _paired(requested=False) == ([], [missing])
    other = coverage("cov2", "Nobody's Insurance", "A plan")
    assert _paired(other, coverage()) == (
        [medicare],
        [WhyNot("Coverage/cov2", "no-rules-for-payer", "There are no rules of Nobody's Insurance here.")],
    )
    unnamed = coverage("cov3", plan="A plan") | {"payor": [{"reference": "Organization/none"}]}
    assert _paired(unnamed)[1] == [
        WhyNot("Coverage/cov3", "no-rules-for-payer", "There are no rules of this payer here.")
    ]
    assert _paired(coverage("cov3", plan="A plan", payor="") | {"payor": None})[1] == [
        WhyNot("Coverage/cov3", "no-rules-for-payer", "There are no rules of this payer here.")
    ]
    for beneficiary in ("Patient/p", "https://x.example/Patient/p", "RelatedPerson/r", ""):
        assert _paired(coverage(beneficiary={"reference": beneficiary})) == ([medicare], [])
    assert _paired(coverage(beneficiary=None)) == ([medicare], [])
    with pytest.raises(BadRequest, match="A Coverage is of another patient than context"):
        _paired(coverage(beneficiary={"reference": "Patient/q"}))


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


# Everything that a payer's service sends against the StructureDefinitions of CRD 2.0.1, and forms run by FHIRPath.
MEMBER = concept("http://terminology.hl7.org/CodeSystem/v2-0203", "MB")
PROPOSALS = """payer,kind,code,system,value,resource,text,effective_from,effective_to,source
own,companion,E0601,HCPCS,A7030,DeviceRequest,Full face mask for a positive pressure device,2026-01-01,,Own policy 7
own,alternate,E0601,HCPCS,E0470,DeviceRequest,Bilevel device without backup rate,2026-01-01,,Own policy 8
own,alternate,E0601,HCPCS,E0471,DeviceRequest,Bilevel device with backup rate,2020-01-01,2020-12-31,Own policy 8
own,form,E0601,,prior-auth-include,,Report of the sleep test,2026-01-01,,Own policy 9
"""
MEMBERS = """payer,number,birth_date,plan,plan_name,start,end
own,M-1,1955-06-15,gold-2027,Gold 2027,2026-10-01,2027-09-30
"""
POLICIES = (
    "id,payer,system,code,category,covered,pa_needed,places,criteria,effective_from,effective_to,source\n"
    "own-c,own,HCPCS,E0601,CPAP device,by-criteria,no-auth,,cpap,2026-01-01,,Own policy 6\n"
)


@pytest.fixture(name="own")
def rows_of_a_payer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Policies, Proposals]:
    """A payer with proposals and members of its own."""
    files = {"policies.csv": POLICIES, "proposals.csv": PROPOSALS, "members.csv": MEMBERS}
    folder = own_folder(tmp_path / "own", **files)
    rules = load_policies(folder)
    rows = load_proposals(folder, rules.payers)
    monkeypatch.setattr(_coverage, "policies", lambda: rules)
    monkeypatch.setattr(_coverage, "proposals", lambda: rows)
    return rules, rows


def cards_of(folder: Path, orders: list[Json], chart: list[Json], **more: Any) -> dict[str, list[Json]]:
    """The cards of a call by their topic."""
    folder.mkdir()
    response = asyncio.run(ask(folder, {"x": (orders, chart)}, **more))["x"]
    by_topic: dict[str, list[Json]] = {}
    for card in response["cards"]:
        by_topic.setdefault(card["source"]["topic"]["code"], []).append(card)
    return by_topic


def actions_of(card: Json) -> list[Json]:
    """The actions of the one suggestion of a card, whose resources are FHIR R4."""
    (suggestion,) = card["suggestions"]
    assert suggestion["uuid"]
    for action in suggestion["actions"]:
        get_fhir_model_class(action["resource"]["resourceType"]).model_validate(action["resource"])
    actions: list[Json] = suggestion["actions"]
    return actions


@pytest.mark.outside_data
def test_every_answer_keeps_the_profile_and_adds_no_fault_to_an_order(spec_folder: Path, tmp_path: Path) -> None:
    cases = {**EARLIER_CASES, **CASES}
    responses = asyncio.run(ask(tmp_path, {name: ([drafted], pool) for name, (drafted, pool, _) in cases.items()}))
    broken: dict[str, list[str]] = {}
    for name, response in responses.items():
        before = cases[name][0]
        profile = f"profile-{before['resourceType'].lower()}"
        for extension in (entry for found in extensions_of(response).values() for entry in found):
            broken[name] = faults(spec_folder / "crd", "ext-coverage-information", extension)
        for action in response.get("systemActions", ()):
            new = set(faults(spec_folder / "crd", profile, action["resource"]))
            broken[name] = [*broken[name], *(new - set(faults(spec_folder / "crd", profile, before)))]
    assert len(broken) > 150
    assert {name: found for name, found in broken.items() if found} == {}


@pytest.mark.outside_data
def test_a_broken_part_is_found_by_the_profile(spec_folder: Path) -> None:
    def part(url: str, **value: Any) -> Json:
        return {"url": url, **value}

    right = [
        part("coverage", valueReference={"reference": "Coverage/1"}),
        part("covered", valueCode="covered"),
        part("date", valueDate="2026-11-20"),
        part("coverage-assertion-id", valueString="1"),
    ]
    url = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information"
    check: Callable[[list[Json]], list[str]] = lambda parts: faults(  # noqa: E731
        spec_folder / "crd", "ext-coverage-information", {"url": url, "extension": parts}
    )
    assert check(right) == []
    assert check(right[1:])
    assert check([*right, right[1]])
    assert check([right[0], part("covered", valueCode="denied"), *right[2:]])
    assert check([part("coverage"), *right[1:]])


@pytest.mark.outside_data
def test_options_and_metrics_keep_their_logical_models(spec_folder: Path, tmp_path: Path) -> None:
    for entry in DECLARED.discovery():
        for option in entry["extension"]["davinci-crd.configuration-options"]:
            assert faults(spec_folder / "crd", "CDSHookServicesExtensionConfiguration", option) == []
    asyncio.run(ask(tmp_path, {"x": ([order("E1390"), order("L5856")], [patient(), coverage(), COPD])}))
    done = run_program("record", "export", "--format", "crd", "--database", record_in(tmp_path))
    metrics = [json.loads(line) for line in done.stdout.splitlines()]
    assert metrics
    assert [faults(spec_folder / "crd", "CRDMetricData", metric) for metric in metrics] == [[]]


# What a payer's own folder proposes


@pytest.mark.usefixtures("own")
def test_rows_of_a_payer_propose_a_companion_an_alternative_and_a_form(tmp_path: Path, spec_folder: Path) -> None:
    own = coverage(payor="Own Health Plan", plan="Gold")
    cards = cards_of(tmp_path / "a", [order("E0601")], [patient(), own])
    (companion,) = [card for card in cards["guideline"] if card.get("suggestions")]
    (created,) = actions_of(companion)
    assert created["type"] == "create"
    assert created["resource"]["codeCodeableConcept"]["coding"][0]["code"] == "A7030"
    assert created["resource"]["insurance"] == [{"reference": "Coverage/cov1"}]
    (alternative,) = cards["therapy-alternatives-opt"]
    (updated,) = actions_of(alternative)
    assert (updated["type"], updated["resource"]["id"]) == ("update", "order-e0601")
    assert updated["resource"]["codeCodeableConcept"]["coding"][0]["code"] == "E0470"
    assert "extension" not in updated["resource"], "the note is about the other code"
    (form,) = [card for card in cards["claim"] if card.get("suggestions")]
    kept, task = (action["resource"] for action in actions_of(form))
    once = {"davinci-crd.if-none-exist": f"url={kept['url']}&version={kept['version']}"}
    assert [action.get("extension") for action in actions_of(form)] == [once, None]
    assert not any("DeviceRequest/" in card["detail"] for of_topic in cards.values() for card in of_topic)
    assert task["input"][0]["valueCanonical"] == f"{kept['url']}|{kept['version']}"
    assert task["basedOn"] == [{"reference": "DeviceRequest/order-e0601"}]
    if (spec_folder / "crd").is_dir():
        assert faults(spec_folder / "crd", "profile-taskquestionnaire", task) == []


@pytest.mark.usefixtures("own")
def test_what_is_ordered_already_or_switched_off_is_not_proposed(tmp_path: Path) -> None:
    chart = [patient(), coverage(payor="Own Health Plan", plan="Gold")]
    both = cards_of(tmp_path / "a", [order("E0601"), order("A7030")], chart)
    assert not [card for card in both["guideline"] if card.get("suggestions")] if "guideline" in both else True
    options = {"davinci-crd.configuration": {"therapy-alternatives-opt": False, "insurance": False}}
    chosen = cards_of(tmp_path / "b", [order("E0601")], chart, extension=options)
    assert "therapy-alternatives-opt" not in chosen
    early = cards_of(tmp_path / "c", [order("E0601")], chart, hook="order-select")
    assert early == {}


@pytest.mark.usefixtures("own")
def test_a_coverage_that_the_payer_knows_otherwise_is_offered_as_one_change(tmp_path: Path, spec_folder: Path) -> None:
    old = coverage(payor="Own Health Plan", plan="gold-2026", subscriberId="M-1", period={"start": "2025-10-01"})
    (card,) = cards_of(tmp_path / "a", [order("E0601")], [patient(), old])["insurance"]
    (action,) = actions_of(card)
    assert (action["type"], action["resource"]["id"]) == ("update", "cov1")
    assert action["resource"]["period"] == {"start": "2026-10-01", "end": "2027-09-30"}
    assert [entry["value"] for entry in action["resource"]["class"]] == ["gold-2027"]
    assert "insurance" not in cards_of(tmp_path / "b", [order("E0601")], [patient(), action["resource"]])
    younger = cards_of(tmp_path / "c", [order("E0601")], [patient("1956-06-15"), old])
    assert "insurance" not in younger, "the number alone may be another person's"
    assert "insurance" not in cards_of(tmp_path / "e", [order("E0601")], [old]), "nothing is known of the patient"
    off = {"davinci-crd.configuration": {"insurance": False}}
    assert "insurance" not in cards_of(tmp_path / "f", [order("E0601")], [patient(), old], extension=off)
    unknown = patient() | {"identifier": [{"type": MEMBER, "value": "M-1"}]}
    (card,) = cards_of(tmp_path / "d", [order("E0601")], [unknown])["insurance"]
    (action,) = actions_of(card)
    assert (action["type"], action["resource"]["beneficiary"]) == ("create", {"reference": "Patient/p"})
    if (spec_folder / "crd").is_dir():
        assert faults(spec_folder / "crd", "profile-coverage", action["resource"]) == []


def test_a_row_that_steers_away_from_care_or_names_nothing_is_refused(tmp_path: Path) -> None:
    head, row = PROPOSALS.splitlines()[:2]
    for number, (old, new, fault) in enumerate(
        (
            ("Full face mask", "Not necessary: mask", "a proposal only offers"),
            ("companion", "advice", "kind is one of"),
            ("DeviceRequest", "Device", "resource one of"),
            ("own,", "other,", "not in payers.csv"),
            ("Own policy 7", "", "text and source are required"),
            ("2026-01-01", "soon", "no day"),
        )
    ):
        text = f"{head}\n{row.replace(old, new, 1)}\n"
        folder = own_folder(tmp_path / str(number), **{"policies.csv": POLICIES, "proposals.csv": text})
        with pytest.raises(PolicyFault, match=fault):
            load_proposals(folder, load_policies(folder).payers)
