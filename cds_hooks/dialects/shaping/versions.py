"""Which members of a card the versions of CDS Hooks have (checklist section 6.2)."""

from typing import Any, Final, TypeAlias

from msgspec import to_builtins

from cards.card import Card, Suggestion
from cds_hooks.dialects.shaping.client import ClientProfile

WireCard: TypeAlias = dict[str, Any]
"""A card as JSON, for versions in which it is not quite what `cards.card` says."""

# CARD-01, CARD-16, SRC-07, SUG-03: all of them came with 1.1.
_CARD_SINCE_1_1: Final = ("uuid", "overrideReasons")


def for_version(card: Card, client: ClientProfile) -> Card | WireCard:
    """The card with the members that the client's version of CDS Hooks has."""
    if client.version in ("1.0", "1.1"):
        return _before_2_0(to_builtins(card), client.version)
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
    wire: WireCard = to_builtins(card)
    for suggestion, written in zip(card.suggestions, wire.get("suggestions", ()), strict=True):
        if _are_tests(suggestion):
            written["actionSelectionBehavior"] = "any"
    return wire


def _are_tests(suggestion: Suggestion) -> bool:
    kinds = {(each.type, (each.resource or {}).get("resourceType")) for each in suggestion.actions}
    return len(suggestion.actions) > 1 and kinds == {("create", "ServiceRequest")}
