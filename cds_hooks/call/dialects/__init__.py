"""How each EHR vendor differs from the published protocol: one module for each vendor (docs/dialects.md).

The profile of one client: its dialect, its version of CDS Hooks, and what discovery it gets.

Shapes a card for one client: links, Markdown, and the members that its version of CDS Hooks has.

Only the Markdown that our own cards consist of is known here: bold, lists, links and backslash escapes
(`cards/text.py`).
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar, Final, TypeAlias
from urllib.parse import urlsplit

from msgspec import structs

from cards.card import Card, Coding, Suggestion, check_card
from cds_hooks.call.dialects._dialect import MARKDOWN, VERSIONS, Dialect, Markdown, Version
from cds_hooks.call.dialects.standard import DIALECT as STANDARD
from cds_hooks.call.protocol.hooks import MEDICATION_REFILL, ORDER_DISPATCH, Hook
from fhir.record.datatypes import as_json_value
from models_onnx.declarations import find_declared
from models_onnx.packages import Package, packages

_BEFORE_2_0: Final = frozenset({"1.0", "1.1"})


@dataclass(frozen=True, slots=True)
class ClientProfile:
    """Which version a client uses and what it shows. No request says its version (checklist row REQ-16), so this does.

    `link_hosts` are the hosts (or `host:port`) that cards may link to, empty for any; `override_reasons` take the place
    of the cards' own where there are some.
    """

    name: str
    dialect: Dialect = STANDARD
    version: Version = "2.0"
    markdown: Markdown = "full"
    link_hosts: frozenset[str] = frozenset()
    override_reasons: tuple[Coding, ...] = ()
    action_selection_behavior: bool = False
    """Whether the client said that it supports `actionSelectionBehavior` (CDS Hooks 3.0, CAP-04)."""
    needs_no_shaping: bool = field(init=False)
    """Whether there is nothing to shape, so that the hot path need not look at the cards."""
    takes_system_actions: bool = field(init=False)
    """Whether its version of CDS Hooks has systemActions: they came with 2.0."""

    def __post_init__(self) -> None:
        is_published = self.dialect.shape is None and self.version == "2.0" and self.markdown == "full"
        object.__setattr__(self, "needs_no_shaping", is_published and not self.link_hosts and not self.override_reasons)
        object.__setattr__(self, "takes_system_actions", self.version not in _BEFORE_2_0)


DEVELOPMENT = ClientProfile("anonymous")
"""Every caller of the development profile, unless the settings say otherwise."""


class UnknownDialect(ValueError):
    """There is no such dialect, version or form of Markdown; the message lists those there are."""

    what_cannot_be_used: ClassVar[str] = "CDS_DIALECT"
    exit_code: ClassVar[int] = 2


def find_dialects() -> dict[str, Dialect]:
    """Return every dialect by its id; each public module of `cds_hooks/call/dialects/` declares one `DIALECT`.

    Raises:
        DeclarationError: A module declares no usable dialect.
    """
    return _dialects_with(packages())


@cache
def _dialects_with(_packages: tuple[Package, ...]) -> dict[str, Dialect]:
    return find_declared("cds_hooks.call.dialects", "DIALECT", Dialect, named_after_file=True)


def profile_for(
    name: str,
    dialect: str = "standard",
    *,
    version: str | None = None,
    markdown: str | None = None,
    link_hosts: Iterable[str] = (),
    override_reasons: Iterable[Coding] = (),
    action_selection_behavior: bool = False,
) -> ClientProfile:
    """Return a client's profile; version and Markdown are its dialect's unless given. UnknownDialect if wrong."""
    dialects = find_dialects()
    if dialect not in dialects:
        raise UnknownDialect(f"there is no dialect {dialect!r}; there are {', '.join(dialects)}")
    matches = dialects[dialect]
    return ClientProfile(
        name,
        matches,
        _version(version) if version is not None else matches.version,
        _markdown(markdown) if markdown is not None else matches.markdown,
        frozenset(host.lower() for host in link_hosts),
        tuple(override_reasons),
        action_selection_behavior,
    )


def _version(text: str) -> Version:
    wanted = "2.0" if text == "2.0.1" else text
    for version in VERSIONS:
        if version == wanted:
            return version
    raise UnknownDialect(f"there is no version {text!r} of CDS Hooks here; there are {', '.join(VERSIONS)}")


def _markdown(text: str) -> Markdown:
    for flavour in MARKDOWN:
        if flavour == text:
            return flavour
    raise UnknownDialect(f"detail is written as {', '.join(MARKDOWN)} Markdown, not as {text!r}")


# Their pages say specificationVersion 2.0: not to be offered to earlier clients (HOOK-07).
_SINCE_2_0: Final = frozenset({ORDER_DISPATCH, MEDICATION_REFILL})
_PUBLISHED: Final[dict[Version, str]] = {"3.0-ballot": "STU3", "3.0": "3.0.0"}
"""What `version` says: the ballot's codes and the later build's numbers differ (DISC-10, TRAP-15)."""


def is_offered(hook: Hook, client: ClientProfile) -> bool:
    """Return whether a client of this version can be expected to know the hook."""
    return not (client.version in _BEFORE_2_0 and hook.name in _SINCE_2_0)


def published_entry(entry: dict[str, Any], hook: Hook, client: ClientProfile) -> dict[str, Any]:
    """Return the entry, which is that of CDS Hooks 2.0.1, as the client's version has it."""
    if client.version in _BEFORE_2_0:
        return {name: value for name, value in entry.items() if name != "usageRequirements"}  # DISC-09
    if client.version not in _PUBLISHED:
        return entry
    entry = {**entry, "version": _PUBLISHED[client.version]}
    # The ballot has no hookVersion yet (checklist section 6.2).
    return entry if client.version == "3.0-ballot" else {**entry, "hookVersion": hook.version}


