"""The line on a card that says what it was computed without."""

from collections.abc import Sequence

from msgspec import structs

from cards.card import Card
from cds_hooks.prefetch.brought import Brought


def noted(cards: Sequence[Card], brought: Brought) -> Sequence[Card]:
    """The same cards, each with what could not be had as the last line of its detail, where there is such a thing."""
    note = brought.note
    if note is None:
        return cards
    return [structs.replace(card, detail=f"{card.detail}\n\n{note}" if card.detail else note) for card in cards]
