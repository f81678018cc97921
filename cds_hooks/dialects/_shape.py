"""Shapes a card for one client: links, Markdown, and the members that its version of CDS Hooks has.

Only the Markdown that our own cards consist of is known here: bold, lists, links and backslash escapes
(`cards/text.py`).
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

from msgspec import structs

from cards.card import Card, Suggestion, check_card
from cds_hooks.dialects._dialect import Markdown
from cds_hooks.dialects._profile import ClientProfile
from fhir.record.datatypes import as_json_value

_ESCAPED: Final = r"\\(?P<escaped>[!-/:-@\[-`{-~])"
_LINK: Final = r"\[(?P<label>(?:\\.|[^\]\\])*)\]\((?P<url>[^)\s]*)\)"
_LINK_OR_ESCAPED: Final = re.compile(f"{_ESCAPED}|{_LINK}")
_MARKUP: Final = re.compile(f"{_ESCAPED}|{_LINK}|(?P<bold>\\*\\*)")


def simplify_markdown(detail: str, markdown: Markdown) -> str:
    """The same sentences and lists: without links for `basic`, without any markup for `plain`.

    >>> reworded("**eGFR 20** is \\\\_low\\\\_: [label](https://x.example/a)", "plain")
    'eGFR 20 is _low_: label: https://x.example/a'
    """
    return _plain(detail) if markdown == "plain" else without_links(detail, lambda _: False, keep_address=True)


def without_links(detail: str, is_allowed: Callable[[str], bool], *, keep_address: bool = False) -> str:
    """The Markdown with links only where the address is allowed; of the others the label stays."""

    def written(found: re.Match[str]) -> str:
        if found["escaped"] is not None or is_allowed(found["url"]):
            return found[0]
        return f"{found['label']}: {found['url']}" if keep_address else str(found["label"])

    return _LINK_OR_ESCAPED.sub(written, detail)


def _plain(detail: str) -> str:
    def written(found: re.Match[str]) -> str:
        if found["escaped"] is not None:
            return str(found["escaped"])
        return "" if found["bold"] is not None else f"{_plain(found['label'])}: {found['url']}"

    return _MARKUP.sub(written, detail)


def keep_links_to(hosts: frozenset[str], card: Card) -> Card:
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


WireCard: TypeAlias = dict[str, Any]
"""A card as JSON, for versions in which it is not quite what `cards.card` says."""

# CARD-01, CARD-16, SRC-07, SUG-03: all of them came with 1.1.
_CARD_SINCE_1_1: Final = ("uuid", "overrideReasons")


def for_version(card: Card, client: ClientProfile) -> Card | WireCard:
    """The card with the members that the client's version of CDS Hooks has."""
    if client.version in ("1.0", "1.1"):
        return _before_2_0(as_json_value(card), client.version)
    if client.version.startswith("3.0") and client.action_selection_behavior:
        return _with_selection(card)
    return card


def _before_2_0(card: WireCard, version: str) -> WireCard:
    """ACT-06: up to 1.1 a delete names the resource where other actions carry it."""
    for suggestion in card.get("suggestions", ()):
        for action in suggestion.get("actions", ()):
            if "resourceId" in action:
                action["resource"] = action.pop("resourceId")
        if version == "1.0":
            suggestion.pop("isRecommended", None)
    if version == "1.0":
        for name in _CARD_SINCE_1_1:
            card.pop(name, None)
        card["source"].pop("topic", None)
        if "selectionBehavior" in card:
            card["selectionBehavior"] = "at-most-one"  # CARD-14: 1.0 knows no other
    return card


def _with_selection(card: Card) -> WireCard:
    """SUG-08: tests that are ordered in one suggestion can be taken one by one; everything else goes together."""
    wire: WireCard = as_json_value(card)
    for suggestion, written in zip(card.suggestions, wire.get("suggestions", ()), strict=True):
        if _are_tests(suggestion):
            written["actionSelectionBehavior"] = "any"
    return wire


def _are_tests(suggestion: Suggestion) -> bool:
    kinds = {(each.type, (each.resource or {}).get("resourceType")) for each in suggestion.actions}
    return len(suggestion.actions) > 1 and kinds == {("create", "ServiceRequest")}


def shape_cards(cards: Sequence[Card], client: ClientProfile) -> Sequence[Card | WireCard]:
    """The cards as this client gets them; for a client of the published protocol the very same."""
    return cards if client.needs_no_shaping else [_shaped(card, client) for card in cards]


def _shaped(card: Card, client: ClientProfile) -> Card | WireCard:
    if client.link_hosts:
        card = keep_links_to(client.link_hosts, card)
    if client.override_reasons and card.override_reasons:
        card = structs.replace(card, override_reasons=client.override_reasons)
    if client.markdown != "full" and card.detail is not None:
        card = structs.replace(card, detail=simplify_markdown(card.detail, client.markdown))
    if client.dialect.shape is not None:
        card = client.dialect.shape(card, client.markdown)
    wire = for_version(card, client)
    if wire is not card:
        check_card(card)  # every other card is checked where the response is encoded
    return wire
