"""Who may not order is shown the card without the buttons of orders, and is told to tell the prescriber."""

import asyncio
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from cards.rules.engine.governance import all_rule_versions
from cds_hooks.call.hold_back.checks import OVERRIDDEN_BEFORE
from cds_hooks.call.hold_back.reasons import NOT_FOR_THIS_ROLE
from cds_hooks.call.hold_back.restraint import Restraint
from cds_hooks.evidence.replay.replaying import Replayer
from cds_hooks.evidence.replay.site import open_site
from cds_hooks.evidence.storage.content import use_content_keys
from cds_hooks.evidence.storage.database import parse_url
from cds_hooks.evidence.storage.opening import upgrade_schema
from cds_hooks.settings import Settings
from tests.cds_hooks.call.hold_back.restraint_calls import (
    CRITICAL,
    SIGN,
    feedback,
    indicators,
    order_sign,
    reasons,
    sign,
)
from tests.cds_hooks.call.prefetch.fetch_calls import app_client, at_server, without
from tests.cds_hooks.call.services.equation_calls import NOW
from tests.cds_hooks.calls import ORDERS, counted_request_for
from tests.fhir_charts import chart_of, serving_fhir
from tests.live import record_in
from tests.program import run_program
from tests.recorded import list_decisions

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


ROLES: list[tuple[list[Json], str]] = [
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
]


async def test_who_may_not_order_reads_the_same_card_without_its_orders(tmp_path: Path) -> None:
    async with app_client(tmp_path, as_of=NOW) as calls:

        async def asked(request: Json) -> httpx.Response:
            answer = await calls.post(f"/cds-services/{SIGN}", json=request)
            assert answer.status_code == 200, answer.text
            return answer

        (before,) = (await asked(_request())).json()["cards"]
        assert before["suggestions"]
        for roles, named in ROLES:
            answer = await asked(_request(*roles))
            (card,) = answer.json()["cards"]
            assert before["indicator"] == card["indicator"] == "critical"
            assert before["summary"] == card["summary"]
            sentence = TELL.format(named, "medications")
            assert card["detail"] == before["detail"] + (f"\n\n{sentence}" if named else ""), roles
            labels = [offer["label"] for offer in before["suggestions"]]
            assert _labels(answer) == ([] if named else labels), roles
            held = [(SIGN.removesuffix("-sign"), sentence)] if named else []
            assert reasons(answer, NOT_FOR_THIS_ROLE) == held
        unasked = order_sign(CRITICAL, user="PractitionerRole/r1")
        unasked["prefetch"]["userRole"] = _role(NURSE)
        assert _labels(await asked(unasked)) == []
        of_nobody = _request(*ROLES[0][0])
        of_nobody["context"]["userId"] = None
        assert TELL[:20] not in (await asked(of_nobody)).text


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
    use_content_keys("5a" * 32)
    try:
        url = record_in(tmp_path)
        verdicts = list(Replayer(open_site(Settings(database_url=url, **settings)), url).verdicts(list_decisions(url)))
    finally:
        use_content_keys("")
    assert [each.outcome for each in verdicts] == ["same"] * 6


async def test_where_no_users_are_recorded_a_critical_finding_never_rests(tmp_path: Path) -> None:
    async with app_client(tmp_path, as_of=NOW, record_user="none") as calls:
        (card,) = (await sign(calls, CRITICAL)).json()["cards"]
        await _override(calls, card)
        assert indicators(await sign(calls, CRITICAL)) == ["critical"]


RULE = "renal-metformin"


def order(as_of: datetime, hook: str = "order-sign") -> dict[str, Any]:
    return counted_request_for(ORDERS, hook, "ckd4-metformin", as_of, "metformin-ckd4-coded")


def test_a_changed_file_counts_without_a_restart_and_a_broken_one_changes_nothing(tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text("version = 1\n")
    assert not Restraint(None, needs_approval=False).site.quiet_days
    restraint = Restraint(rules, needs_approval=False)
    good = "version = 1\n[quiet_days]\ninfo = 7\n"
    rules.write_text(good)
    restraint.look()
    assert (restraint.site.quiet_days, restraint.refused) == ({"info": 7}, "")
    for wrong, size in (("version = 3\n", 12), (good[:-1] + "x", len(good)), ("", 0), ("#", 200_000_000)):
        rules.write_text(wrong)
        os.truncate(rules, size)
        restraint.look()
        assert restraint.site.quiet_days == {"info": 7}
        assert "is refused" in restraint.refused
    assert (
        "larger than"
        in run_program(
            "rules",
            "check",
            environment={"CDS_RULES_FILE": str(rules)},
        ).stdout
    )
    rules.write_text(good)
    restraint.look()
    assert restraint.refused == ""


# From development to trust without a surprise: what is not approved is listed.


def test_behind_a_trust_file_no_rule_is_approved_at_first(tmp_path: Path) -> None:
    here = {"CDS_TRUST_FILE": str(tmp_path / "trust.toml")}
    assert Restraint(None, needs_approval=True).approval_counts() == {
        "approved": 0,
        "not_approved": len(all_rule_versions()),
    }
    assert RULE in run_program("rules", "check", "--to-review", environment=here).stdout


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = record_in(tmp_path)
    upgrade_schema(parse_url(url))
    return url
