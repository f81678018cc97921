"""Epic: one action a suggestion, topics that stay, triggers read as the hooks they stand for."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from msgspec import Raw

from cards.card import Action, Card, Coding, Source, Suggestion
from cards.extension import EXTENSION_KEY, CardExtension, FindingReference
from cds_hooks.call.dialects import profile_for, shape_cards
from cds_hooks.call.dialects.epic import MOST_OF_A_TOPIC, TRIGGER, actual_hook, shape, topic_code
from cds_hooks.call.protocol.hooks import LIBRARY
from tests.cds_hooks.call.dialects.sent import every_card
from tests.cds_hooks.calls import ORDERS, PLANNING, client, ours, request_for
from tests.each import for_rows

DISCHARGE = "discharge-medications"
REMOVE = Action(type="delete", description="Remove the drafted ibuprofen", resource_id="MedicationRequest/d1")
TEST = Action(type="create", description="Order creatinine", resource={"resourceType": "ServiceRequest", "id": "t1"})


def _card(*suggestions: Suggestion, findings: tuple[tuple[str, str], ...] = (("renal-nsaid", "lt30"),)) -> Card:
    said = tuple(FindingReference(rule, band) for rule, band in findings)
    return Card(
        uuid="01a1f845-4e95-75a9-93e4-433f36c90100",
        summary="eGFR 25",
        indicator="warning",
        detail="**eGFR 25**",
        source=Source(label="KDIGO", topic=Coding(system="https://x.example", code="order-safety")),
        suggestions=suggestions,
        selection_behavior="at-most-one" if suggestions else None,
        extension={EXTENSION_KEY: CardExtension(findings=said)},
    )


def _suggestion(label: str, *actions: Action, number: int = 1, is_recommended: bool = False) -> Suggestion:
    uuid = f"01a1f845-4e95-75a9-93e4-433f36c9{number:02x}00"
    return Suggestion(label=label, uuid=uuid, is_recommended=is_recommended, actions=actions)


def test_every_sample_card_is_one_that_epic_takes() -> None:
    cards = every_card("epic")
    assert len(cards) >= 5
    for card in cards:
        code = card["source"]["topic"]["code"]
        assert code.isalnum()
        assert code.isascii()
        assert len(code) <= MOST_OF_A_TOPIC
        assert card["extension"]["com.epic.cdshooks.card.detail.content-type"] == "text/markdown; variant=GitHub"
        assert card.get("selectionBehavior", "any") == "any"
        for suggestion in card.get("suggestions", ()):
            (action,) = suggestion["actions"]
            assert action["type"] in ("create", "delete")
            assert suggestion["label"] in action["description"]


def test_alternatives_that_both_remove_the_draft_are_recommended_if_one_is() -> None:
    stop, pause = _suggestion("Stop", REMOVE), _suggestion("Pause", REMOVE, number=2, is_recommended=True)
    for pair in ((stop, pause), (pause, stop)):
        (merged,) = shape(_card(*pair), "full").suggestions
        assert (set(merged.label.split(" / ")), merged.is_recommended) == ({"Stop", "Pause"}, True)


@for_rows(
    "actions",
    [(), (Action(type="create", description="Ask", resource={"resourceType": "Task"}),),
     (Action(type="create", description="Ask"),),
     (Action(type="update", description="Change", resource_id="ServiceRequest/1", resource={"status": "active"}),)],
)  # fmt: skip
def test_what_epic_cannot_place_is_said_in_words(actions: tuple[Action, ...]) -> None:
    card = shape(msgspec.structs.replace(_card(_suggestion("Ask somebody", *actions)), detail=None), "full")
    assert card.suggestions == ()
    assert "Ask somebody" in (card.detail or "")
    bare = shape(msgspec.structs.replace(_card(), detail=None, extension=None), "full")
    assert (bare.detail, len(bare.extension or {})) == (None, 1)


# Topics


def test_a_long_topic_is_cut_and_told_apart_by_a_digest() -> None:
    rules = [(f"renal-drug-{n}", "a_long_band") for n in range(9)]
    codes = {topic_code("order-safety", rules[:n]) for n in range(4, 9)}
    assert len(codes) == 5
    assert all(len(code) <= MOST_OF_A_TOPIC and code.isalnum() for code in codes)


# Reading


@for_rows(
    ("trigger", "meant"),
    [("26", "encounter-start"), ("27", "encounter-discharge"), (27, "encounter-discharge"), ("999", "patient-view")]
    + [(each, "patient-view") for each in ("5", "6", "7", "18", "23", "29", "60")],
)  # fmt: skip
def test_a_trigger_without_a_hook_of_its_own_is_read_as_the_hook_it_stands_for(trigger: Any, meant: str) -> None:
    assert actual_hook("patient-view", Raw(json.dumps({TRIGGER: trigger, "novel": 1}).encode())) == meant
    assert meant in LIBRARY


async def _call(folder: Path, as_of: datetime, request: dict[str, Any], dialect: str = "epic") -> httpx.Response:
    service = {"order-select": ORDERS, "order-sign": ORDERS}.get(request["hook"], request.pop("service", PLANNING))
    async with client(folder, as_of=as_of, dialect=dialect) as calls:
        headers = {"content-type": "application/json; charset=utf-8"}
        return await calls.post(f"/cds-services/{service}", content=json.dumps(request), headers=headers)


def _as_epic(request: dict[str, Any], trigger: str) -> dict[str, Any]:
    """The request as Epic's page shows one: extension object, one category as an object, 4101 for nothing found."""
    issue = {"severity": "warning", "code": "processing", "details": {"coding": [{"code": "4101"}]}}
    nothing = {"resource": {"resourceType": "OperationOutcome", "issue": [issue]}, "search": {"mode": "outcome"}}
    for value in request["prefetch"].values():
        if isinstance(value, dict) and value.get("resourceType") == "Bundle" and not value.get("entry"):
            value |= {"total": 0, "entry": [nothing]}
        for entry in (value or {}).get("entry", ()):
            if isinstance(entry["resource"].get("category"), list):
                entry["resource"]["category"] = entry["resource"]["category"][0]
    return request | {
        "fhirServer": "https://ehr.example/interconnect/api/FHIR/R4",
        "extension": {TRIGGER: trigger, "internal.epic.cdshooks.request.epic-emp-id": "17805"},
    }


