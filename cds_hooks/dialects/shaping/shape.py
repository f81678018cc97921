"""A card as one client can draw it: the same facts, fewer links, other words, another version of the protocol."""

from collections.abc import Sequence

from msgspec import structs

from cards.card import Card
from cds_hooks.dialects.shaping.client import ClientProfile
from cds_hooks.dialects.shaping.links import only_to
from cds_hooks.dialects.shaping.versions import WireCard, for_version
from cds_hooks.dialects.shaping.words import reworded


def shape_cards(cards: Sequence[Card], client: ClientProfile) -> Sequence[Card | WireCard]:
    """The cards as this client gets them; for a client of the published protocol the very same."""
    return cards if client.takes_cards_as_they_are else [_shaped(card, client) for card in cards]


def _shaped(card: Card, client: ClientProfile) -> Card | WireCard:
    if client.link_hosts:
        card = only_to(client.link_hosts, card)
    if client.override_reasons and card.override_reasons:
        card = structs.replace(card, override_reasons=client.override_reasons)
    if client.markdown != "full" and card.detail is not None:
        card = structs.replace(card, detail=reworded(card.detail, client.markdown))
    if client.dialect.shape is not None:
        card = client.dialect.shape(card, client.markdown)
    return for_version(card, client)