_ESCAPED: Final = r"\\(?P<escaped>[!-/:-@\[-`{-~])"
_LINK: Final = r"\[(?P<label>(?:\\.|[^\[\]\\])*)\]\((?P<url>[^()\s]*)\)"
_LINK_OR_ESCAPED: Final = re.compile(f"{_ESCAPED}|{_LINK}")
_MARKUP: Final = re.compile(f"{_ESCAPED}|{_LINK}|(?P<bold>\\*\\*)")


def simplify_markdown(detail: str, markdown: Markdown) -> str:
    """Return the same sentences and lists: without links for `basic`, without any markup for `plain`.

    >>> simplify_markdown("**eGFR 20** is \\\\_low\\\\_: [label](https://x.example/a)", "plain")
    'eGFR 20 is _low_: label: https://x.example/a'
    """
    return _plain(detail) if markdown == "plain" else without_links(detail, lambda _: False, keep_address=True)


def without_links(detail: str, is_allowed: Callable[[str], bool], *, keep_address: bool = False) -> str:
    """Return the Markdown with links only where the address is allowed; of the others the label stays."""

    def written(match: re.Match[str]) -> str:
        if match["escaped"] is not None or is_allowed(match["url"]):
            return match[0]
        return f"{match['label']}: {match['url']}" if keep_address else str(match["label"])

    return _LINK_OR_ESCAPED.sub(written, detail)


def _plain(detail: str) -> str:
    def written(match: re.Match[str]) -> str:
        if match["escaped"] is not None:
            return str(match["escaped"])
        return "" if match["bold"] is not None else f"{_plain(match['label'])}: {match['url']}"

    return _MARKUP.sub(written, detail)


def keep_links_to(hosts: frozenset[str], card: Card) -> Card:
    """Return the card with links to these hosts (or `host:port`) only; of the others the words stay."""

    def is_allowed(address: str) -> bool:
        return host_of(address) in hosts or urlsplit(address).hostname in hosts

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
    """Return the card with the members that the client's version of CDS Hooks has."""
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
    kinds = {(action.type, (action.resource or {}).get("resourceType")) for action in suggestion.actions}
    return len(suggestion.actions) > 1 and kinds == {("create", "ServiceRequest")}


def shape_cards(cards: Sequence[Card], client: ClientProfile) -> Sequence[Card | WireCard]:
    """Return the cards as this client gets them; for a client of the published protocol the very same."""
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
