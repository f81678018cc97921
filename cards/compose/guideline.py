"""Composes the card of a guideline's indication that needs no score: the facts that make it, and the guideline."""

from collections.abc import Callable
from dataclasses import dataclass

from cards.card import Card, Coding, Link, Source
from cards.codings import OVERRIDE_REASONS
from cards.compose.equation import OrderSuggestion, suggestion_of
from cards.extension import EXTENSION_KEY, CardExtension, Fact


@dataclass(frozen=True, slots=True, kw_only=True)
class GuidelineCardContent:
    """What one card of a guideline says: summary, opening, facts, offers; `guideline` has its year in it."""

    id: str
    summary: str
    opening: str
    guideline: str
    url: str | None
    topic: Coding
    facts: tuple[Fact, ...]
    offers: tuple[OrderSuggestion, ...]
    closing: str = "For planning, not for emergencies."


def guideline_card(
    said: GuidelineCardContent, uuid: str, suggestion_uuid: Callable[[int], str], explain_url: str
) -> Card:
    """The card of an indication; its extension holds the facts that the sentences name."""
    return Card(
        uuid=uuid,
        summary=said.summary,
        indicator="info",
        detail=f"{said.opening}\n\n{said.closing} Source: {said.guideline}.",
        source=Source(label=said.guideline, url=said.url, topic=said.topic),
        suggestions=tuple(
            suggestion_of(offer, number, suggestion_uuid(number)) for number, offer in enumerate(said.offers, start=1)
        ),
        selection_behavior="any" if said.offers else None,
        override_reasons=OVERRIDE_REASONS,
        links=(Link(label="Why this card", url=explain_url, type="absolute"),),
        extension={EXTENSION_KEY: CardExtension(output=said.id, facts=said.facts)},
    )
