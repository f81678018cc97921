"""Names a card, its suggestions and its pages, and makes the suggestion that creates a drafted order."""

from collections.abc import Callable, Iterable
from typing import Any

from msgspec import Struct

from cards.card import Action, Link, Suggestion


class CardIdentity(Struct, frozen=True):
    """The uuids of a card and of its suggestions, the page that explains it, and that of its model or equation."""

    uuid: str
    suggestion_uuid: Callable[[int], str]
    explain_url: str
    method_url: str = ""

    @property
    def links(self) -> tuple[Link, ...]:
        """The link to the page that explains the decision."""
        return (Link(label="Why this card", url=self.explain_url, type="absolute"),)


class OrderSuggestion(Struct, frozen=True):
    """One option: its words and the order behind it; `is_recommended` says whether it is preselected."""

    label: str
    description: str
    order: dict[str, Any]
    is_recommended: bool = False


def order_suggestions(offers: Iterable[OrderSuggestion], identity: CardIdentity) -> tuple[Suggestion, ...]:
    """Return the options as suggestions, each of which creates its order."""
    return tuple(
        create_suggestion(offer, identity.suggestion_uuid(number)) for number, offer in enumerate(offers, start=1)
    )


def create_suggestion(offer: OrderSuggestion, uuid: str, resource_id: str | None = None) -> Suggestion:
    """Return the option as a suggestion with this uuid; its order has the same id unless `resource_id` is given."""
    # With an id, without which the FHIR validator takes no resource in an action (ACT-03, TRAP-20).
    resource = {"resourceType": offer.order["resourceType"], "id": resource_id or uuid, **offer.order}
    action = Action(type="create", description=offer.description, resource=resource)
    return Suggestion(label=offer.label, uuid=uuid, is_recommended=offer.is_recommended, actions=(action,))
