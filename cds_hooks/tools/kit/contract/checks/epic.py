"""Epic's ways: what it sends is read, what it cannot show is not sent.

Source: the project's note on EHR dialects (section 1) and the CDS Hooks page of fhir.epic.com (public copy).
"""

import re
from typing import Final

from cds_hooks.tools.kit.contract.assertions import expect_cards, expect_same_cards
from cds_hooks.tools.kit.contract.document import SHOULD, Node, NotTested, Subject, observe, quoted
from cds_hooks.tools.kit.contract.registry import Faults, check_part, check_service
from cds_hooks.tools.kit.contract.requests import EPIC_EXTENSION, EPIC_TRIGGER, NOTHING_FOUND, with_object_categories
from cds_hooks.tools.kit.contract.target import Service

EPIC: Final = "epic"
_TOPIC: Final = re.compile(r"[A-Za-z0-9]{1,100}")
# Any of Epic's own triggers; these are admission, discharge and transfer.
_TRIGGERS: Final = ("26", "27", "29")


@check_part(Subject.SUGGESTION, "EPIC-01", level=SHOULD, dialect=EPIC)
def a_suggestion_has_one_action(suggestion: Node) -> Faults:
    """Send one action with each suggestion, and a replacement as one create."""
    count = len(list(suggestion.objects("actions")))
    if count > 1:
        yield suggestion.at("actions").fault(f"{count} actions")


@check_part(Subject.CARD, "EPIC-02", level=SHOULD, dialect=EPIC)
def selection_behavior_is_any(card: Node) -> Faults:
    """Send selectionBehavior any: Epic supports no other."""
    if card.has("suggestions") and card.text("selectionBehavior") != "any":
        yield card.at("selectionBehavior").fault(f"selectionBehavior is {quoted(card.at('selectionBehavior').value)}")


@check_part(Subject.CARD, "EPIC-04", level=SHOULD, dialect=EPIC)
def a_card_has_a_topic_code(card: Node) -> Faults:
    """Send a static alphanumeric source.topic.code of at most 100 characters: overrides are counted on it."""
    topic = card.at("source").at("topic")
    if not _TOPIC.fullmatch(topic.text("code")):
        yield topic.at("code").fault(f"source.topic.code is {quoted(topic.at('code').value)}")


@check_service("EPIC-06", dialect=EPIC)
def category_as_an_object_is_read(service: Service) -> Faults:
    """Read category as an object like an array of one: the advice is the same."""
    for call in service.calls:
        prefetch = call.sent.get("prefetch", {})
        shaped = {key: with_object_categories(value) for key, value in prefetch.items()}
        if shaped != prefetch:
            break
    else:
        raise NotTested(f"{service.id} asks for nothing that has a category")
    exchange = service.send_as_is(service.as_new(call.sent) | {"prefetch": shaped}, "category as an object")
    plain = service.send_as_is(service.as_new(call.sent), "category as an array")
    yield from expect_same_cards(exchange, plain, "category as an array")


@check_service("EPIC-07", dialect=EPIC)
def an_empty_search_of_epic_means_none_found(service: Service) -> Faults:
    """Read a Bundle of total 0 with the outcome 4101 like one without entries, not as a failure."""
    prefetch, searches = service.prefetch(), service.search_keys()
    observe(searches, f"{service.id} searches for nothing")
    empty = {"resourceType": "Bundle", "type": "searchset", "total": 0}
    for key in searches:
        request = service.request() | {"prefetch": prefetch | {key: empty | {"entry": [NOTHING_FOUND]}}}
        exchange = service.send_as_is(request, f"prefetch.{key} empty in Epic's way")
        plain = service.send_as_is(service.request() | {"prefetch": prefetch | {key: empty}}, f"prefetch.{key} empty")
        yield from expect_same_cards(exchange, plain, "a Bundle without entries")


@check_service("EPIC-08", dialect=EPIC)
def other_triggers_as_patient_view_are_taken(service: Service) -> Faults:
    """Answer patient-view whatever native trigger the extension names."""
    if service.hook != "patient-view":
        raise NotTested(f"Epic sends its other triggers as patient-view, not as {service.hook}")
    for trigger in _TRIGGERS:
        request = service.dialect.shape(service.request()) | {"extension": EPIC_EXTENSION | {EPIC_TRIGGER: trigger}}
        yield from expect_cards(service.send_as_is(request, f"trigger action {trigger}"))
