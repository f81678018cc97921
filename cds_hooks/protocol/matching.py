"""Which of our cards a report is about: joined by uuid, and only with cards that this client got from this service."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec
from msgspec import Struct, structs

from cds_hooks.storage.decision import Decision, FeedbackItem
from cds_hooks.storage.identifiers import decision_of

UNKNOWN_CARD: Final = "unknown-card"
OTHER_CLIENT: Final = "other-client"
OTHER_SERVICE: Final = "other-service"
UNKNOWN_SUGGESTION: Final = "unknown-suggestion"


class _Suggestion(Struct):
    uuid: str = ""


class _Card(Struct):
    uuid: str = ""
    suggestions: tuple[_Suggestion, ...] = ()


class _Response(Struct):
    cards: tuple[_Card, ...] = ()


_response: Final = msgspec.json.Decoder(_Response)


@dataclass(slots=True)
class Matched:
    """The items that belong to a card of ours, and for each that does not the reason."""

    items: list[FeedbackItem] = field(default_factory=list)
    unmatched: list[str] = field(default_factory=list)


def decisions_named(items: Iterable[FeedbackItem]) -> set[str]:
    """The ids of the decisions that these reports can be about."""
    return {found for item in items if (found := decision_of(item.card)) is not None}


def match_feedback(items: Iterable[FeedbackItem], decisions: Mapping[str, Decision]) -> Matched:
    """The items apart: a card that nobody got, or another client got, must not fail the batch (FB-17, FB-18)."""
    matched = Matched()
    for item in items:
        decision = decisions.get(decision_of(item.card) or "")
        card = _card(decision, item) if decision is not None else None
        if decision is None or card is None:
            matched.unmatched.append(UNKNOWN_CARD)
        elif decision.client != item.client:
            matched.unmatched.append(OTHER_CLIENT)
        elif decision.service != item.service:
            matched.unmatched.append(OTHER_SERVICE)
        else:
            _take(item, card, matched)
    return matched


def _card(decision: Decision, item: FeedbackItem) -> _Card | None:
    return next((card for card in _response.decode(decision.response).cards if card.uuid == item.card), None)


def _take(item: FeedbackItem, card: _Card, matched: Matched) -> None:
    ours = {suggestion.uuid for suggestion in card.suggestions}
    known = tuple(each for each in item.accepted_suggestions if each in ours)
    matched.unmatched += [UNKNOWN_SUGGESTION] * (len(item.accepted_suggestions) - len(known))
    if known or item.outcome == "overridden":
        matched.items.append(structs.replace(item, accepted_suggestions=known))
