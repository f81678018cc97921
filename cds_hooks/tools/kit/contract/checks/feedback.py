"""The feedback endpoint: the published forms are taken, broken ones refused."""

from typing import Final
from uuid import uuid4

from cds_hooks.tools.kit.contract.connection import Exchange
from cds_hooks.tools.kit.contract.document import SHOULD, observe
from cds_hooks.tools.kit.contract.registry import Faults, check_service
from cds_hooks.tools.kit.contract.requests import Request
from cds_hooks.tools.kit.contract.target import Service

_WHEN: Final = "2024-05-17T10:05:31Z"
_NOT_OFFERED: Final = (404, 405, 501)


@check_service("FB-01", "FB-03", "FB-04", "CARD-01", level=SHOULD)
def feedback_is_offered_or_404(service: Service) -> Faults:
    """Take feedback at the service's URL and /feedback, or answer 404 and give cards no uuid, which is for it alone."""
    exchange = _overridden(service, "an overridden card")
    cards = [card for call in service.calls for card in call.exchange.cards or [] if isinstance(card, dict)]
    has_uuid = any(card.get("uuid") for card in cards)
    if not exchange.ok and (has_uuid or exchange.status not in _NOT_OFFERED):
        yield exchange.fault(f"{exchange.answer}{', but cards have a uuid' if has_uuid else ''}")


def card_and_suggestion(service: Service) -> tuple[str, str]:
    """Return a card and a suggestion of it that this service has sent; invented ones where it sent none."""
    for call in service.calls:
        for card in call.exchange.cards or []:
            for suggestion in card.get("suggestions") or [] if isinstance(card, dict) else []:
                if isinstance(card.get("uuid"), str) and isinstance(suggestion, dict) and suggestion.get("uuid"):
                    return card["uuid"], suggestion["uuid"]
    return str(uuid4()), str(uuid4())


def feedback_item(service: Service) -> Request:
    """Return an item on a card of this service that was overridden."""
    return {"card": card_and_suggestion(service)[0], "outcome": "overridden", "outcomeTimestamp": _WHEN}


def _overridden(service: Service, title: str) -> Exchange:
    return service.feedback({"feedback": [feedback_item(service)]}, title)


def observe_offered(service: Service) -> None:
    """Raise NotTested where the server offers no feedback."""
    exchange = _overridden(service, "an overridden card: is feedback offered?")
    observe(exchange.status not in _NOT_OFFERED, "the server offers no feedback endpoint")
