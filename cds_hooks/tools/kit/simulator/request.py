"""Builds a CDS Hooks request from a chart, a service's discovery entry and draft orders.

What a client does besides building a call: it signs its requests and sends feedback on the cards.
"""

from collections.abc import Collection, Generator, Iterable
from dataclasses import replace
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import httpx

from cds_hooks.tools.kit.simulator.chart import Chart, ChartError, Resource
from cds_hooks.tools.kit.simulator.fhir_search import prefetch_from, read_resource

if TYPE_CHECKING:
    from cds_hooks.tools.kit.simulator.signing import SigningKey

EXTENSION_KEY = "org.cds-hooks-onnx"
"""The member of `extension` under which our own server says more than the protocol has (`cards.extension`)."""
USER = "Practitioner/cds-hooks-call"


def build_request(
    entry: dict[str, Any], chart: Chart, drafts: list[Resource], timings: bool = False, today: date | None = None
) -> dict[str, Any]:
    """Return the request for this discovery entry; ChartError where its hook needs what the chart and the drafts lack.

    `today` is for dates in templates: this machine's unless given.
    """
    if entry["hook"] == "order-dispatch":  # nothing but an order that is signed can be dispatched
        chart = replace(chart, resources=[*chart.resources, *_signed(drafts)])
    context = context_of(entry["hook"], chart, drafts)
    today = today or datetime.now(UTC).date()
    request = {
        "hook": entry["hook"],
        "hookInstance": str(uuid4()),
        "context": context,
        "prefetch": prefetch_from(chart.resources, entry.get("prefetch") or {}, context, today),
    }
    if timings:
        request["extension"] = {EXTENSION_KEY: {"timings": True, "version": 1}}
    return request


def context_of(
    hook: str, chart: Chart, drafts: list[Resource], user: str = USER, encounter: str | None = None
) -> dict[str, Any]:
    """Return the context of a hook of the library; of another one user and patient, which may not be what it needs.

    `encounter` is the id of the visit in which the user is, where the context may name one.

    Raises:
        ChartError: The hook is about something that neither the chart nor the drafts have.
    """
    patient = {"patientId": str(chart.patient.get("id") or "")}
    if hook == "order-dispatch":
        performer = user.replace("Practitioner", "Organization")
        return patient | {"dispatchedOrders": _dispatched(chart, drafts), "performer": performer}
    visit = {"encounterId": encounter} if encounter else {}
    return {"userId": user} | patient | visit | _subject(hook, chart, drafts)


def _subject(hook: str, chart: Chart, drafts: list[Resource]) -> dict[str, Any]:
    """Return what the hook is about."""
    orders = [draft for draft in drafts if draft.get("resourceType") != "Medication"]
    match hook:
        case "order-select" | "order-sign" if not orders:
            text = f"{hook} needs a draft order; give one with --draft FILE or --draft-ref MedicationRequest/ID"
            raise ChartError(text)
        case "order-select":
            names = [f"{order['resourceType']}/{order['id']}" for order in orders]
            return {"selections": names, "draftOrders": bundle_of(drafts)}
        case "order-sign":
            return {"draftOrders": bundle_of(drafts)}
        case "encounter-start" | "encounter-discharge":
            return {"encounterId": newest_encounter(chart) or str(_first(hook, chart, "Encounter")["id"])}
        case "appointment-book":
            proposed = [{**booked, "status": "proposed"} for booked in chart.of_type("Appointment")]
            return {"appointments": bundle_of(proposed)}
        case "medication-refill" | "medication-prescribe":
            return {"medications": bundle_of(drafts)}
        case "medication-verify":
            return {"medication": {**orders[0], "status": "active"}}
        case "order-review":
            return {"orders": bundle_of(drafts)}
        case "allergyintolerance-create":
            return {"allergyIntolerance": _first(hook, chart, "AllergyIntolerance")}
        case "problem-list-item-create":
            return {"conditions": bundle_of([_first(hook, chart, "Condition")])}
        case _:
            return {}


def _first(hook: str, chart: Chart, kind: str) -> Resource:
    resource = next(chart.of_type(kind), None)
    if resource is None:
        raise ChartError(f"{hook} needs a resource of the type {kind} in the chart")
    return resource


def bundle_of(resources: list[Resource]) -> Resource:
    """Return a collection Bundle as hooks carry it."""
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": resource} for resource in resources]}


def newest_encounter(chart: Chart) -> str | None:
    """Return the id of the encounter a user would be in: the last one of the chart."""
    stays = [stay for stay in chart.of_type("Encounter") if stay.get("id")]
    newest = max(stays, key=lambda stay: str((stay.get("period") or {}).get("start") or ""), default=None)
    return None if newest is None else str(newest["id"])


def _signed(drafts: list[Resource]) -> list[Resource]:
    return [{**draft, "status": "active"} for draft in drafts if draft.get("resourceType") == "ServiceRequest"]


def _dispatched(chart: Chart, drafts: list[Resource]) -> list[str]:
    """Return the names of the drafted studies; without any, of what is ordered in the chart."""
    active = (order for order in chart.of_type("ServiceRequest") if order.get("status") == "active" and order.get("id"))
    orders = _signed(drafts) or list(active)
    if not orders:
        raise ChartError("order-dispatch needs a ServiceRequest; give one with --draft FILE or in the chart")
    return [f"ServiceRequest/{order['id']}" for order in orders]


