"""What a client does besides building a call: it signs its requests and sends feedback on the cards."""

from collections.abc import Generator
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from cds_hooks.simulator.signing import SigningKey


class CardOutcome(StrEnum):
    """What a clinician did with a card."""

    accepted = "accepted"
    overridden = "overridden"


class RequestSigning(httpx.Auth):
    """A fresh token for the URL of each call."""

    def __init__(self, key: "SigningKey") -> None:
        self._key = key

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """The request with its token."""
        from cds_hooks.simulator.signing import sign_token  # cryptography takes half a second to import

        request.headers["authorization"] = f"Bearer {sign_token(self._key, str(request.url))}"
        yield request


def build_feedback(document: dict[str, Any], outcome: CardOutcome, when: datetime) -> dict[str, Any]:
    """Feedback (CDS Hooks 2.0.1) on every card of a response; an accepted card takes its first suggestion.

    A card without suggestions cannot be accepted, so it is overridden.
    """
    return {"feedback": [_item(card, outcome, when) for card in document.get("cards", []) if card.get("uuid")]}


def _item(card: dict[str, Any], outcome: CardOutcome, when: datetime) -> dict[str, Any]:
    item = {"card": card["uuid"], "outcomeTimestamp": when.isoformat(timespec="seconds")}
    suggestions = card.get("suggestions") or []
    if outcome is CardOutcome.accepted and suggestions:
        return item | {"outcome": "accepted", "acceptedSuggestions": [{"id": suggestions[0]["uuid"]}]}
    reasons = card.get("overrideReasons") or []
    return item | {"outcome": "overridden"} | ({"overrideReason": {"reason": reasons[0]}} if reasons else {})
