"""The feedback endpoint: the published forms are taken, broken ones refused."""

from typing import Any, Final
from uuid import uuid4

from cds_hooks.kit.contract.assertions import expect_refusal
from cds_hooks.kit.contract.connection import Exchange
from cds_hooks.kit.contract.document import SHOULD, NotTested, observe
from cds_hooks.kit.contract.registry import Faults, check_server, check_service
from cds_hooks.kit.contract.requests import Request
from cds_hooks.kit.contract.target import Service, Target

_WHEN: Final = "2024-05-17T10:05:31Z"
_CODING: Final = {"code": "contract-kit-reason", "system": "https://example.org/contract-kit/override-reasons"}
_NOT_OFFERED: Final = (404, 405, 501)


@check_service("FB-01", "FB-03", "FB-04", level=SHOULD)
def feedback_is_offered_or_404(service: Service) -> Faults:
    """Take feedback at the service's URL and /feedback, or answer 404 where it is not offered."""
    exchange = _overridden(service, "an overridden card")
    if not exchange.ok and exchange.status not in _NOT_OFFERED:
        yield exchange.fault(exchange.answer)


@check_service("FB-01", "CARD-01", level=SHOULD)
def cards_with_uuid_have_feedback(service: Service) -> Faults:
    """Take feedback where cards carry a uuid: it is there for feedback alone, and clients send it."""
    cards = [card for call in service.calls for card in call.exchange.cards or [] if isinstance(card, dict)]
    observe(any(card.get("uuid") for card in cards), f"{service.id} answered no card with a uuid")
    exchange = _overridden(service, "an overridden card, because cards have a uuid")
    if exchange.status in _NOT_OFFERED:
        yield exchange.fault(f"{exchange.answer}, but cards have a uuid")


@check_service("FB-04", "FB-05", "FB-06", "FB-07", "FB-08")
def an_accepted_suggestion_is_taken(service: Service) -> Faults:
    """Take the published form of an accepted suggestion."""
    card, suggestion = _uuids(service)
    item = {"card": card, "outcome": "accepted", "acceptedSuggestions": [{"id": suggestion}], "outcomeTimestamp": _WHEN}
    yield from _accepted(service, {"feedback": [item]}, "an accepted suggestion")


@check_service("FB-09", "FB-06")
def an_overridden_card_is_taken(service: Service) -> Faults:
    """Take an overridden card without a reason: overrideReason is optional."""
    yield from _item_accepted(service, "an overridden card without reason")


@check_service("FB-10", "CARD-18")
def an_override_reason_is_taken(service: Service) -> Faults:
    """Take a reason with code and system: display may be missing, and the code may be the client's own."""
    reason = {"reason": _CODING, "userComment": "Contract kit: said by the clinician."}
    yield from _item_accepted(service, "an override reason and a comment", overrideReason=reason)
    reason = {"reason": _CODING | {"display": "Contract kit"}}
    yield from _item_accepted(service, "an override reason with display", overrideReason=reason)


@check_service("FB-11", level=SHOULD)
def a_comment_alone_is_taken(service: Service) -> Faults:
    """Take a userComment without a reason."""
    yield from _item_accepted(
        service, "a comment without reason", overrideReason={"userComment": "Contract kit: said by the clinician."}
    )


@check_service("FB-12")
def an_instant_may_have_a_fraction(service: Service) -> Faults:
    """Take instants with a fraction of a second, as RFC 3339 allows."""
    yield from _item_accepted(service, "a timestamp with a fraction", outcomeTimestamp="2024-05-17T10:05:31.123Z")


@check_service("FB-15", level=SHOULD)
def several_items_are_taken(service: Service) -> Faults:
    """Take several items in one call, and the same one twice."""
    item = _item(service)
    yield from _accepted(service, {"feedback": [item, item, _item(service, card=str(uuid4()))]}, "the same item twice")


@check_service("FB-17", level=SHOULD)
def an_unknown_card_does_not_fail_the_batch(service: Service) -> Faults:
    """Answer 2xx for a card you do not know: the rest of the batch counts."""
    yield from _item_accepted(service, "an unknown card", card=str(uuid4()))


@check_service("GEN-10", level=SHOULD)
def unknown_members_of_feedback_are_tolerated(service: Service) -> Faults:
    """Ignore members of feedback that you do not know, and any extension."""
    item = _item(service, contractKitUnknown=[1], extension={"com.example.contract-kit": 1})
    yield from _accepted(service, {"feedback": [item], "contractKitUnknown": {}}, "unknown members")


@check_service("GEN-01")
def feedback_that_is_not_json_is_refused(service: Service) -> Faults:
    """Refuse feedback that is not valid JSON."""
    yield from _refused(service, b'{"feedback": [', "half a document")


@check_service("FB-04", level=SHOULD)
def feedback_is_an_array(service: Service) -> Faults:
    """Refuse a body without an array named feedback."""
    yield from _refused(service, {}, "no feedback")
    yield from _refused(service, {"feedback": "text"}, "a string as feedback")
    yield from _refused(service, {"feedback": [17]}, "a number as item")


@check_service("FB-05", level=SHOULD)
def an_item_names_its_card(service: Service) -> Faults:
    """Refuse an item without card, or with one that is not a string."""
    yield from _refused(service, _lacking(service, "card"), "an item without card")
    yield from _item_refused(service, "a number as card", card=17)


