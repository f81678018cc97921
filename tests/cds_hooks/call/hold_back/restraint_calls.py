"""Calls for tests of restraint: drafts of several severities for one patient, answers, and reasons of an answer."""

import asyncio
import copy
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from cards.card import Card
from cds_hooks.call.hold_back.checks import Caller, CheckedCall, choose_cards
from cds_hooks.call.hold_back.history import Histories, shown_events
from fhir.record.refusals import WhyNot
from tests.cds_hooks.call.services.equation_calls import NOW
from tests.cds_hooks.calls import counted_request_for, ours

PATIENT = "ckd4-metformin"
WARNINGS = ("naproxen-egfr-25", "ct-contrast-egfr-25")
CRITICAL = "metformin-ckd4-coded"
SIGN = "order-safety-sign"


def order_sign(*drafts: str, user: str = "Practitioner/1", as_of: datetime = NOW) -> dict[str, Any]:
    """A call at order-sign with these drafts of the samples."""
    first, *others = (counted_request_for("order-safety", "order-sign", PATIENT, as_of, draft) for draft in drafts)
    request = copy.deepcopy(first)
    for other in others:
        request["context"]["draftOrders"]["entry"] += other["context"]["draftOrders"]["entry"]
    request["context"]["userId"] = user
    return request


async def sign(calls: httpx.AsyncClient, *drafts: str, user: str = "Practitioner/1") -> httpx.Response:
    """The answer to such a call."""
    answered = await calls.post(f"/cds-services/{SIGN}", json=order_sign(*drafts, user=user))
    assert answered.status_code == 200, answered.text
    return answered


def indicators(answer: httpx.Response) -> list[str]:
    """The indicators of the cards."""
    return [card["indicator"] for card in answer.json()["cards"]]


def reasons(answer: httpx.Response, code: str) -> list[tuple[str, str]]:
    """Subject and text of each reason with this code."""
    return [(each["subject"], each["text"]) for each in ours(answer).get("silence", []) if each["reason"] == code]


def rules_file(folder: Path, text: str) -> Path:
    """A rules file with this text."""
    file = folder / "rules.toml"
    file.write_text(f"version = 1\n{text}")
    return file


def feedback(card: dict[str, Any], suggestion: str | None = None, code: str = "patient-ineligible") -> dict[str, Any]:
    """Feedback that accepts this suggestion of the card, or overrides the card."""
    item = {"card": card["uuid"], "outcomeTimestamp": NOW.isoformat()}
    if suggestion is not None:
        return {"feedback": [item | {"outcome": "accepted", "acceptedSuggestions": [{"id": suggestion}]}]}
    reason = {"code": code, "system": "https://example.org/reasons", "display": "A reason"}
    return {"feedback": [item | {"outcome": "overridden", "overrideReason": {"reason": reason}}]}


class Site:
    """What a site remembers of patients; `now` is the clock of its calls."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now, self.histories = now, Histories()

    def hold_back(self, cards: list[Card], caller: Caller) -> tuple[list[Card], dict[str, WhyNot]]:
        """What is shown now, and why the rest is not."""
        recall = partial(self.histories.of_patient, caller.client, caller.patient)
        call = CheckedCall(caller, self.now(), recall=recall)
        return asyncio.run(choose_cards(cards, call)), call.withheld

    def show(self, cards: Sequence[Card], caller: Caller) -> None:
        """Takes note of what is shown, as a call does."""
        events = shown_events(caller.service, caller.hook, (card.own_extension for card in cards), self.now())
        self.histories.note(caller.client, caller.patient, events)
