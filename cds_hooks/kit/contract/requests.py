"""Builds conformant hook requests from an entry of discovery and a patient's chart."""

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

from cds_hooks.kit.contract.charts import USER, DraftOrder, PatientChart, copy_with
from cds_hooks.kit.contract.dialects import Request
from cds_hooks.kit.simulator.chart import Resource
from cds_hooks.kit.simulator.fhir_search import prefetch_from
from cds_hooks.kit.simulator.request import fhir_authorization
from cds_hooks.kit.simulator.templates import TOKEN

Context = dict[str, Any]
Contexts = Iterator[tuple[str, Context]]


def contexts_for(hook: str, chart: PatientChart) -> Contexts:
    """Yield one context or several for this hook and chart, each with a title.

    A hook that is not in the library gets user, patient and encounter, which may not be what it needs.
    """
    return _CONTEXTS.get(hook, _plain)(chart)


def drafts_bundle(drafts: tuple[DraftOrder, ...]) -> Resource:
    """Return the Bundle for `draftOrders`: the orders and the resources that they refer to."""
    resources = [resource for draft in drafts for resource in (draft.order, *draft.beside)]
    return bundle_of(resources)


def bundle_of(resources: list[Resource]) -> Resource:
    """Return a collection Bundle as hooks carry it."""
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": resource} for resource in resources]}


def encounter_of(chart: PatientChart) -> Resource | None:
    """Return the encounter a user would be in: the last one of the chart."""
    return max(
        chart.resources_of_type("Encounter"),
        key=lambda encounter: str(encounter.get("period", {}).get("start", "")),
        default=None,
    )


def _base(chart: PatientChart) -> Context:
    encounter = encounter_of(chart)
    context = {"userId": f"Practitioner/{USER['id']}", "patientId": chart.patient_id}
    return context | ({"encounterId": encounter["id"]} if encounter and encounter.get("id") else {})


def _plain(chart: PatientChart) -> Contexts:
    yield chart.name, _base(chart)


def _encounter(chart: PatientChart) -> Contexts:
    yield chart.name, {"encounterId": "contract-kit-encounter"} | _base(chart)


def _order_select(chart: PatientChart) -> Contexts:
    for draft in chart.drafts:
        orders = {"selections": [draft.reference], "draftOrders": drafts_bundle((draft,))}
        yield f"{chart.name}, {draft.name} drafted", _base(chart) | orders


def _order_sign(chart: PatientChart) -> Contexts:
    for draft in chart.drafts:
        yield f"{chart.name}, {draft.name} drafted", _base(chart) | {"draftOrders": drafts_bundle((draft,))}


def _order_dispatch(chart: PatientChart) -> Contexts:
    context = _base(chart)
    del context["userId"]
    orders = [order for order in chart.resources_of_type("ServiceRequest") if order.get("id")]
    reference = f"ServiceRequest/{orders[0]['id']}"
    performer = {"dispatchedOrders": [reference], "performer": "Organization/contract-kit-performer"}
    yield chart.name, {"patientId": chart.patient_id} | performer


def _appointment_book(chart: PatientChart) -> Contexts:
    appointment = {
        "resourceType": "Appointment",
        "id": "contract-kit-appointment",
        "status": "proposed",
        "participant": [{"actor": {"reference": f"Patient/{chart.patient_id}"}, "status": "accepted"}],
    }
    yield chart.name, _base(chart) | {"appointments": bundle_of([appointment])}


def _allergy_create(chart: PatientChart) -> Contexts:
    allergy = {
        "resourceType": "AllergyIntolerance",
        "id": "contract-kit-allergy",
        "code": {"text": "Penicillin"},
        "patient": {"reference": f"Patient/{chart.patient_id}"},
    }
    yield chart.name, _base(chart) | {"allergyIntolerance": allergy}


