"""Checks with conformant calls in all their variety: each must be answered."""

import json

from cds_hooks.tools.kit.contract.assertions import (
    expect_cards,
    expect_cards_or_412,
    expect_no_failure,
    in_row_of_field,
)
from cds_hooks.tools.kit.contract.definitions import HOOKS, fields_of
from cds_hooks.tools.kit.contract.document import SHOULD, NotTested
from cds_hooks.tools.kit.contract.registry import Faults, check_service
from cds_hooks.tools.kit.contract.requests import Request
from cds_hooks.tools.kit.contract.target import Service
from cds_hooks.tools.kit.simulator.chart import Resource

_USERS = {
    "patient-view": ("Practitioner", "PractitionerRole", "Patient", "RelatedPerson"),
    "appointment-book": ("Practitioner", "PractitionerRole", "Patient", "RelatedPerson"),
    "allergyintolerance-create": ("Practitioner",),
}
_TWO_CHOICES = {
    "medicationCodeableConcept": {"text": "Acetaminophen 500 mg oral tablet"},
    "medicationReference": {"reference": "Medication/contract-kit", "display": "Ibuprofen 400 mg"},
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


@check_service("REQ-03", level=SHOULD)
def a_hook_instance_may_be_in_upper_case(service: Service) -> Faults:
    """Take a UUID in either case and of any variant."""
    request = service.request()
    yield from expect_cards(
        service.send(request | {"hookInstance": request["hookInstance"].upper()}, "upper-case UUID")
    )


@check_service("REQ-03", level=SHOULD)
def a_hook_instance_may_come_again(service: Service) -> Faults:
    """Answer the same hookInstance again: clients retry, and share it among services."""
    request = service.request()
    service.send(request, "a hookInstance for the first time")
    yield from expect_cards(service.send(request, "the same hookInstance again"))


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


@check_service("REQ-14", "HK-order-select-draftOrders", level=SHOULD)
def drafts_may_be_charted_loosely(service: Service) -> Faults:
    """Read drafts leniently: Bundles come without type, entries without fullUrl, orders of kinds you do not judge."""
    drafts = _drafts(service)
    for title, bundle in {
        "draftOrders without Bundle.type": {key: value for key, value in drafts.items() if key != "type"},
        "draftOrders with a ServiceRequest besides": _with(drafts, _service_request(service)),
        "draftOrders with an entry that is not a draft": _with(drafts, _service_request(service, status="active")),
        "draftOrders with fullUrl": {
            **drafts,
            "entry": [
                draft | {"fullUrl": "urn:uuid:7f3c7d0a-3f53-4b8e-9a5d-0c2f4e6a8b10"} for draft in drafts["entry"]
            ],
        },
    }.items():
        yield from expect_cards(service.send(_drafting(service, bundle), title))


@check_service("REQ-14", "HK-order-select-draftOrders", level=SHOULD)
def strange_drafts_do_not_break_the_service(service: Service) -> Faults:
    """Answer or refuse, but do not fail: drafts without id or dose, with two medications, and empty Bundles are met."""
    drafts = _drafts(service)
    order = drafts["entry"][0]["resource"]
    bare = {key: value for key, value in order.items() if key not in ("id", "dosageInstruction")}
    extension = [{"url": "https://example.org/x", "valueCode": "y"}]
    for title, resource in {
        "a draft without id and dose": bare,
        "a draft with an extension": order | {"extension": extension},
        "a draft with two medications": order | _TWO_CHOICES,
    }.items():
        bundle = drafts | {"entry": [{"resource": resource}]}
        selected = [f"{resource['resourceType']}/{resource['id']}"] if resource.get("id") else []
        yield from expect_no_failure(service.send(_drafting(service, bundle, selected or None), title))
    empty = {key: value for key, value in drafts.items() if key != "entry"}
    yield from expect_no_failure(service.send(_drafting(service, empty), "draftOrders without entries"))


@check_service("HK-order-select-selections", level=SHOULD)
def a_selection_may_name_nothing(service: Service) -> Faults:
    """Judge what is in draftOrders and pass over a selection that names no entry of it."""
    if service.hook != "order-select":
        raise NotTested(f"{service.hook} has no selections")
    request = service.request()
    context = request["context"]
    selections = [*context["selections"], "MedicationRequest/contract-kit-not-there"]
    yield from expect_cards(
        service.send(request | {"context": context | {"selections": selections}}, "an unknown selection")
    )


def _drafts(service: Service) -> Resource:
    drafts = service.request()["context"].get("draftOrders") if service.hook in ("order-select", "order-sign") else None
    if not isinstance(drafts, dict):
        raise NotTested(f"{service.hook} has no draftOrders")
    return drafts


def _drafting(service: Service, bundle: Resource, selections: list[str] | None = None) -> Request:
    request = service.request()
    context = request["context"] | {"draftOrders": bundle}
    if selections is not None and "selections" in context:
        context["selections"] = selections
    return request | {"context": context}


def _with(bundle: Resource, resource: Resource) -> Resource:
    return bundle | {"entry": [*bundle["entry"], {"resource": resource}]}


def _service_request(service: Service, status: str = "draft") -> Resource:
    return {
        "resourceType": "ServiceRequest",
        "id": "contract-kit-service-request",
        "status": status,
        "intent": "order",
        "code": {"text": "Chest X-ray"},
        "subject": {"reference": f"Patient/{service.base.sent['context']['patientId']}"},
    }


@check_service("REQ-14", "HK-order-select-draftOrders", level=SHOULD)
def long_ids_of_drafts_are_taken(service: Service) -> Faults:
    """Take ids of drafts as the client made them: 194 characters are met, and the id is only a name to give back."""
    drafts = _drafts(service)
    order = drafts["entry"][0]["resource"] | {"id": _LONG_ID}
    bundle = drafts | {"entry": [{"resource": order}]}
    selected = [f"{order['resourceType']}/{_LONG_ID}"]
    yield from expect_cards(service.send(_drafting(service, bundle, selected), "a draft with an id of 194 characters"))


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


@check_service("REQ-14", "HK-order-select-draftOrders", level=SHOULD)
def drafts_of_the_public_sandbox_are_taken(service: Service) -> Faults:
    """Take drafts as the public sandbox sends them: no intent, a dose as in STU3, a reason that is not an array."""
    _drafts(service)  # NotTested where the hook has none
    patient = service.base.sent["context"]["patientId"]
    name = "Acetaminophen 500 MG Oral Tablet"
    coding = {"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "198440", "display": name}
    # cds-hooks/sandbox, src/reducers/medication-reducers.js, createFhirResource
    order = {
        "resourceType": "MedicationRequest",
        "id": "request-123",
        "authoredOn": service.as_of.date().isoformat(),
        "status": "draft",
        "subject": {"reference": f"Patient/{patient}"},
        "dosageInstruction": [
            {
                "doseQuantity": {"value": 1, "system": "http://unitsofmeasure.org", "code": "{pill}"},
                "timing": {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d"}},
            }
        ],
        "medicationCodeableConcept": {"text": name, "coding": [coding]},
        "reasonCode": {"coding": [{"system": "http://snomed.info/sct", "code": "82423001"}], "text": "Chronic pain"},
    }
    no_dose = {name: value for name, value in order.items() if name not in ("dosageInstruction", "reasonCode")}
    titles = {"a draft as the public sandbox sends it": order, "the same before a dose is chosen": no_dose}
    for title, draft in titles.items():
        bundle = {"resourceType": "Bundle", "entry": [{"resource": draft}]}
        yield from expect_cards(service.send(_drafting(service, bundle, ["MedicationRequest/request-123"]), title))
