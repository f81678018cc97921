"""Builds a CDS Hooks request from a chart, a service's discovery entry and draft orders."""

from datetime import UTC, date, datetime
from typing import Any
from uuid import uuid4

from cds_hooks.calling.chart import Chart, ChartError, Resource
from cds_hooks.calling.search import prefetch_from

USER = "Practitioner/cds-hooks-call"


def build_request(
    entry: dict[str, Any], chart: Chart, drafts: list[Resource], timings: bool = False, today: date | None = None
) -> dict[str, Any]:
    """The request for this discovery entry; ChartError where its hook needs what the chart and the drafts lack.

    `today` is for dates in templates: this machine's unless given.
    """
    patient_id = str(chart.patient.get("id") or "")
    context: dict[str, Any] = {"userId": USER, "patientId": patient_id}
    if entry["hook"] in ("order-select", "order-sign"):
        context |= _order_context(entry["hook"], drafts)
    if entry["hook"] in ("encounter-start", "encounter-discharge"):
        context["encounterId"] = _newest_encounter(entry["hook"], chart)
    request = {
        "hook": entry["hook"],
        "hookInstance": str(uuid4()),
        "context": context,
        "prefetch": prefetch_from(chart, entry.get("prefetch") or {}, context, today or datetime.now(UTC).date()),
    }
    if timings:
        request["extension"] = {"org.cds-hooks-onnx": {"timings": True}}
    return request


def _newest_encounter(hook: str, chart: Chart) -> str:
    stays = [each for each in chart.resources if each.get("resourceType") == "Encounter" and each.get("id")]
    if not stays:
        raise ChartError(f"{hook} needs an Encounter in the chart")
    return str(max(stays, key=lambda each: str((each.get("period") or {}).get("start") or ""))["id"])


def _order_context(hook: str, drafts: list[Resource]) -> dict[str, Any]:
    orders = [draft for draft in drafts if draft.get("resourceType") != "Medication"]
    if not orders:
        raise ChartError(f"{hook} needs a draft order; give one with --draft FILE or --draft-ref MedicationRequest/ID")
    context: dict[str, Any] = {
        "draftOrders": {
            "resourceType": "Bundle",
            "type": "collection",
            "entry": [{"resource": each} for each in drafts],
        }
    }
    if hook == "order-select":
        context["selections"] = [f"{order['resourceType']}/{order['id']}" for order in orders]
    return context


def as_draft(resource: Resource, patient_id: str, number: int = 1) -> Resource:
    """The resource as a draft of this patient: status draft, an id where it has none."""
    kind = "patient" if resource.get("resourceType") == "AllergyIntolerance" else "subject"
    return {**resource, "id": resource.get("id") or f"draft-{number}", "status": "draft", "intent": "order"} | {
        kind: {"reference": f"Patient/{patient_id}"}
    }


def drafts_for(chart: Chart, drafts: list[Resource]) -> list[Resource]:
    """The drafts as drafts of this chart's patient; Medications beside them stay as they are."""
    patient_id = str(chart.patient.get("id") or "")
    return [
        draft if draft.get("resourceType") == "Medication" else as_draft(draft, patient_id, number)
        for number, draft in enumerate(drafts, start=1)
    ]


def draft_from_chart(chart: Chart, reference: str) -> list[Resource]:
    """An order of the chart, drafted once more under a new id, with the Medication it refers to."""
    kind, _, identity = reference.partition("/")
    order = next((r for r in chart.resources if r.get("resourceType") == kind and r.get("id") == identity), None)
    if order is None:
        raise ChartError(f"{reference} is not in the chart; name an order of the chart as Type/id")
    drafted = {**order, "id": f"draft-of-{identity}"[:64]}
    target = str((order.get("medicationReference") or {}).get("reference", "")).rsplit("/", 1)[-1].rsplit(":", 1)[-1]
    return [drafted, *(r for r in chart.resources if r.get("resourceType") == "Medication" and r.get("id") == target)]
