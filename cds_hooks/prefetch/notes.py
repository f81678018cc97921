"""The line on a card that says what it was computed without."""

from collections.abc import Sequence

from msgspec import structs

from cards.card import Card
from cds_hooks.prefetch.brought import Brought

_WHOLE = 5  # lines: a card of an order has no more, so the note goes to the end of the last


def noted(cards: Sequence[Card], brought: Brought) -> Sequence[Card]:
    """The same cards, each with what could not be had as the last line of its detail, where there is such a thing."""
    note = brought.note
    if note is None:
        return cards
    return [structs.replace(card, detail=_with(card.detail, note)) for card in cards]


def _with(detail: str | None, note: str) -> str:
    if not detail:
        return note
    return f"{detail} {note}" if len(detail.splitlines()) == _WHOLE else f"{detail}\n\n{note}"
