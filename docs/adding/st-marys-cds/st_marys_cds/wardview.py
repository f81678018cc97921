"""WardView (an invented vendor): plain text, at most two links on a card."""

from msgspec import structs

from cards.card import Card
from cds_hooks.call.dialects._dialect import Dialect, Markdown


def shape(card: Card, markdown: Markdown) -> Card:
    """The card with its first two links."""
    del markdown
    return structs.replace(card, links=card.links[:2])


DIALECT = Dialect("wardview", "WardView", markdown="plain", shape=shape)
