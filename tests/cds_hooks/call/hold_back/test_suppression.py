"""A card that was shown or answered rests for the period of its answer, and speaks again when something is worse."""

import copy
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from cards.card import Card, Indicator, Source
from cards.extension import EXTENSION_KEY, CardExtension
from cards.finding import Finding
from cds_hooks.call.hold_back.checks import Caller
from tests.cds_hooks.call.hold_back.restraint_calls import Site
from tests.cds_hooks.call.prefetch.fetch_calls import app_client, silences
from tests.cds_hooks.call.services.chart_cases import as_call, patient
from tests.cds_hooks.call.services.equation_calls import NOW, valued
from tests.cds_hooks.calls import client, counted, counted_request_for, ours, request_for
from tests.each import each_row
from tests.fhir import builders
from tests.fhir.builders import medication_order
from tests.live import record_in
from tests.recorded import list_decisions

SERVICE, SAMPLE = "planning-conversation", "planning-talk"
ALBUMIN = "1751-7"


# Over HTTP, each day a new server that knows only the record


async def _call(calls: httpx.AsyncClient, change: Any = None, days: float = 0) -> httpx.Response:
    request = copy.deepcopy(request_for(SERVICE, "patient-view", SAMPLE, NOW + timedelta(days=days)))
    if change is not None:
        change(request)
    answered = await calls.post(f"/cds-services/{SERVICE}", json=counted(request))
    assert answered.status_code == 200, answered.text
    return answered


async def _answer(calls: httpx.AsyncClient, card: dict[str, Any], code: str) -> None:
    item = {"card": card["uuid"], "outcomeTimestamp": NOW.isoformat()}
    if code == "accepted":
        item |= {"outcome": "accepted", "acceptedSuggestions": [{"id": card["suggestions"][0]["uuid"]}]}
    else:
        reason = {"code": code, "system": "https://cds-hooks-onnx.org/override-reasons", "display": "A reason"}
        item |= {"outcome": "overridden", "overrideReason": {"reason": reason}}
    sent = await calls.post(f"/cds-services/{SERVICE}/feedback", json={"feedback": [item]})
    assert sent.status_code == 200, sent.text


def _albumin_missing(request: dict[str, Any]) -> None:
    for bundle in request["prefetch"].values():
        if bundle and bundle.get("entry"):
            bundle["entry"] = [each for each in bundle["entry"] if not _is(each["resource"], ALBUMIN)]


def _is(resource: dict[str, Any], code: str) -> bool:
    return any(coding.get("code") == code for coding in resource.get("code", {}).get("coding", []))


async def test_who_wants_to_know_more_sees_the_card_when_the_missing_result_arrives(tmp_path: Path) -> None:
    async with client(tmp_path, as_of=NOW) as calls:
        first = await _call(calls, _albumin_missing)
        (card,) = first.json()["cards"]
        assert "albumin_g_dl" in card["extension"]["org.cds-hooks-onnx"]["missing"]
        await _answer(calls, card, "need-more-info")
        assert (await _call(calls, _albumin_missing)).json()["cards"] == []
        assert len((await _call(calls)).json()["cards"]) == 1


@each_row(("label", "is_silent"))
async def test_who_opted_out_gets_no_estimate(tmp_path: Path, label: dict[str, str], *, is_silent: bool) -> None:
    def labelled(request: dict[str, Any]) -> None:
        request["prefetch"]["patient"]["meta"] = {"security": [label]}

    async with client(tmp_path, as_of=NOW) as calls:
        answered = await _call(calls, labelled)
        assert (answered.json()["cards"] == []) is is_silent
        assert (silences(answered).get("mortality_5y") == "opted-out") is is_silent


async def test_who_opted_out_is_warned_of_dangerous_orders_all_the_same(tmp_path: Path) -> None:
    request = counted_request_for("order-safety", "order-sign", "ckd4-metformin", NOW, "metformin-ckd4-coded")
    optout = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "OPTOUT"}
    request["prefetch"]["patient"]["meta"] = {"security": [optout]}
    async with client(tmp_path, as_of=NOW) as calls:
        answered = await calls.post("/cds-services/order-safety-sign", json=request)
        assert answered.json()["cards"] != []


DENIED = {
    "resourceType": "Consent", "id": "no-cds", "status": "active", "scope": {"coding": [{"code": "patient-privacy"}]},
    "category": [{"text": "Use of the record"}], "patient": {"reference": f"Patient/{SAMPLE}"},
    "provision": {"type": "deny",
                  "purpose": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "TREATDS"}]},
}  # fmt: skip