def _problem_create(chart: PatientChart) -> Contexts:
    category = {"system": "http://terminology.hl7.org/CodeSystem/condition-category", "code": "problem-list-item"}
    condition = {
        "resourceType": "Condition",
        "id": "contract-kit-problem",
        "category": [{"coding": [category]}],
        "code": {"text": "Gout"},
        "subject": {"reference": f"Patient/{chart.patient_id}"},
    }
    yield chart.name, _base(chart) | {"conditions": bundle_of([condition])}


def _medication_refill(chart: PatientChart) -> Contexts:
    for draft in chart.drafts[:1]:
        yield chart.name, _base(chart) | {"medications": drafts_bundle((draft,))}


def _medication_verify(chart: PatientChart) -> Contexts:
    for draft in chart.drafts[:1]:
        yield chart.name, _base(chart) | {"medication": copy_with(draft.order, status="active")}


def _order_review(chart: PatientChart) -> Contexts:
    for draft in chart.drafts[:1]:
        yield chart.name, _base(chart) | {"orders": drafts_bundle((draft,))}


_CONTEXTS: Final[dict[str, Callable[[PatientChart], Contexts]]] = {
    "patient-view": _plain,
    "order-select": _order_select,
    "order-sign": _order_sign,
    "order-dispatch": _order_dispatch,
    "encounter-start": _encounter,
    "encounter-discharge": _encounter,
    "appointment-book": _appointment_book,
    "allergyintolerance-create": _allergy_create,
    "problem-list-item-create": _problem_create,
    "medication-refill": _medication_refill,
    "medication-verify": _medication_verify,
    "medication-prescribe": _medication_refill,
    "order-review": _order_review,
}


KIT_AUTHORIZATION: Final = fhir_authorization("contract-kit-token", scope="user/*.read", subject="contract-kit")


def new_hook_instance() -> str:
    """Return a new hookInstance."""
    return str(uuid4())


def conformant_requests(entry: dict[str, Any], chart: PatientChart, as_of: datetime) -> Iterator[tuple[str, Request]]:
    """Yield conformant requests (2.0.1, published form) for one entry of discovery, each with a title."""
    for about, context in contexts_for(str(entry["hook"]), chart):
        request: Request = {"hook": entry["hook"], "hookInstance": new_hook_instance(), "context": context}
        prefetch = prefetch_from([*chart.resources, USER], _templates(entry), context, as_of.date())
        yield about, request | ({"prefetch": prefetch} if prefetch else {})


def unfilled_keys(entry: dict[str, Any], request: Request) -> frozenset[str]:
    """Return the prefetch keys of the entry that a conformant request leaves out: a token of theirs has no value."""
    return frozenset(_templates(entry)) - frozenset(request.get("prefetch", {}))


def with_guessed_keys(entry: dict[str, Any], chart: PatientChart, request: Request, as_of: datetime) -> Request:
    """Return the request with what its unfilled keys probably mean, so that the rest of the service can be tested.

    A token that names no field of the context is taken for the encounter, the user or the patient by its words.
    """
    context = request["context"]
    missing = unfilled_keys(entry, request)
    guessed = {key: _guess(str(text), context) for key, text in _templates(entry).items() if key in missing}
    values = prefetch_from([*chart.resources, USER], guessed, context, as_of.date())
    return request | {"prefetch": request.get("prefetch", {}) | values}


def _guess(template: str, context: Context) -> str:
    fields = {name.lower(): value for name, value in context.items() if isinstance(value, str)}

    def value_of(match: re.Match[str]) -> str:
        token = match[1].lower().removeprefix("context.")
        if "date" in token or "today" in token:
            return "1900-01-01"
        kind = next((kind for kind in ("encounter", "user") if kind in token), "patient")
        value = fields.get(token) or fields.get(f"{kind}id") or fields["patientid"]
        return value.rpartition("/")[2]

    return TOKEN.sub(value_of, template)


def _templates(entry: dict[str, Any]) -> dict[str, Any]:
    templates = entry.get("prefetch")
    return templates if isinstance(templates, dict) else {}
