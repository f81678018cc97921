"""The link of a card to the page of its decision: which kind a client gets, and the link that opens it for a while.

A client with `smart_client_id` gets a link of the type `smart`: its EHR launches the app in the session of the person
who clicks. Where CDS_EXPLAIN_LINK_KEY is set, the others get a link that opens the page of this one decision
without a login until it expires. It is signed, not stored: HMAC-SHA256 over the decision and its client, so it is worth
nothing for another decision or client, and holds nothing of a patient. When it expires follows from when the decision
was made.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from typing import Final, Literal

from msgspec import structs

from cards.card import Card, Link
from cds_hooks.call.security.trust import TrustedClient
from cds_hooks.settings import Settings

PATH: Final = "/open"
_DIGEST_BYTES: Final = 24
"""192 bits."""
_TOKEN: Final = re.compile(rf"({PATH}/[0-9a-f-]{{36}})/[A-Za-z0-9_-]{{32}}")

LinkState = Literal["good", "expired", "wrong"]


class ExplanationLinks:
    """Signs and checks the links of one server; those of another secret are wrong."""

    def __init__(self, configured: Settings) -> None:
        secret = configured.explain_link_key
        self._key = secret.get_secret_value().encode() if secret is not None else b""
        self._public_url = configured.public_url
        self.seconds: Final = 60 * configured.explain_link_minutes if secret is not None else 0.0
        """For how long a link opens its page; 0 where none does."""

    def url(self, decision: str, client: str) -> str:
        """Return the address that opens the page of this decision."""
        return f"{self._public_url}{PATH}/{decision}/{self._token(decision, client)}"

    def state(self, token: str, decision: str, client: str, decided_at: float, now: float) -> LinkState:
        """Return whether a token opens this decision of this client, made at `decided_at` (epoch seconds)."""
        signature, wanted = token.encode("utf-8", "replace"), self._token(decision, client).encode()
        if not self.seconds or not hmac.compare_digest(signature, wanted):
            return "wrong"
        return "good" if now < decided_at + self.seconds else "expired"

    def _token(self, decision: str, client: str) -> str:
        signed = hmac.digest(self._key, f"explain\n{decision}\n{client}".encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(signed[:_DIGEST_BYTES]).decode()


def link_cards(
    cards: Sequence[Card], page: str, client: TrustedClient, decision: str, configured: Settings
) -> Sequence[Card]:
    """Return the cards with the link to `page` as this client gets it; without it where nobody could open it.

    The very same cards where every reader may open pages.
    """
    if not cards:
        return cards
    if client.smart_client_id is not None:
        changes = {"url": f"{configured.public_url}/launch", "type": "smart", "app_context": decision}
    elif configured.explain_link_key is not None:
        changes = {"url": ExplanationLinks(configured).url(decision, client.name)}
    elif configured.links_to_pages:
        return cards
    else:
        return [_with_links(card, tuple(link for link in card.links if link.url != page)) for card in cards]
    return [_with_links(card, tuple(_changed(link, page, changes) for link in card.links)) for card in cards]


def without_token(address: str) -> str:
    """Return the address of a link without its signature.

    >>> without_token("https://cds.example/open/0190a1b2-0000-7000-8000-000000000000/" + "a" * 32)
    'https://cds.example/open/0190a1b2-0000-7000-8000-000000000000'
    """
    return _TOKEN.sub(r"\1", address)


def _changed(link: Link, page: str, changes: dict[str, str]) -> Link:
    return structs.replace(link, **changes) if link.url == page else link


def _with_links(card: Card, links: tuple[Link, ...]) -> Card:
    return structs.replace(card, links=links)
