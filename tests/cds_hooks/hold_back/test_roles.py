"""Who may not order is shown the card without the buttons of orders, and is told to tell the prescriber."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from cards.card import Card, Source
from cds_hooks.hold_back.budgets import Claims
from cds_hooks.hold_back.checks import NOT_FOR_THIS_ROLE, OVERRIDDEN_BEFORE, CheckedCall, check_event
from cds_hooks.hold_back.memory import Bounded
from cds_hooks.hold_back.sent_cards import Caller
from cds_hooks.replay.replaying import Replayer
from cds_hooks.replay.site import open_site
from cds_hooks.settings import Settings
from cds_hooks.storage.content import read_content_keys, use_content_keys
from cds_hooks.storage.queries import list_decisions
from tests.cds_hooks.calls import request_for
from tests.cds_hooks.hold_back.restraint_calls import (
    CRITICAL,
    SIGN,
    feedback,
    indicators,
    order_sign,
    reasons,
    rules_file,
    sign,
)
from tests.cds_hooks.prefetch.fetch_calls import app_client, at_server, without
from tests.cds_hooks.services.equation_calls import NOW
from tests.fhir_charts import chart_of, serving_fhir
from tests.live import record_in

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
    answer = _answer(tmp_path, _request(*roles))
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
    claims = Claims(record_in(tmp_path))
    answers = [
        await claims.is_first("a", first),
        await claims.is_first("b", second),
        await claims.is_first("a", second),
    ]
    await claims.aclose()
    assert answers == [True, True, is_first]


async def test_a_place_is_taken_once_by_whoever_asks_first(tmp_path: Path) -> None:
    one, other = Claims(record_in(tmp_path)), Claims(record_in(tmp_path))
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