async def test_a_consent_under_a_key_of_the_client_silences_the_estimate_and_is_named_in_the_record(
    tmp_path: Path,
) -> None:
    def denied(request: dict[str, Any]) -> None:
        request["prefetch"]["consents"] = builders.bundle(DENIED)

    async with client(tmp_path, as_of=NOW) as calls:
        assert len((await _call(calls)).json()["cards"]) == 1
        answered = await _call(calls, denied)
        assert answered.json()["cards"] == []
        assert silences(answered)["mortality_5y"] == "opted-out"
    decision, _ = list_decisions(record_in(tmp_path))
    assert json.loads(decision.basis)["silence"][0] == [
        "mortality_5y",
        "opted-out",
        "The patient has opted out of estimates and reminders (Consent/no-cds denies decision support).",
    ]


REFERRAL_SERVICE = "nephrology-referral"
DAY = 86_400.0
CALLER = Caller("ehr", "p1", REFERRAL_SERVICE, "patient-view")


async def _suppression_of_cards_call(
    calls: httpx.AsyncClient, change: Any = None, user: str | None = None
) -> httpx.Response:
    request = copy.deepcopy(counted_request_for(REFERRAL_SERVICE, "patient-view", "ckd4-metformin", NOW))
    if change is not None:
        change(request)
    if user is not None:
        request["context"]["userId"] = user
    answered = await calls.post(f"/cds-services/{REFERRAL_SERVICE}", json=request)
    assert answered.status_code == 200, answered.text
    return answered


async def _override(calls: httpx.AsyncClient, card: str, code: str) -> None:
    reason = {"code": code, "system": "https://cds-hooks-onnx.org/override-reasons", "display": "A reason"}
    item = {"card": card, "outcome": "overridden", "overrideReason": {"reason": reason}}
    item["outcomeTimestamp"] = NOW.isoformat()
    sent = await calls.post(f"/cds-services/{REFERRAL_SERVICE}/feedback", json={"feedback": [item]})
    assert sent.status_code == 200, sent.text


async def test_an_answered_card_waits_for_its_period_and_speaks_again_when_it_is_worse(tmp_path: Path) -> None:
    async with app_client(tmp_path, as_of=NOW) as calls:
        first = (await _suppression_of_cards_call(calls)).json()["cards"]
        assert len(first) == 1
        await _override(calls, first[0]["uuid"], "a-reason-of-the-site")
        again = await _suppression_of_cards_call(calls, user="Practitioner/somebody-else")
        assert again.json()["cards"] == []
        assert [each["reason"] for each in ours(again)["silence"]] == ["said-once"]
        assert f"answered on {NOW.date()} (a-reason-of-the-site)" in ours(again)["silence"][0]["text"]
        worse = await _suppression_of_cards_call(calls, valued("2160-0", 5.0))
        assert len(worse.json()["cards"]) == 1
    async with app_client(tmp_path, as_of=NOW + timedelta(days=29)) as calls:
        assert (await _suppression_of_cards_call(calls)).json()["cards"] == []
    async with app_client(tmp_path, as_of=NOW + timedelta(days=31)) as calls:
        assert len((await _suppression_of_cards_call(calls)).json()["cards"]) == 1


# The memory by itself


class _Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def _card(risk: float, band: str = "high", indicator: Indicator = "info") -> Card:
    said = CardExtension(finding=Finding("kfre_4 5y", "kfre_4", measure=risk, band=band))
    return _with(said, indicator)


def _with(said: CardExtension, indicator: Indicator = "info") -> Card:
    return Card(
        uuid="c1", summary="A finding.", indicator=indicator, source=Source(label="x"), extension={EXTENSION_KEY: said}
    )


def _shown(memory: Site, card: Card, caller: Caller = CALLER) -> bool:
    """Whether the card is shown; what is shown is taken note of, as a call does it."""
    cards, withheld = memory.hold_back([card], caller)
    memory.show(cards, caller)
    assert len(cards) + len(withheld) == 1
    return bool(cards)


def test_a_critical_card_does_not_rest_because_it_was_shown() -> None:
    clock = _Clock()
    memory = Site(clock)
    assert _shown(memory, _card(0.10, indicator="critical"))
    clock.now += 2 * DAY
    assert _shown(memory, _card(0.10, indicator="critical"))
    assert not _shown(memory, _card(0.10))


@pytest.mark.parametrize(
    "other", [Caller("other", "p1", REFERRAL_SERVICE, "patient-view"), Caller("ehr", "p2", REFERRAL_SERVICE, "x")]
)
def test_what_one_client_was_shown_of_one_patient_says_nothing_of_another(other: Caller) -> None:
    clock = _Clock()
    memory = Site(clock)
    assert _shown(memory, _card(0.10))
    clock.now += 2 * DAY
    assert not _shown(memory, _card(0.10))
    assert _shown(memory, _card(0.10), other)


