"""Checks with conformant calls in all their variety: each must be answered."""

import json

from cds_hooks.tools.kit.contract.assertions import (
    expect_cards,
    expect_cards_or_412,
    in_row_of_field,
)
from cds_hooks.tools.kit.contract.definitions import HOOKS, fields_of
from cds_hooks.tools.kit.contract.document import SHOULD, NotTested
from cds_hooks.tools.kit.contract.registry import Faults, check_service
from cds_hooks.tools.kit.contract.target import Service

_USERS = {
    "patient-view": ("Practitioner", "PractitionerRole", "Patient", "RelatedPerson"),
    "appointment-book": ("Practitioner", "PractitionerRole", "Patient", "RelatedPerson"),
    "allergyintolerance-create": ("Practitioner",),
}
_LONG_ID = "draft-" + "x" * 188  # 194 characters, as in an example of the specification (trap 35)
_LONG_END = "-" + "x" * 100


@check_service("RESP-01")
def a_conformant_call_is_answered(service: Service) -> Faults:
    """Answer a conformant call with 200; 412 is for data that is missing, and here all of it is sent."""
    if service.hook not in HOOKS and not any(call.exchange.cards is not None for call in service.calls):
        raise NotTested(f"what {service.hook} carries in its context is not in the hook library")
    for call in service.calls:
        if call.is_refused:
            yield call.exchange.fault(call.exchange.answer)


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
    if not any(field.name == "userId" for field in fields_of(service.hook)):
        raise NotTested(f"{service.hook} has no user in the library")
    for kind in _USERS.get(service.hook, ("Practitioner", "PractitionerRole")):
        request = service.request()
        identifier = request["context"]["patientId"] if kind == "Patient" else "contract-kit-user"
        context = request["context"] | {"userId": f"{kind}/{identifier}"}
        exchange = service.send(request | {"context": context}, f"the user is a {kind}")
        yield from in_row_of_field(service, "userId", expect_cards(exchange))


@check_service("HK-patient-view-encounterId")
def optional_context_may_be_missing(service: Service) -> Faults:
    """Answer without the optional fields of the context: no encounter means none is open."""
    optional = [field.name for field in fields_of(service.hook) if not field.required]
    if not optional:
        raise NotTested(f"{service.hook} has no optional field")
    request = service.request()
    context = {name: value for name, value in request["context"].items() if name not in optional}
    exchange = service.send(request | {"context": context}, f"without {', '.join(optional)}")
    yield from in_row_of_field(service, optional[0], expect_cards_or_412(exchange))


@check_service("REQ-14", level=SHOULD)
def long_ids_of_the_chart_are_taken(service: Service) -> Faults:
    """Take ids as the client made them, of patient, encounter and resources: some are longer than FHIR's 64."""
    request = service.request()
    patient = request["context"]["patientId"]
    renamed = json.dumps(request).replace(f'"{patient}"', f'"{patient}{_LONG_END}"')
    renamed = renamed.replace(f'"Patient/{patient}"', f'"Patient/{patient}{_LONG_END}"')
    yield from expect_cards(service.send(service.as_new(json.loads(renamed)), "a patient id of over 64 characters"))
    if "encounterId" in request["context"]:
        context = request["context"] | {"encounterId": _LONG_ID}
        yield from expect_cards_or_412(
            service.send(request | {"context": context}, "an encounter id of 194 characters")
        )
    for key in service.search_keys() if request.get("prefetch") else ():
        prefetch = service.prefetch()
        for entry in prefetch[key].get("entry", [])[-1:]:
            entry["resource"]["id"] = _LONG_ID
            title = f"prefetch.{key} holds an id of 194 characters"
            yield from expect_cards(service.send(service.request() | {"prefetch": prefetch}, title))
