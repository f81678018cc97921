"""Epic's ways: what it sends is read, what it cannot show is not sent.

Source: the project's note on EHR dialects (section 1) and the CDS Hooks page of fhir.epic.com (public copy).
"""

from typing import Final

from cds_hooks.tools.kit.contract.assertions import expect_same_cards
from cds_hooks.tools.kit.contract.document import NotTested, observe
from cds_hooks.tools.kit.contract.registry import Faults, check_service
from cds_hooks.tools.kit.contract.requests import NOTHING_FOUND, with_object_categories
from cds_hooks.tools.kit.contract.target import Service

EPIC: Final = "epic"


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
