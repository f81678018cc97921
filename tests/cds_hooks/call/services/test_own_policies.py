"""A payer's own policies at a site: read from its folder, answered, switched off, shown, and refused where wrong."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from fhir.resources.R4B import get_fhir_model_class

from cards.coverage.approval import policy_tables
from cards.coverage.policy import SYSTEMS, PolicyFault, load_policies
from cards.coverage.proposals import load_proposals
from tests.cds_hooks.call.services.coverage_calls import (
    Json,
    answer_of,
    concept,
    coverage,
    decided,
    extensions_of,
    order,
    patient,
    reasons_of,
    request_of,
)
from tests.each import each_row
from tests.live import serving

HCPCS = SYSTEMS["HCPCS"]
TODAY = date(2026, 11, 20)
_PAYERS = "payer,name,names,plans,identifiers\nown,Own Health Plan,own health plan,,12345\n"
_HEAD = "id,payer,system,code,category,covered,pa_needed,places,criteria,effective_from,effective_to,source\n"
_POLICIES = (
    _HEAD
    + "own-b,own,HCPCS,B4150,Enteral formula,listed,auth-needed,,,2026-01-01,,Own Health Plan policy 1\n"
    + "own-v,own,HCPCS,V2020,Frames,open,no-auth,,,2026-01-01,,Own Health Plan policy 2\n"
    + "own-j,own,HCPCS,J0585,Toxin,listed,auth-needed,22,,2026-01-01,,Own Health Plan policy 3\n"
    + "own-c,own,HCPCS,E0601,CPAP device,by-criteria,no-auth,,cpap,2026-01-01,,Own policy 6\n"
)
_PROPOSALS = """payer,kind,code,system,value,resource,text,effective_from,effective_to,source
own,companion,E0601,HCPCS,A7030,DeviceRequest,Full face mask for a positive pressure device,2026-01-01,,Own policy 7
own,alternate,E0601,HCPCS,E0470,DeviceRequest,Bilevel device without backup rate,2026-01-01,,Own policy 8
own,alternate,E0601,HCPCS,E0471,DeviceRequest,Bilevel device with backup rate,2020-01-01,2020-12-31,Own policy 8
own,form,E0601,,prior-auth-include,,Report of the sleep test,2026-01-01,,Own policy 9
"""
_MEMBERS = """payer,number,birth_date,plan,plan_name,start,end
own,M-1,1955-06-15,gold-2027,Gold 2027,2026-10-01,2027-09-30
"""


def own_folder(folder: Path, **files: str) -> Path:
    """A folder of a payer's own rules."""
    folder.mkdir(parents=True)
    for name, text in ({"payers.csv": _PAYERS, "policies.csv": _POLICIES} | files).items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(name="server", scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a site whose payer has policies of its own, one of them switched off, and an exempt hospital."""
    folder = tmp_path_factory.mktemp("payer")
    files = {"exempt_hospitals.csv": "hospital\nLocation/h1\n", "proposals.csv": _PROPOSALS, "members.csv": _MEMBERS}
    own_folder(folder / "site" / "coverage", **files)
    switches = folder / "rules.toml"
    switches.write_text('version = 1\n[[switch]]\nrule = "payer-own-v"\noff = true\nnote = "under revision"\n')
    at = datetime(2026, 11, 20, 12, tzinfo=UTC).isoformat()
    with serving(folder, CDS_SITE_RULES=str(folder / "site"), CDS_RULES_FILE=str(switches), CDS_AS_OF=at) as address:
        yield address


def asked(server: str, orders: list[Json], chart: list[Json], **more: Any) -> Json:
    """The response to these orders at signing."""
    services = httpx.get(f"{server}/cds-services").json()["services"]
    entry = next(one for one in services if one["hook"] == "order-sign" and one["id"].startswith("coverage"))
    answer = httpx.post(f"{server}/cds-services/{entry['id']}", json=request_of(entry, orders, chart, TODAY, **more))
    assert answer.status_code == 200, answer.text
    response: Json = answer.json()
    return response


def cards_of(server: str, orders: list[Json], chart: list[Json], **more: Any) -> dict[str, list[Json]]:
    """The cards of a call by their topic."""
    by_topic: dict[str, list[Json]] = {}
    for card in asked(server, orders, chart, **more)["cards"]:
        by_topic.setdefault(card["source"]["topic"]["code"], []).append(card)
    return by_topic


def actions_of(card: Json) -> list[Json]:
    """The actions of the one suggestion of a card, whose resources are FHIR R4."""
    (suggestion,) = card["suggestions"]
    for action in suggestion["actions"]:
        get_fhir_model_class(action["resource"]["resourceType"]).model_validate(action["resource"])
    actions: list[Json] = suggestion["actions"]
    return actions


@pytest.mark.slow
def test_every_type_of_order_is_answered_but_for_a_policy_that_is_switched_off(server: str) -> None:
    subject = {"reference": "Patient/p"}
    orders: list[Json] = [
        {"resourceType": "NutritionOrder", "id": "n", "status": "draft", "intent": "order", "patient": subject,
         "dateTime": "2026-11-20", "enteralFormula": {"baseFormulaType": concept(HCPCS, "B4150")}},
        {"resourceType": "VisionPrescription", "id": "v", "status": "draft", "created": "2026-11-20",
         "patient": subject, "dateWritten": "2026-11-20", "prescriber": {"reference": "Practitioner/dr1"},
         "lensSpecification": [{"product": concept(HCPCS, "V2020"), "eye": "left"}]},
        {"resourceType": "MedicationRequest", "id": "m", "status": "draft", "intent": "order", "subject": subject,
         "medicationCodeableConcept": concept(HCPCS, "J0585")},
    ]  # fmt: skip
    response = asked(server, orders, [patient(), coverage(payor="Own Health Plan", plan="Gold")])
    assert {name: decided(extension[0])["pa-needed"] for name, extension in extensions_of(response).items()} == {
        "NutritionOrder/n": "auth-needed",
        "MedicationRequest/m": "conditional",
    }
    assert "switched-off" in reasons_of(response)


@pytest.mark.slow
def test_exempt_hospitals_need_no_authorization_and_the_record_is_still_asked_for(server: str) -> None:
    chart = [patient(), coverage()]
    at_exempt = order("15823", place="22", locationReference=[{"reference": "Location/h1"}])
    elsewhere = order("15823", place="22", locationReference=[{"reference": "Location/h2"}])
    assert answer_of(asked(server, [at_exempt], chart)) == {
        "covered": "conditional", "pa-needed": "no-auth", "doc-needed": "clinical", "reason": ["gold-card"],
    }  # fmt: skip
    assert answer_of(asked(server, [elsewhere], chart))["pa-needed"] == "auth-needed"


@pytest.mark.slow
def test_the_pages_of_rules_show_a_policy_with_its_source(server: str) -> None:
    page = httpx.get(f"{server}/rules/payer-own-b").text
    assert "Enteral formula" in page
    assert "Own Health Plan policy 1" in page


@pytest.mark.slow
def test_rows_of_a_payer_propose_a_companion_an_alternative_and_a_form(server: str) -> None:
    chart = [patient(), coverage(payor="Own Health Plan", plan="Gold")]
    cards = cards_of(server, [order("E0601")], chart)
    (companion,) = [card for card in cards["guideline"] if card.get("suggestions")]
    (created,) = actions_of(companion)
    assert created["resource"]["codeCodeableConcept"]["coding"][0]["code"] == "A7030"
    (alternative,) = cards["therapy-alternatives-opt"]
    (updated,) = actions_of(alternative)
    assert (updated["type"], updated["resource"]["id"]) == ("update", "order-e0601")
    assert updated["resource"]["codeCodeableConcept"]["coding"][0]["code"] == "E0470"
    (form,) = [card for card in cards["claim"] if card.get("suggestions")]
    kept, task = (action["resource"] for action in actions_of(form))
    assert task["input"][0]["valueCanonical"] == f"{kept['url']}|{kept['version']}"
    assert task["basedOn"] == [{"reference": "DeviceRequest/order-e0601"}]
    options = {"davinci-crd.configuration": {"therapy-alternatives-opt": False}}
    assert "therapy-alternatives-opt" not in cards_of(server, [order("E0601")], chart, extension=options)


@pytest.mark.slow
def test_a_coverage_that_the_payer_knows_otherwise_is_offered_as_one_change(server: str) -> None:
    old = coverage(payor="Own Health Plan", plan="gold-2026", subscriberId="M-1", period={"start": "2025-10-01"})
    (card,) = cards_of(server, [order("E0601")], [patient(), old])["insurance"]
    (action,) = actions_of(card)
    assert (action["type"], action["resource"]["id"]) == ("update", "cov1")
    assert action["resource"]["period"] == {"start": "2026-10-01", "end": "2027-09-30"}
    assert "insurance" not in cards_of(server, [order("E0601")], [patient(), action["resource"]])
    younger = cards_of(server, [order("E0601")], [patient("1956-06-15"), old])
    assert "insurance" not in younger, "the number alone may be another person's"


@each_row(("old", "new", "fault"))
def test_a_proposal_that_steers_away_from_care_or_names_nothing_is_refused(
    tmp_path: Path, old: str, new: str, fault: str
) -> None:
    head, row = _PROPOSALS.splitlines()[:2]
    folder = own_folder(tmp_path / "own", **{"proposals.csv": f"{head}\n{row.replace(old, new, 1)}\n"})
    with pytest.raises(PolicyFault, match=fault):
        load_proposals(folder, load_policies(folder).payers)


def test_each_policy_has_a_version_that_any_change_of_its_row_replaces(tmp_path: Path) -> None:
    text = _POLICIES.replace("HCPCS,V2020,Frames", "HCPCS,V2020,Glasses")
    folders = own_folder(tmp_path / "own"), own_folder(tmp_path / "changed", **{"policies.csv": text})
    before, after = (
        {rule.id: rule for table in policy_tables(load_policies(folder)) for rule in table.rules} for folder in folders
    )
    assert [name for name, rule in after.items() if rule != before[name]] == ["payer-own-v"]


@each_row(("row", "fault"))
def test_a_wrong_row_is_refused_with_its_line(tmp_path: Path, row: str, fault: str) -> None:
    with pytest.raises(PolicyFault, match=fault):
        load_policies(own_folder(tmp_path / "own", **{"policies.csv": f"{_HEAD}{row}\n"}))


@each_row(("member", "value", "fault"))
def test_a_criterion_of_other_types_is_refused_before_a_call_meets_it(
    tmp_path: Path, member: str, value: Any, fault: str
) -> None:
    criterion = {"id": "a", "group": "A", "text": "t", "test": {"order": True}, "question": "", "source": "s"}
    document = {"own-set": {"groups": {"A": "all"}, "criteria": [criterion | {member: value}]}}
    folder = own_folder(tmp_path / "own", **{"criteria.json": json.dumps(document)})
    with pytest.raises(PolicyFault, match=fault):
        load_policies(folder)
