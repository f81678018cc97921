"""Who may not order is shown the card without the buttons of orders, and is told to tell the prescriber."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from cds_hooks.hold_back.checks import NOT_FOR_THIS_ROLE
from cds_hooks.replay.replaying import Replayer
from cds_hooks.replay.site import open_site
from cds_hooks.settings import Settings
from cds_hooks.storage.queries import list_decisions
from tests.cds_hooks.calls import request_for
from tests.cds_hooks.hold_back.restraint_calls import CRITICAL, SIGN, WARNINGS, order_sign, reasons, rules_file
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


def test_a_site_says_what_a_role_orders(tmp_path: Path) -> None:
    row = '[[role]]\nname = "{}"\norders = [{}]\nnote = "standing order 12"\n'
    drafts = (CRITICAL, *WARNINGS)
    everything = set(_labels(_answer(tmp_path, _request(drafts=drafts))))
    text = row.format("nurse", '"services"')
    answer = _answer(tmp_path, _request(_role(NURSE), drafts=drafts), rules_file=rules_file(tmp_path, text))
    tests_only = set(_labels(answer))
    assert tests_only < everything
    assert set() < tests_only
    text = row.format("nurse", '"services", "medications"')
    answer = _answer(tmp_path, _request(_role(NURSE), drafts=drafts), rules_file=rules_file(tmp_path, text))
    assert set(_labels(answer)) == everything


def test_a_vaccine_is_an_order_of_its_own_and_the_forecast_is_none(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    request = request_for(VACCINES, "patient-view", "diabetes-no-statin", NOW)
    request["context"]["userId"] = "Practitioner/1"
    request["prefetch"]["userRoles"] = {"resourceType": "Bundle", "entry": [{"resource": _role(NURSE)}]}
    assert _labels(_answer(tmp_path / "a", request, VACCINES)) == ["Save the forecast"]
    text = '[[role]]\nname = "nurse"\norders = ["vaccines"]\nnote = "MMWR 2003;52(4)"\n'
    allowed = _labels(_answer(tmp_path / "b", request, VACCINES, rules_file=rules_file(tmp_path, text)))
    assert len(allowed) > 1
