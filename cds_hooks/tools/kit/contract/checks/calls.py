"""Checks with changed calls: those that conform, those that a good server refuses, data that is missing or strange.

What a row can say is in `tries.csv`. Epic's ways: the project's note on EHR dialects (section 1) and the CDS Hooks
page of fhir.epic.com (public copy).
"""

import json
from typing import Any, Final

from cds_hooks.tools.kit.contract.assertions import expect, expect_same_cards, in_row_of_field
from cds_hooks.tools.kit.contract.definitions import HOOKS, fields_of
from cds_hooks.tools.kit.contract.document import SHOULD, NotTested, observe
from cds_hooks.tools.kit.contract.registry import Faults, check_service
from cds_hooks.tools.kit.contract.requests import NOTHING_FOUND, with_object_categories
from cds_hooks.tools.kit.contract.target import Service

_USERS = {
    "patient-view": ("Practitioner", "PractitionerRole", "Patient", "RelatedPerson"),
    "appointment-book": ("Practitioner", "PractitionerRole", "Patient", "RelatedPerson"),
    "allergyintolerance-create": ("Practitioner",),
}
_LONG_ID = "draft-" + "x" * 188  # 194 characters, as in an example of the specification (trap 35)
_LONG_END = "-" + "x" * 100


@check_service("RESP-01", "DISC-07", "DISC-17")
def a_conformant_call_is_answered(service: Service) -> Faults:
    """Serve each listed id at {baseUrl}/cds-services/{id}, and answer a conformant call with 200 and a cards array.

    412 is for data that is missing, and here all of it is sent.
    """
    is_known = service.hook in HOOKS or any(call.exchange.cards is not None for call in service.calls)
    for call in service.calls:
        exchange = call.exchange
        if call.is_refused and (is_known or exchange.status in (404, 405)):
            yield exchange.fault(exchange.answer)
        elif is_known and exchange.ok and exchange.cards is None:
            yield exchange.fault(f"{exchange.answer} without a cards array")
    observe(is_known, f"what {service.hook} carries in its context is not in the hook library")


@check_service("CARD-01", "SUG-02", level=SHOULD)
def a_uuid_is_never_used_again(service: Service) -> Faults:
    """Make a new uuid for each card and suggestion of each answer: feedback names nothing else."""
    owners: dict[str, str] = {}
    for call in service.calls:
        for card in call.exchange.response.objects("cards"):
            for node in (card, *card.objects("suggestions")):
                owner = owners.setdefault(node.text("uuid"), call.about)
                if node.text("uuid") and owner != call.about:
                    yield call.exchange.fault(f"also used for {owner}", node.at("uuid").location)


@check_service("HK-patient-view-userId")
def every_kind_of_user_is_taken(service: Service) -> Faults:
    """Take every user type that the hook allows: practitioner, role, patient and related person."""
    observe(
        any(field.name == "userId" for field in fields_of(service.hook)), f"{service.hook} has no user in the library"
    )
    for kind in _USERS.get(service.hook, ("Practitioner", "PractitionerRole")):
        identifier = service.base.chart.patient_id if kind == "Patient" else "contract-kit-user"
        exchange = service.send(service.request(userId=f"{kind}/{identifier}"), f"the user is a {kind}")
        yield from in_row_of_field(service, "userId", expect("answered", exchange))


@check_service("HK-patient-view-encounterId")
def optional_context_may_be_missing(service: Service) -> Faults:
    """Answer without the optional fields of the context: no encounter means none is open."""
    optional = [field.name for field in fields_of(service.hook) if not field.required]
    observe(optional, f"{service.hook} has no optional field")
    request = service.request()
    for name in optional:
        request["context"].pop(name, None)
    exchange = service.send(request, f"without {', '.join(optional)}")
    yield from in_row_of_field(service, optional[0], expect("answered or 412", exchange))


@check_service("REQ-14", level=SHOULD)
def long_ids_of_the_chart_are_taken(service: Service) -> Faults:
    """Take ids as the client made them, of patient, encounter and resources: some are longer than FHIR's 64."""
    request = service.request()
    patient = request["context"]["patientId"]
    renamed = json.dumps(request).replace(f'"{patient}"', f'"{patient}{_LONG_END}"')
    renamed = renamed.replace(f'"Patient/{patient}"', f'"Patient/{patient}{_LONG_END}"')
    yield from expect(
        "answered", service.send(service.as_new(json.loads(renamed)), "a patient id of over 64 characters")
    )
    if "encounterId" in request["context"]:
        changed = service.request(encounterId=_LONG_ID)
        yield from expect("answered or 412", service.send(changed, "an encounter id of 194 characters"))
    for key in service.search_keys() if request.get("prefetch") else ():
        bundle = service.prefetch()[key]
        for entry in bundle.get("entry", [])[-1:]:
            entry["resource"]["id"] = _LONG_ID
            title = f"prefetch.{key} holds an id of 194 characters"
            yield from expect("answered", service.send(service.with_value(key, bundle), title))


