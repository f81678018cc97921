"""Links that a client may show: it removes the others anyway, and their text would then point to nothing."""

from urllib.parse import urlsplit

from msgspec import structs

from cards.card import Card
from cds_hooks.dialects.shaping.words import without_links


def only_to(hosts: frozenset[str], card: Card) -> Card:
    """The card with links to these hosts (or `host:port`) only; of the others the words stay."""

    def is_allowed(address: str) -> bool:
        return host_of(address) in hosts or (urlsplit(address).hostname or "") in hosts

    source = card.source
    if source.url is not None and not is_allowed(source.url):
        source = structs.replace(source, url=None)
    return structs.replace(
        card,
        source=source,
        links=tuple(link for link in card.links if is_allowed(link.url)),
        detail=card.detail if card.detail is None else without_links(card.detail, is_allowed),
    )


def host_of(address: str) -> str:
    """`host` or, where one is given, `host:port`, in lower case."""
    return urlsplit(address).netloc.rpartition("@")[2].lower()
