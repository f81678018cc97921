"""Builds hook requests from an entry of discovery and a patient's chart: conformant ones, or as a vendor sends them.

Epic's ways: the project's note on EHR dialects (section 1) and the CDS Hooks page of fhir.epic.com (public copy): flat
extension members, FHIR access on every call, absolute references, category as an object, and an empty search as a
Bundle of total 0 with an OperationOutcome entry, code 4101.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

from cds_hooks.tools.kit.contract.charts import USER, PatientChart
from cds_hooks.tools.kit.simulator.fhir_search import prefetch_from
from cds_hooks.tools.kit.simulator.request import context_of, fhir_authorization, newest_encounter

Request = dict[str, Any]

EPIC_BASE: Final = "https://ehr.example/interconnect/api/FHIR/R4"
EPIC_EXTENSION: Final = {
    "com.epic.cdshooks.request.bpa-trigger-action": "60",
    "com.epic.cdshooks.request.cds-hooks-specification-version": "1.0",
    "com.epic.cdshooks.request.fhir-version": "R4",
    "com.epic.cdshooks.request.criteria-id": "2852",
    "com.epic.cdshooks.request.epic-version": "11.3",
}
_TEXT: Final = "Resource request returns no results."
NOTHING_FOUND: Final = {
    "resource": {
        "resourceType": "OperationOutcome",
        "issue": [
            {
                "severity": "warning",
                "code": "processing",
                "details": {
                    "coding": [
                        {"system": "urn:oid:1.2.840.114350.1.13.861.1.7.2.657369", "code": "4101", "display": _TEXT}
                    ],
                    "text": _TEXT,
                },
            }
        ],
    },
    "search": {"mode": "outcome"},
}


@dataclass(frozen=True)
class Dialect:
    """A name, what is done to each request, and the headers it goes with."""

    name: str
    shape: Callable[[Request], Request]
    headers: Mapping[str, str] = field(default_factory=dict)


def _epic(request: Request) -> Request:
    access = fhir_authorization(
        "contract-kit-token",
        scope="Patient.Read (R4) Observation.Search (Labs) (R4)",
        subject="00000000-0000-4000-8000-000000000000",
    )
    extension = EPIC_EXTENSION | request.get("extension", {})
    shaped = request | {"fhirServer": EPIC_BASE, "fhirAuthorization": access, "extension": extension}
    if not isinstance(request.get("prefetch"), dict):
        return shaped
    return shaped | {"prefetch": {key: _epic_value(value) for key, value in request["prefetch"].items()}}


def _epic_value(value: Any) -> Any:
    value = with_object_categories(with_absolute_references(value))
    if isinstance(value, dict) and value.get("resourceType") == "Bundle" and not value.get("entry"):
        return value | {"total": 0, "entry": [NOTHING_FOUND]}
    return value


def with_object_categories(value: Any) -> Any:
    """Return the same JSON with the first category of each resource in place of the array."""
    if isinstance(value, dict):
        changed = {name: with_object_categories(member) for name, member in value.items()}
        category = changed.get("category") if "resourceType" in value else None
        return changed | {"category": category[0]} if isinstance(category, list) and category else changed
    return [with_object_categories(item) for item in value] if isinstance(value, list) else value


def with_absolute_references(value: Any) -> Any:
    """Return the same JSON with every relative reference made absolute."""
    if isinstance(value, dict):
        return {
            name: f"{EPIC_BASE}/{member}"
            if name == "reference" and (isinstance(member, str) and member[:1].isupper() and "/" in member)
            else with_absolute_references(member)
            for name, member in value.items()
        }
    return [with_absolute_references(item) for item in value] if isinstance(value, list) else value


DIALECTS: Final = {
    "standard": Dialect("standard", lambda request: request),
    "epic": Dialect("epic", _epic, {"content-type": "application/json; charset=utf-8"}),
}


def contexts_for(hook: str, chart: PatientChart) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield one context or several for this hook and chart, each with a title.

    A hook that is not in the library gets user, patient and encounter, which may not be what it needs.
    """
    of_each_draft = hook in ("order-select", "order-sign")
    for name, order in list(chart.orders.items())[: None if of_each_draft else 1]:
        drafts, user = order if hook != "order-dispatch" else [], f"Practitioner/{USER['id']}"
        context = context_of(hook, chart.subjects, drafts, user, newest_encounter(chart.chart))
        yield f"{chart.name}, {name} drafted" if of_each_draft else chart.name, context


KIT_AUTHORIZATION: Final = fhir_authorization("contract-kit-token", scope="user/*.read", subject="contract-kit")


def new_hook_instance() -> str:
    """Return a new hookInstance."""
    return str(uuid4())


def conformant_requests(entry: dict[str, Any], chart: PatientChart, as_of: datetime) -> Iterator[tuple[str, Request]]:
    """Yield conformant requests (2.0.1, published form) for one entry of discovery, each with a title."""
    for about, context in contexts_for(str(entry["hook"]), chart):
        request: Request = {"hook": entry["hook"], "hookInstance": new_hook_instance(), "context": context}
        prefetch = prefetch_from([*chart.chart.resources, USER], _templates(entry), context, as_of.date())
        yield about, request | ({"prefetch": prefetch} if prefetch else {})


def unfilled_keys(entry: dict[str, Any], request: Request) -> frozenset[str]:
    """Return the prefetch keys of the entry that a conformant request leaves out: a token of theirs has no value."""
    return frozenset(_templates(entry)) - frozenset(request.get("prefetch", {}))


def _templates(entry: dict[str, Any]) -> dict[str, Any]:
    templates = entry.get("prefetch")
    return templates if isinstance(templates, dict) else {}
