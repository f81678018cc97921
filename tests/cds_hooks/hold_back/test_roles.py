"""Who may not order is shown the card without the buttons of orders, and is told to tell the prescriber."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from cards.card import Action, Card, Source, Suggestion
from cards.rules.engine.governance import SiteRules, all_rule_versions
from cds_hooks.hold_back.budgets import BudgetClaims
from cds_hooks.hold_back.checks import (
    CHECKS,
    NOT_FOR_THIS_ROLE,
    OVERRIDDEN_BEFORE,
    SILENT_MODE,
    SUPPRESSED,
    CheckedCall,
    check_event,
    check_role,
    explain_held_back,
)
from cds_hooks.hold_back.governance import Governance
from cds_hooks.hold_back.memory import Bounded
from cds_hooks.hold_back.releases import Releases
from cds_hooks.hold_back.sent_cards import Caller
from cds_hooks.replay.replaying import Replayer
from cds_hooks.replay.site import open_site
from cds_hooks.settings import Settings
from cds_hooks.storage.content import read_content_keys, use_content_keys
from cds_hooks.storage.database import parse_url
from cds_hooks.storage.opening import upgrade_schema
from cds_hooks.storage.queries import list_decisions
from fhir.record.refusals import WhyNot
from tests.cds_hooks.calls import ORDERS, client, request_for
from tests.cds_hooks.hold_back.clicking import put_command
from tests.cds_hooks.hold_back.restraint_calls import (
    CRITICAL,
    SIGN,
    WARNINGS,
    feedback,
    indicators,
    order_sign,
    reasons,
    rules_file,
    sign,
)
from tests.cds_hooks.prefetch.fetch_calls import app_client, at_server, without
from tests.cds_hooks.services.equation_calls import NOW
from tests.conftest import ROOT
from tests.each import for_rows
from tests.fhir_charts import chart_of, serving_fhir
from tests.live import record_in
from tests.program import run_program

VACCINES = "vaccines-due"
Json = dict[str, Any]
NUCC = "http://nucc.org/provider-taxonomy"
HL7 = "http://terminology.hl7.org/CodeSystem/practitioner-role"
NURSE = {"coding": [{"system": NUCC, "code": "163WP0200X"}]}
PHARMACIST = {"coding": [{"system": HL7, "code": "pharmacist"}]}
TELL = "Tell the prescriber: at this site the role {} does not order {}."


def _role(concept: Json, **more: Any) -> Json:
    role = {"resourceType": "PractitionerRole", "id": "r1", "practitioner": {"reference": "Practitioner/1"}}
    return role | {"code": [concept]} | more


def _request(*roles: Json, drafts: tuple[str, ...] = (CRITICAL,), user: str = "Practitioner/1") -> Json:
    request = order_sign(*drafts, user=user)
    request["prefetch"]["userRoles"] = {"resourceType": "Bundle", "entry": [{"resource": role} for role in roles]}
    return request


def _answer(folder: Path, request: Json, service: str = SIGN, **settings: Any) -> Any:
    async def run() -> Any:
        async with app_client(folder, as_of=NOW, **settings) as calls:
            return await calls.post(f"/cds-services/{service}", json=request)

    answer = asyncio.run(run())
    assert answer.status_code == 200, answer.text
    return answer


def _labels(answer: Any) -> list[str]:
    return [offer["label"] for card in answer.json()["cards"] for offer in card.get("suggestions", ())]


@pytest.mark.parametrize(
    ("roles", "named"),
    [
        ([_role(NURSE)], "nurse"),
        ([_role({}, code=[], specialty=[NURSE])], "nurse"),
        ([_role(PHARMACIST)], "pharmacist"),
        ([_role({"text": "Medical student"})], "trainee"),
        ([_role({"text": "Clinical dietitian"})], "allied-health"),
        ([_role(NURSE), _role(PHARMACIST, id="r2")], "nurse and pharmacist"),
        ([_role(NURSE), _role({"text": "Nurse practitioner"}, id="r2")], ""),
        ([_role({"text": "Consulting provider"})], ""),
        ([_role(NURSE, practitioner={"reference": "Practitioner/2"})], ""),
        ([_role(NURSE, active=False)], ""),
        ([_role(NURSE, period={"end": "2020-01-01"})], ""),
        ([], ""),
    ],
)
def test_who_may_not_order_reads_the_same_card_without_its_orders(
    tmp_path: Path, roles: list[Json], named: str
) -> None:
    (before,) = _answer(tmp_path, _request()).json()["cards"]
    request = _request(*roles)
    answer = _answer(tmp_path, request)
    request["context"]["userId"] = None
    assert TELL[:20] not in _answer(tmp_path, request).text
    (card,) = answer.json()["cards"]
    assert before["indicator"] == card["indicator"] == "critical"
    assert (before["summary"], len(before["suggestions"]) > 0) == (card["summary"], True)
    sentence = TELL.format(named, "medications")
    assert card["detail"] == before["detail"] + (f"\n\n{sentence}" if named else "")
    labels = [offer["label"] for offer in before["suggestions"]]
    assert _labels(answer) == ([] if named else labels)
    assert reasons(answer, NOT_FOR_THIS_ROLE) == ([(SIGN.removesuffix("-sign"), sentence)] if named else [])


def test_the_role_is_read_from_the_fhir_server_and_a_replay_knows_it(tmp_path: Path) -> None:
    with serving_fhir([chart_of(_role(NURSE))]) as running:
        for user in ("Practitioner/1", "PractitionerRole/r1"):
            answer = _answer(tmp_path, at_server(without(order_sign(CRITICAL, user=user), "userRoles"), running.base))
            assert _labels(answer) == []
            assert answer.json()["cards"][0]["detail"].endswith(TELL.format("nurse", "medications"))
    assert running.queries == ["/PractitionerRole?practitioner=1", "/PractitionerRole/r1"]
    url = record_in(tmp_path)
    verdicts = list(Replayer(open_site(Settings(database_url=url)), url).verdicts(list_decisions(url)))
    assert [verdict.outcome for verdict in verdicts] == ["same", "same"]


def test_a_vaccine_is_an_order_of_its_own_and_the_forecast_is_none(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    request = request_for(VACCINES, "patient-view", "diabetes-no-statin", NOW)
    request["context"]["userId"] = "Practitioner/1"
    request["prefetch"]["userRoles"] = {"resourceType": "Bundle", "entry": [{"resource": _role(NURSE)}]}
    del request["prefetch"]["pressures"]  # so that no estimate has a card before it
    assert _labels(_answer(tmp_path / "a", request, VACCINES)) == ["Save the forecast"]
    text = '[[role]]\nname = "nurse"\norders = ["vaccines"]\nnote = "MMWR 2003;52(4)"\n'
    allowed = _labels(_answer(tmp_path / "b", request, VACCINES, rules_file=rules_file(tmp_path, text)))
    assert len(allowed) > 1


@for_rows(
    ("action", "is_offered"),
    [
        ({"resource": {"resourceType": "MedicationRequest",
                       "medicationCodeableConcept": {"coding": [{"system": "http://hl7.org/fhir/sid/cvx"}]}}}, True),
        ({"resource": {"resourceType": "ServiceRequest", "code": {"text": "influenza vaccine, dose 1"}}}, True),
        ({"resource": {"resourceType": "ServiceRequest", "code": {"coding": [{"system": "http://loinc.org"}]}}}, False),
        ({"resource_id": "MedicationRequest/1"}, False),
        ({}, True),
    ],
)  # fmt: skip
def test_an_order_of_a_vaccine_is_told_by_its_code_or_its_words(action: Json, is_offered: bool) -> None:
    site = SiteRules(orders={"nurse": frozenset({"vaccines"})})
    call = CheckedCall(Caller("ehr", "p1", VACCINES, "patient-view"), 0.0, site=site, roles=("nurse",))
    offer = Suggestion(label="x", uuid="s", actions=(Action(type="create", description="x", **action),))
    card = Card(uuid="c", summary="x", indicator="info", source=Source(label="x"))
    assert (check_role(offer, card, call) is None) is is_offered


# A critical finding rests only for the user who overrode it and for that draft; everybody else is told of it.
ANN, BEN = "Practitioner/ann", "Practitioner/ben"


async def _override(calls: httpx.AsyncClient, card: dict[str, Any], code: str = "") -> None:
    body = feedback(card, code=code or card["overrideReasons"][0]["code"])
    assert (await calls.post(f"/cds-services/{SIGN}/feedback", json=body)).status_code == 200


async def test_a_critical_finding_rests_for_who_overrode_it_and_the_next_reader_is_told(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("5a" * 32)
    settings: dict[str, Any] = {"content_keys": keys}
    async with app_client(tmp_path, as_of=NOW, **settings) as calls:
        (card,) = (await sign(calls, CRITICAL, user=ANN)).json()["cards"]
        await _override(calls, card)
        again = await sign(calls, CRITICAL, user=ANN)
        assert again.json()["cards"] == []
        assert len(reasons(again, "acknowledged")) == 1
        other = order_sign(CRITICAL, user=ANN)
        other["context"]["draftOrders"]["entry"][0]["resource"]["id"] = "another-order"
        assert indicators(await calls.post(f"/cds-services/{SIGN}", json=other)) == ["critical"]
        (told,) = (await sign(calls, CRITICAL, user=BEN)).json()["cards"]
        last = told["detail"].split("\n\n")[-1]
        assert last == f"{OVERRIDDEN_BEFORE} at {NOW:%H:%M} UTC: A reason."
    async with app_client(tmp_path, as_of=NOW, **settings) as calls:  # it is known from the record, too
        (told,) = (await sign(calls, CRITICAL, user=BEN)).json()["cards"]
        assert OVERRIDDEN_BEFORE in told["detail"]
        assert (await sign(calls, CRITICAL, user=ANN)).json()["cards"] == []
    use_content_keys(read_content_keys("5a" * 32))
    try:
        url = record_in(tmp_path)
        verdicts = list(Replayer(open_site(Settings(database_url=url, **settings)), url).verdicts(list_decisions(url)))
    finally:
        use_content_keys(read_content_keys(""))
    assert [each.outcome for each in verdicts] == ["same"] * 6


async def test_where_no_users_are_recorded_a_critical_finding_never_rests(tmp_path: Path) -> None:
    async with app_client(tmp_path, as_of=NOW, record_user="none") as calls:
        (card,) = (await sign(calls, CRITICAL)).json()["cards"]
        await _override(calls, card)
        assert indicators(await sign(calls, CRITICAL)) == ["critical"]


# A name that was taken a moment ago is not first, on either side of a full minute.
@pytest.mark.parametrize(
    ("first", "second", "is_first"), [(119.0, 120.0, False), (60.0, 179.0, False), (119.0, 180.0, True)]
)
async def test_a_name_is_taken_in_its_minute_and_the_next(
    tmp_path: Path, first: float, second: float, *, is_first: bool
) -> None:
    claims = BudgetClaims(record_in(tmp_path))
    answers = [
        await claims.is_first("a", first),
        await claims.is_first("b", second),
        await claims.is_first("a", second),
    ]
    await claims.aclose()
    assert answers == [True, True, is_first]


async def test_a_place_is_taken_once_by_whoever_asks_first(tmp_path: Path) -> None:
    one, other = BudgetClaims(record_in(tmp_path)), BudgetClaims(record_in(tmp_path))
    answers = [await claims.take(name, 1_000.0, 900.0) for name in ("a", "b") for claims in (one, other, one)]
    await one.aclose()
    await other.aclose()
    assert answers == [True, False, False] * 2


def test_of_more_values_than_there_is_room_for_the_oldest_is_forgotten() -> None:
    remembered: Bounded[str, int] = Bounded(3)
    for key, value in (("a", 1), ("b", 2), ("c", 3), ("a", 4)):
        remembered.put(key, value)
    assert (len(remembered), remembered.get("a"), remembered.get("b")) == (3, 4, 2)
    remembered.put("d", 5)
    assert (len(remembered), remembered.get("a"), remembered.get("b"), remembered.get("c")) == (3, 4, None, 3)
    remembered.remove("c")
    remembered.remove("c")
    assert len(remembered) == 2


def test_what_can_no_longer_count_is_forgotten_and_nothing_else() -> None:
    remembered: Bounded[str, int] = Bounded(3)
    for key, value in (("a", 1), ("b", 2), ("c", 3)):
        remembered.put(key, value)
    remembered.forget(lambda value: value < 3)
    assert (remembered.get("a"), remembered.get("b"), remembered.get("c")) == (None, None, 3)


# A card that an event made goes to the worklist with the test or the sentence that it is about.
CALLER = Caller("ehr", "p1", "nephrology-referral", "patient-view")


def test_a_call_of_a_client_is_left_alone() -> None:
    card = Card(uuid="1", summary="See a nephrologist.", indicator="info", source=Source(label="A guideline"))
    call = CheckedCall(CALLER, 0.0)
    assert (asyncio.run(check_event(card, call)), call.worklist) == (None, [])


RULE = "renal-metformin"


def order(as_of: datetime, hook: str = "order-sign") -> dict[str, Any]:
    return request_for(ORDERS, hook, "ckd4-metformin", as_of, "metformin-ckd4-coded")


async def call(folder: Path, as_of: datetime, *steps: Callable[[httpx.Response], Any], **settings: Any) -> list[Any]:
    """Calls order-sign, then for each step sends the feedback it makes of the last answer and calls again."""
    async with client(folder, as_of=as_of, **settings) as calls:
        answers = [await calls.post(f"/cds-services/{ORDERS}", json=order(as_of))]
        for step in steps:
            report = step(answers[-1])
            sent = await calls.post(f"/cds-services/{ORDERS}/feedback", json={"feedback": [report]})
            assert sent.status_code == 200
            answers.append(await calls.post(f"/cds-services/{ORDERS}", json=order(as_of)))
        return answers


def overridden(with_reason: bool) -> Callable[[httpx.Response], dict[str, Any]]:
    def report(answer: httpx.Response) -> dict[str, Any]:
        (card,) = answer.json()["cards"]
        item = {"card": card["uuid"], "outcome": "overridden", "outcomeTimestamp": "2026-11-20T09:05:00Z"}
        return item | ({"overrideReason": {"reason": card["overrideReasons"][0]}} if with_reason else {})

    return report


async def test_an_answer_without_a_reason_is_none(tmp_path: Path, as_of: datetime) -> None:
    _, after = await call(tmp_path, as_of, overridden(with_reason=False))
    assert len(after.json()["cards"]) == 1


def test_a_changed_file_counts_without_a_restart_and_a_broken_one_changes_nothing(tmp_path: Path) -> None:
    now = 0.0
    rules = tmp_path / "rules.toml"
    rules.write_text("version = 1\n")
    assert not Governance(None, needs_approval=False, clock=lambda: 9.0).site.quiet_days
    governance = Governance(rules, needs_approval=False, clock=lambda: now)
    rules.write_text("version = 1\n[quiet_days]\ninfo = 7\n")
    assert not governance.site.quiet_days
    now = 1.0
    assert governance.site.quiet_days == {"info": 7}
    rules.write_text("version = 3\n")
    now = 4.0
    assert governance.site.quiet_days == {"info": 7}


# From development to trust without a surprise: what is not approved is listed.


def test_behind_a_trust_file_no_rule_is_approved_at_first(tmp_path: Path) -> None:
    here = {"CDS_TRUST_FILE": str(tmp_path / "trust.toml")}
    assert Governance(None, needs_approval=True).approval_counts() == {
        "approved": 0,
        "not_approved": len(all_rule_versions()),
    }
    assert RULE in run_program("rules", "check", "--to-review", environment=here).stdout


def test_where_no_approval_is_needed_nothing_is_counted() -> None:
    assert Governance(None, needs_approval=False).approval_counts() is None


# For each card that was held back the page and the command show which check did it, by which act, and what ends it.
RELEASE_STATE = "The release state of the rule, model or equation"
SWITCHED_OFF = "The service or the client is switched off"


def _act(url: str, state: Any, kind: Any = "rule", name: str = RULE) -> None:
    put_command(url, state, kind, name, by="Ann Lee", role="pharmacist", why="label changed")


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = record_in(tmp_path)
    upgrade_schema(parse_url(url))
    return url


async def test_the_page_names_check_act_and_what_lets_the_card_through(tmp_path: Path, url: str) -> None:
    rules = rules_file(tmp_path, '[[budget]]\nof = "client"\ncards_per_day = 0\nnote = "a trial"\n')
    _act(url, "off")
    async with app_client(tmp_path, as_of=NOW, rules_file=rules) as calls:
        assert indicators(await sign(calls, WARNINGS[0], CRITICAL)) == []
        (decision,) = list_decisions(url)
        for address in (f"/explain/{decision.id}",):
            page = (await calls.get(address)).text
            assert f"{RELEASE_STATE}, by Ann Lee (pharmacist) on " in page, address
        assert f"An act of release about {RULE}: cds-hooks release on" in page
        assert "A budget of cards in a day or in a call" in page


def test_the_act_is_that_of_the_moment_of_the_decision(url: str) -> None:
    _act(url, "off", "service", "order-safety")
    releases = Releases(None)
    releases.read(url)
    (held,) = explain_held_back(
        [WhyNot("order-safety", "switched-off", "It is off.")], "order-safety", "ehr", lambda: releases
    )
    assert (held.check, held.by) == (SWITCHED_OFF, "Ann Lee (pharmacist)")
    before = releases.until(url, 0.0)
    assert before.current.states == {}
    (held,) = explain_held_back(
        [WhyNot("order-safety", "switched-off", "It is off.")], "order-safety", "ehr", lambda: before
    )
    assert held.by == ""


@pytest.mark.parametrize(
    ("silent", "by"),
    [(("client",), "Ann Lee (pharmacist)"), (("unit",), "Ann Lee (pharmacist)"), (("unit", "user"), ""), ((), "")],
)
def test_silent_mode_names_its_act_where_only_one_can_have_begun_it(url: str, silent: tuple[str, ...], by: str) -> None:
    for kind in silent:
        _act(url, "shadow", kind, "ehr")
    releases = Releases(None)
    if not silent:
        _act(url, "off", "client", "ehr")  # which is no silent mode
    releases.read(url)
    (held,) = explain_held_back([WhyNot("", SILENT_MODE, "Silent.")], "order-safety", "ehr", lambda: releases)
    assert held.by == by


def test_every_check_says_what_it_is_and_its_reasons_stand_in_the_guide_for_a_committee() -> None:
    page = (ROOT / "docs" / "operations" / "restraint.md").read_text(encoding="utf-8")
    for check in CHECKS:
        assert all((check.codes, check.title, check.lets_through.endswith("."))), check
    for code in SUPPRESSED:
        assert f"`{code}`" in page, code