@pytest.mark.parametrize(("hook", "places"), [("order-sign", 3), ("encounter-discharge", 3), ("patient-view", 2)])
def test_what_another_service_showed_takes_a_place_of_an_opening_only_at_an_opening(hook: str, places: int) -> None:
    memory = Site(_Clock())
    memory.show([_card(0.10)], Caller("ehr", "p1", "another", hook))
    findings = [CardExtension(finding=Finding(f"finding {number}", "x")) for number in range(3)]
    cards = [replace(_with(extension), uuid=f"c{number}") for number, extension in enumerate(findings)]
    assert len(memory.hold_back(cards, CALLER)[0]) == places


# High-alert drugs that no rule is about


def _draft(drug: str) -> dict[str, Any]:
    return medication_order(drug, status="draft", patient="sample", id=f"draft-{drug[:4].lower()}")


async def _sign(calls: httpx.AsyncClient, hook: str, *drugs: str) -> httpx.Response:
    request = counted_request_for("order-safety", hook, "ckd4-metformin", NOW, "metformin-ckd4-coded")
    subject = request["context"]["draftOrders"]["entry"][0]["resource"]["subject"]
    drafts = [_draft(drug) | {"subject": subject} for drug in drugs]
    request["context"]["draftOrders"]["entry"] = [{"resource": each} for each in drafts]
    request["context"]["selections"] = [f"MedicationRequest/{each['id']}" for each in drafts]
    if hook == "order-sign":
        del request["context"]["selections"]
    service = "order-safety-sign" if hook == "order-sign" else "order-safety-select"
    answered = await calls.post(f"/cds-services/{service}", json=request)
    assert answered.status_code == 200, answered.text
    return answered


async def test_that_a_high_alert_drug_is_not_covered_is_said_once_for_a_patient(tmp_path: Path) -> None:
    async with client(tmp_path, as_of=NOW) as calls:
        selected = await _sign(calls, "order-select", "Hexalen")
        (card,) = selected.json()["cards"]
        assert card["summary"].startswith("Hexalen: high-alert")
        signed = await _sign(calls, "order-sign", "Hexalen")
        assert signed.json()["cards"] == []
        assert ("not-covered", "said-once") in {(one["subject"], one["reason"]) for one in ours(signed)["silence"]}
        # Another drug is another finding; the first of them is still known afterwards.
        both = await _sign(calls, "order-sign", "amsacrine")
        assert [each["summary"].partition(":")[0] for each in both.json()["cards"]] == ["Amsacrine"]
        assert (await _sign(calls, "order-sign", "Hexalen", "amsacrine")).json()["cards"] == []


# A card that lists several findings


def _list_call(service: str) -> dict[str, Any]:
    return as_call(service, "patient-view", 1, [patient(60, "female")])


async def _list_card(calls: httpx.AsyncClient, service: str) -> list[dict[str, Any]]:
    answered = await calls.post(f"/cds-services/{service}", json=_list_call(service))
    assert answered.status_code == 200, answered.text
    return list(answered.json()["cards"])


async def _answer_list(calls: httpx.AsyncClient, service: str, card: dict[str, Any], code: str) -> None:
    item: dict[str, Any] = {"card": card["uuid"], "outcomeTimestamp": NOW.isoformat()}
    if code == "accepted":
        item |= {"outcome": code, "acceptedSuggestions": [{"id": card["suggestions"][0]["uuid"]}]}
    else:
        reason = {"code": code, "system": "https://cds-hooks-onnx.org/override-reasons", "display": "A reason"}
        item |= {"outcome": "overridden", "overrideReason": {"reason": reason}}
    sent = await calls.post(f"/cds-services/{service}/feedback", json={"feedback": [item]})
    assert sent.status_code == 200, sent.text


LISTS = ("preventive-services", "vaccines-due")


@pytest.mark.parametrize(("code", "later"), [("patient-declines", 1), ("action-completed", 1), ("need-more-info", 0)])
async def test_what_is_said_of_one_finding_silences_the_others_for_a_day_only(
    tmp_path: Path, code: str, later: int
) -> None:
    service = LISTS[0]
    async with app_client(tmp_path, as_of=NOW) as calls:
        (first,) = await _list_card(calls, service)
        await _answer_list(calls, service, first, code)
        assert await _list_card(calls, service) == []
    async with app_client(tmp_path, as_of=NOW + timedelta(days=2)) as calls:
        assert len(await _list_card(calls, service)) == later