_WRONG: Final[dict[str, Any]] = {"string": 17, "object": "text", "array": "text"}


@check_service("HK-patient-view-patientId", level=SHOULD)
def required_context_is_there(service: Service) -> Faults:
    """Refuse a call that lacks a required field of its context, or has it of another type: advice would be a guess."""
    required = [field for field in fields_of(service.hook) if field.required]
    observe(required, f"the context of {service.hook} is not in the hook library")
    for field in required:
        request, wrong = service.request(), _WRONG[field.type]
        request["context"].pop(field.name, None)
        title = f"{service.hook} with context.{field.name}"
        for exchange in (
            service.send(request, title.replace("with", "without", 1), broken=True),
            service.send(service.request(**{field.name: wrong}), f"{title} as {type(wrong).__name__}", broken=True),
        ):
            yield from in_row_of_field(service, field.name, expect("refused", exchange))


@check_service("GEN-01", level=SHOULD)
def deep_nesting_does_not_break_the_server(service: Service) -> Faults:
    """Bound the depth of what you read: a body of brackets must not take a worker down."""
    exchange = service.send_as_is(b"[" * 100_000, "body is 100,000 open brackets", broken=True)
    yield from expect("refused", exchange)
    second_exchange = service.send(service.request(), "a call after the nested one")
    if not second_exchange.ok:
        yield second_exchange.fault(second_exchange.answer)


@check_service("PRE-06", level=SHOULD)
def a_bundle_is_a_bundle(service: Service) -> Faults:
    """Refuse a Bundle whose entry is not an array, or say what could not be read: nothing in it was looked at."""
    keys = service.search_keys()
    observe(keys, f"{service.id} is sent no Bundle")
    for key in keys:
        empty = service.send(service.with_value(key, _EMPTY), f"prefetch.{key} is empty")
        if empty.advice != service.base.exchange.advice:
            broken = service.with_value(key, _EMPTY | {"entry": "none"})
            exchange = service.send(broken, f"prefetch.{key} has text as entry")
            if exchange.ok and exchange.statement == empty.statement:
                yield exchange.fault(f"{exchange.answer}, as if the search had found nothing")


_EMPTY: Final = {"resourceType": "Bundle", "type": "searchset", "total": 0}
_STRANGER: Final = {"reference": "Patient/contract-kit-another-patient"}


@check_service("PRE-13", "RESP-05", level=SHOULD)
def missing_data_is_not_passed_over_in_silence(service: Service) -> Faults:
    """Answer 412, or say on a card or in extension what is missing: an empty list says that nothing was found."""
    service.prefetch()
    observe(service.base.exchange.cards, f"{service.id} has no card for any of these patients")
    request = service.request()
    del request["prefetch"]
    exchange = service.send(request, "without prefetch and without FHIR access")
    value = exchange.document.value
    if exchange.cards == [] and isinstance(value, dict) and "extension" not in value:
        yield exchange.fault("no data at all is answered like a patient without findings")


@check_service("PRE-04", level=SHOULD)
def the_results_of_another_patient_are_refused(service: Service) -> Faults:
    """Refuse a call with a result, condition or order of another patient, or leave that resource out of the advice."""
    for key in service.search_keys():
        bundle = service.prefetch()[key]
        entries = [entry for entry in bundle.get("entry", []) if "reference" in entry["resource"].get("subject", {})]
        if entries:
            resources = [entry["resource"] | {"subject": _STRANGER} for entry in entries]
            moved = bundle | {"entry": [{"resource": resource} for resource in resources]}
            title = f"prefetch.{key} is about another patient"
            exchange = service.send(service.with_value(key, moved), title, broken=True)
            # Passing over every stranger's resource is a right answer too: then all is as if the search had found none.
            without = service.send(service.with_value(key, _EMPTY), f"prefetch.{key} is empty")
            if exchange.status < 400 and exchange.advice != without.advice:
                yield exchange.fault(f"{exchange.answer} with advice from another patient's data")


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
    searches = service.search_keys()
    observe(searches, f"{service.id} searches for nothing")
    for key in searches:
        request = service.with_value(key, _EMPTY | {"entry": [NOTHING_FOUND]})
        exchange = service.send_as_is(request, f"prefetch.{key} empty in Epic's way")
        plain = service.send_as_is(service.with_value(key, _EMPTY), f"prefetch.{key} empty")
        yield from expect_same_cards(exchange, plain, "a Bundle without entries")