async def test_a_discharge_arrives_as_patient_view_and_is_answered_as_discharge(
    tmp_path: Path, as_of: datetime
) -> None:
    request = _as_epic(request_for(DISCHARGE, "encounter-discharge", "ckd3b-metformin", as_of), "27")
    request |= {"hook": "patient-view", "service": DISCHARGE}
    answer = await _call(tmp_path, as_of, dict(request))
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["cards"]) == 1
    assert (await _call(tmp_path, as_of, dict(request), dialect="standard")).status_code == 400
    open_chart = request | {"extension": {TRIGGER: "60"}}
    assert (await _call(tmp_path, as_of, dict(open_chart))).status_code == 400


async def test_a_patient_view_stays_one_for_a_service_that_answers_it(tmp_path: Path, as_of: datetime) -> None:
    request = _as_epic(request_for(PLANNING, "patient-view", "planning-talk", as_of), "27")
    answer = await _call(tmp_path, as_of, request)
    assert len(answer.json()["cards"]) == 1


@pytest.mark.parametrize("dialect", ["standard", "epic", "oracle", "sandbox"])
async def test_a_request_as_epic_sends_it_is_read_as_the_published_one(
    tmp_path: Path, as_of: datetime, dialect: str
) -> None:
    published = request_for(ORDERS, "order-sign", "ckd3b-metformin", as_of, "metformin-renewal-2000")
    plain = await _call(tmp_path, as_of, json.loads(json.dumps(published)), dialect)
    epic = await _call(tmp_path, as_of, _as_epic(published, "23"), dialect)
    assert epic.status_code == 200, epic.text
    facts = [[card["extension"]["org.cds-hooks-onnx"] for card in each.json()["cards"]] for each in (plain, epic)]
    assert facts[0] == facts[1] != []
    assert not [each for each in ours(epic).get("silence", []) if each["reason"] in ("unreadable", "prefetch-failed")]


def test_the_plain_profile_says_so_and_has_no_markup() -> None:
    card = _card(_suggestion("Order creatinine", TEST))
    (plain,) = shape_cards([card], profile_for("x", "epic", markdown="plain"))
    assert isinstance(plain, Card)
    assert plain.detail == "eGFR 25"
    assert plain.extension is not None
    assert plain.extension["com.epic.cdshooks.card.detail.content-type"] == "text/plain"
    assert msgspec.json.encode(plain)