def as_draft(resource: Resource, patient_id: str, number: int = 1) -> Resource:
    """Return the resource as a draft of this patient: status draft, an id where it has none."""
    kind = "patient" if resource.get("resourceType") == "AllergyIntolerance" else "subject"
    return {**resource, "id": resource.get("id") or f"draft-{number}", "status": "draft", "intent": "order"} | {
        kind: {"reference": f"Patient/{patient_id}"}
    }


def drafts_for(chart: Chart, drafts: list[Resource]) -> list[Resource]:
    """Return the drafts as drafts of this chart's patient; Medications beside them stay as they are."""
    patient_id = str(chart.patient.get("id") or "")
    return [
        draft if draft.get("resourceType") == "Medication" else as_draft(draft, patient_id, number)
        for number, draft in enumerate(drafts, start=1)
    ]


def draft_from_chart(chart: Chart, reference: str) -> list[Resource]:
    """Return an order of the chart, drafted once more under a new id, with the Medication it refers to."""
    kind, _, identity = reference.partition("/")
    order = read_resource(chart.resources, kind, identity)
    if order is None:
        raise ChartError(f"{reference} is not in the chart; name an order of the chart as Type/id")
    drafted = {**order, "id": f"draft-of-{identity}"[:64]}
    target = str((order.get("medicationReference") or {}).get("reference", "")).rsplit("/", 1)[-1].rsplit(":", 1)[-1]
    return [drafted, *(r for r in chart.resources if r.get("resourceType") == "Medication" and r.get("id") == target)]


OPEN_SERVER_TOKEN = "open-server"  # noqa: S105 - for a server that asks for none: a service reads with a token or not at all
_SECONDS = 300
_SUBJECT = "cds-hooks-call"


def refuse_unknown_keys(requests: Iterable[dict[str, Any]], keys: Collection[str]) -> None:
    """ChartError where none of the requests has such a prefetch key: one service may lack what another asks for."""
    there = dict.fromkeys(key for request in requests for key in request.get("prefetch") or {})
    unknown = sorted(set(keys) - set(there))
    if unknown:
        raise ChartError(f"there is no prefetch key {', '.join(unknown)}; there are {', '.join(there)}")


def without_keys(request: dict[str, Any], keys: Collection[str]) -> dict[str, Any]:
    """Return the request without those of the keys that its prefetch has."""
    prefetch = request.get("prefetch") or {}
    return request | {"prefetch": {key: value for key, value in prefetch.items() if key not in keys}}


def with_fhir_server(request: dict[str, Any], url: str, token: str | None, omitted: Collection[str]) -> dict[str, Any]:
    """Return the request with `fhirServer` and a token instead of prefetch, or instead of the `omitted` keys of it."""
    prefetch = {"prefetch": without_keys(request, omitted)["prefetch"]} if omitted else {}
    authorization = fhir_authorization(token or OPEN_SERVER_TOKEN, patient=request["context"]["patientId"])
    members = {name: member for name, member in request.items() if name != "prefetch"}
    return members | {"fhirServer": url, "fhirAuthorization": authorization} | prefetch


def fhir_authorization(token: str, **members: str) -> dict[str, Any]:
    """Return the `fhirAuthorization` of a request, with other members (`scope`, `subject`, `patient`) where given."""
    access = {"access_token": token, "token_type": "Bearer", "expires_in": _SECONDS}
    return access | {"scope": "patient/*.read", "subject": _SUBJECT} | members


class CardOutcome(StrEnum):
    """What a clinician did with a card."""

    accepted = "accepted"
    overridden = "overridden"


class RequestSigning(httpx.Auth):
    """A fresh token for the URL of each call."""

    def __init__(self, key: "SigningKey") -> None:
        self._key = key

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Yield the request with its token."""
        from cds_hooks.tools.kit.simulator.signing import sign_token  # cryptography takes half a second to import

        request.headers["authorization"] = f"Bearer {sign_token(self._key, str(request.url))}"
        yield request


def outcome_text(document: Any) -> str:
    """Return what an OperationOutcome says in its first issue; "" where a document is none, or says nothing."""
    issues = document.get("issue") if isinstance(document, dict) else None
    issue = issues[0] if isinstance(issues, list) and issues and isinstance(issues[0], dict) else {}
    details = issue.get("details")
    return str((details.get("text") if isinstance(details, dict) else "") or issue.get("diagnostics") or "")


def build_feedback(document: dict[str, Any], outcome: CardOutcome, when: datetime) -> dict[str, Any]:
    """Feedback (CDS Hooks 2.0.1) on every card of a response; an accepted card takes its first suggestion.

    A card without suggestions cannot be accepted, so it is overridden.
    """
    return {"feedback": [_item(card, outcome, when) for card in document.get("cards", []) if card.get("uuid")]}


def _item(card: dict[str, Any], outcome: CardOutcome, when: datetime) -> dict[str, Any]:
    item = {"card": card["uuid"], "outcomeTimestamp": when.isoformat(timespec="seconds")}
    suggestions = card.get("suggestions") or []
    if outcome is CardOutcome.accepted and suggestions:
        return item | {"outcome": "accepted", "acceptedSuggestions": [{"id": suggestions[0]["uuid"]}]}
    reasons = card.get("overrideReasons") or []
    return item | {"outcome": "overridden"} | ({"overrideReason": {"reason": reasons[0]}} if reasons else {})