@check_service("FB-06", level=SHOULD)
def an_outcome_is_one_of_two(service: Service) -> Faults:
    """Refuse an outcome that is missing or neither accepted nor overridden: there is no word for ignored."""
    yield from _refused(service, _lacking(service, "outcome"), "an item without outcome")
    yield from _item_refused(service, "outcome ignored", outcome="ignored")


@check_service("FB-07", level=SHOULD)
def what_was_accepted_is_named(service: Service) -> Faults:
    """Refuse accepted without acceptedSuggestions."""
    yield from _item_refused(service, "accepted without suggestions", outcome="accepted")


@check_service("FB-08", level=SHOULD)
def an_accepted_suggestion_is_an_object(service: Service) -> Faults:
    """Refuse accepted suggestions that are strings instead of objects with id."""
    yield from _item_refused(
        service, "accepted suggestions as strings", outcome="accepted", acceptedSuggestions=[str(uuid4())]
    )
    yield from _item_refused(
        service, "an accepted suggestion without id", outcome="accepted", acceptedSuggestions=[{"uuid": str(uuid4())}]
    )


@check_service("FB-12", level=SHOULD)
def an_outcome_has_its_instant(service: Service) -> Faults:
    """Refuse an item without outcomeTimestamp, or with a date or words in its place."""
    yield from _refused(service, _lacking(service, "outcomeTimestamp"), "an item without outcomeTimestamp")
    for wrong in ("2024-05-17", "yesterday", 1715940331):
        yield from _item_refused(service, f"outcomeTimestamp {wrong}", outcomeTimestamp=wrong)


@check_service("FB-19", level=SHOULD)
def an_override_reason_is_not_empty(service: Service) -> Faults:
    """Refuse an empty overrideReason: it holds a reason, a comment or both."""
    yield from _item_refused(service, "an empty overrideReason", overrideReason={})


@check_service("FB-10", level=SHOULD)
def a_reason_has_a_code(service: Service) -> Faults:
    """Refuse a reason that is a string or has no code."""
    for title, reason in {"a string": "too busy", "a Coding without code": {"system": _CODING["system"]}}.items():
        yield from _item_refused(service, f"{title} as reason", overrideReason={"reason": reason})


@check_service("EPIC-09", dialect="epic")
def override_reasons_are_read_as_override_reason(service: Service) -> Faults:
    """Read overrideReasons like overrideReason, with a reason or with Epic's extension in it."""
    chosen = {"reason": _CODING | {"display": "bad"}, "userComment": "Contract kit"}
    built = {
        "extension": {
            "com.epic.cdshooks.feedback.overrideReason.reasonCategory": "45",
            "com.epic.cdshooks.feedback.overrideReason.reasonDisplay": "Does not meet criteria",
            "com.epic.cdshooks.feedback.overrideReason.reasonTitle": "Does not meet criteria",
        },
        "userComment": "Contract kit",
    }
    for title, reasons in {"a reason": chosen, "an extension": built}.items():
        yield from _item_accepted(service, f"overrideReasons with {title}", overrideReasons=reasons)


@check_server("FB-01", level=SHOULD)
def feedback_on_an_unknown_service_is_404(target: Target) -> Faults:
    """Answer feedback for an id that discovery does not list with 404."""
    _offered(target.any_service)
    body = {"feedback": [{"card": str(uuid4()), "outcome": "overridden", "outcomeTimestamp": _WHEN}]}
    path = f"{target.root}/contract-kit-no-such-service/feedback"
    yield from expect_refusal(target.connection.post(path, body, "feedback on an unknown service", broken=True))


def _uuids(service: Service) -> tuple[str, str]:
    """Return a card and a suggestion of it that this service has sent; invented ones where it sent none."""
    for call in service.calls:
        for card in call.exchange.cards or []:
            for suggestion in card.get("suggestions") or [] if isinstance(card, dict) else []:
                if isinstance(card.get("uuid"), str) and isinstance(suggestion, dict) and suggestion.get("uuid"):
                    return card["uuid"], suggestion["uuid"]
    return str(uuid4()), str(uuid4())


def _item(service: Service, **members: Any) -> Request:
    return {"card": _uuids(service)[0], "outcome": "overridden", "outcomeTimestamp": _WHEN} | members


def _lacking(service: Service, name: str) -> Request:
    return {"feedback": [{key: value for key, value in _item(service).items() if key != name}]}


def _overridden(service: Service, title: str) -> Exchange:
    return service.feedback({"feedback": [_item(service)]}, title)


def _offered(service: Service) -> None:
    if _overridden(service, "an overridden card: is feedback offered?").status in _NOT_OFFERED:
        raise NotTested("the server offers no feedback endpoint")


def _item_accepted(service: Service, title: str, **members: Any) -> Faults:
    yield from _accepted(service, {"feedback": [_item(service, **members)]}, title)


def _item_refused(service: Service, title: str, **members: Any) -> Faults:
    yield from _refused(service, {"feedback": [_item(service, **members)]}, title)


def _accepted(service: Service, body: Any, title: str) -> Faults:
    _offered(service)
    exchange = service.feedback(body, title)
    if not exchange.ok:
        yield exchange.fault(exchange.answer)


def _refused(service: Service, body: Any, title: str) -> Faults:
    _offered(service)
    yield from expect_refusal(service.feedback(body, title, broken=True))
