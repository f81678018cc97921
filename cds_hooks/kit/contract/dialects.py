"""How a vendor's requests differ from the published form.

Epic's ways: the project's note on EHR dialects (section 1) and the CDS Hooks page of fhir.epic.com (public copy): flat
extension members, FHIR access on every call, absolute references, category as an object, and an empty search as a
Bundle of total 0 with an OperationOutcome entry, code 4101.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cds_hooks.kit.simulator.request import fhir_authorization

Request = dict[str, Any]

EPIC_BASE: Final = "https://ehr.example/interconnect/api/FHIR/R4"
EPIC_TRIGGER: Final = "com.epic.cdshooks.request.bpa-trigger-action"
EPIC_EXTENSION: Final = {
    EPIC_TRIGGER: "60",
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
    shaped = request | {"fhirServer": EPIC_BASE, "fhirAuthorization": access, "extension": dict(EPIC_EXTENSION)}
    if not isinstance(request.get("prefetch"), dict):
        return shaped
    return shaped | {"prefetch": {key: _epic_value(value) for key, value in request["prefetch"].items()}}


def _epic_value(value: Any) -> Any:
    value = with_object_categories(with_absolute_references(value))
    if isinstance(value, dict) and value.get("resourceType") == "Bundle" and not value.get("entry"):
        return value | {"total": 0, "entry": [NOTHING_FOUND]}
    return value


def with_object_categories(value: Any) -> Any:
    """Return the resource, or the resources of the Bundle, with the first category in place of the array."""
    if not isinstance(value, dict) or value.get("resourceType") != "Bundle":
        return _with_object_category(value)
    entries = value.get("entry")
    return value | {"entry": [_entry(entry) for entry in entries]} if isinstance(entries, list) else value


def _entry(entry: Any) -> Any:
    return entry | {"resource": _with_object_category(entry.get("resource"))} if isinstance(entry, dict) else entry


def _with_object_category(resource: Any) -> Any:
    category = resource.get("category") if isinstance(resource, dict) else None
    return resource | {"category": category[0]} if isinstance(category, list) and category else resource


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
    # What a client of a payer sends is the published form; its checks are those of checks/payer.py.
    "crd": Dialect("crd", lambda request: request),
    "epic": Dialect("epic", _epic, {"content-type": "application/json; charset=utf-8"}),
}
