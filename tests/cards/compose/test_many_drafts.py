"""Many equal drafts: one card for a dose that is far too high, and an answer whose size has a bound."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from cards.card import SEVERITY
from cards.extension import MOST_FACTS
from cards.suggest import MOST_ENDED
from tests.cds_hooks.calls import client
from tests.cds_hooks.services.chart_cases import AS_OF, as_call, patient, result

Json = dict[str, Any]
TEN = 10
MG = {"unit": "mg", "system": "http://unitsofmeasure.org", "code": "mg"}


def _draft(number: int, words: str, mg: float, times: int) -> Json:
    dose = {"doseQuantity": {"value": mg, **MG}}
    timing = {"repeat": {"frequency": times, "period": 1, "periodUnit": "d"}}
    return {
        "resourceType": "MedicationRequest", "id": f"draft-{number}", "status": "draft", "intent": "order",
        "subject": {"reference": "Patient/chart-1"}, "medicationCodeableConcept": {"text": words},
        "dosageInstruction": [{"timing": timing, "doseAndRate": [dose]}],
    }  # fmt: skip


async def _signed(folder: Path, drafts: list[Json], *chart: Json) -> list[Json]:
    body = as_call("order-safety", "order-sign", 1, [patient(60, "male"), result("2160-0", 1.0, "mg/dL"), *chart])
    body["context"]["draftOrders"] = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": draft} for draft in drafts],
    }
    async with client(folder, as_of=AS_OF) as calls:
        answer = await calls.post("/cds-services/order-safety", json=body)
    cards: list[Json] = answer.json()["cards"]
    return cards


@pytest.mark.parametrize(
    ("words", "mg", "times", "a_day"),
    [
        ("metformin hydrochloride 1000 MG Oral Tablet", 1000, 27, "270,000 mg/day"),
        ("acetaminophen 500 MG Oral Tablet", 1000, 12, "120,000 mg/day"),
        ("lisinopril 40 MG Oral Tablet", 40, 10, "4,000 mg/day"),
        ("ibuprofen 800 MG Oral Tablet", 800, 12, "96,000 mg/day"),
    ],
)
def test_the_headline_of_ten_drafts_is_what_they_give_together(
    tmp_path: Path, words: str, mg: float, times: int, a_day: str
) -> None:
    cards = asyncio.run(_signed(tmp_path, [_draft(number, words, mg, times) for number in range(TEN)]))
    worst = cards[0]
    assert worst["indicator"] == "critical"
    assert a_day in worst["summary"]
    about_doses = [card for card in cards if "mg/day" in card["summary"]]
    assert len(about_doses) == 1, [card["summary"] for card in cards]
    severities = [SEVERITY[card["indicator"]] for card in cards]
    assert severities == sorted(severities, reverse=True)


def _listed(number: int, drug: str, reaction: str) -> Json:
    return {
        "resourceType": "AllergyIntolerance", "id": f"allergy-{number}", "patient": {"reference": "Patient/chart-1"},
        "code": {"text": drug}, "reaction": [{"manifestation": [{"text": reaction}]}],
    }  # fmt: skip


def test_a_list_of_hundreds_of_allergies_is_told_by_some_entries_and_a_count(tmp_path: Path) -> None:
    draft = _draft(0, "amoxicillin 500 MG Oral Capsule", 500, 3)
    entries = [_listed(number, "amoxicillin", f"anaphylaxis number {number}") for number in range(300)]
    (card,) = asyncio.run(_signed(tmp_path, [draft], *entries))
    more = f"{300 - MOST_FACTS} more of this kind"
    assert f"amoxicillin: anaphylaxis number {MOST_FACTS - 1}; {more}." in card["detail"]
    facts = card["extension"]["org.cds-hooks-onnx"]["facts"]
    assert [fact["text"] for fact in facts if fact["name"] == "more_allergy"] == [more]
    assert len([fact for fact in facts if fact["name"] == "allergy"]) == MOST_FACTS
    assert len(str(card)) < 10_000


def test_no_suggestion_ends_hundreds_of_orders(tmp_path: Path) -> None:
    order = _draft(0, "ibuprofen 800 MG Oral Tablet", 800, 3) | {"status": "active", "authoredOn": "2026-10-01"}
    orders = [order | {"id": f"order-{number}"} for number in range(300)]
    cards = asyncio.run(_signed(tmp_path, [_draft(0, "warfarin sodium 5 MG Oral Tablet", 5, 1)], *orders))
    ended = [len(suggestion["actions"]) for card in cards for suggestion in card["suggestions"]]
    assert ended
    assert max(ended) <= MOST_ENDED
