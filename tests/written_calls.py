"""Calls about charts that were written for the tests, and about samples in which something was changed.

Each line of `tests/cases/calls.jsonl` is a call. They were chosen out of 46,000 so that each condition of the code
that any of those decides is decided by one of them; the last 59 because each notices a dropped condition that no other
test noticed. `chart` has the resources by type and id, as JSON merge patches
(RFC 7396) of `_PLAIN`; a call that has `of` is one about a sample instead. `changes` are patches of single resources.
"""

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from functools import cache
from typing import Any, Final, NamedTuple

from cds_hooks.kit.simulator.fhir_search import prefetch_from
from cds_hooks.services import find_services
from tests.cds_hooks.calls import request_for
from tests.cds_hooks.services.chart_cases import AS_OF
from tests.conftest import ROOT

Json = dict[str, Any]
FILE: Final = ROOT / "tests" / "cases" / "calls.jsonl"
_HL7: Final = "http://terminology.hl7.org/CodeSystem"
PATIENT: Final = "written"
_INSTANCE: Final = "120c21ba-69b4-5fc0-ac7e-be7bc390cdc5"


def _coded(system: str, code: str) -> Json:
    return {"coding": [{"system": f"{_HL7}/{system}", "code": code}]}


_ORDER: Final[Json] = {"intent": "order", "status": "active", "subject": {"reference": f"Patient/{PATIENT}"}}
_PLAIN: Final[dict[str, Json]] = {
    "Patient": {"name": [{"family": "Case", "given": ["A"]}]},
    "Condition": {
        "clinicalStatus": _coded("condition-clinical", "active"),
        "verificationStatus": _coded("condition-ver-status", "confirmed"),
        "category": [_coded("condition-category", "problem-list-item")],
        "subject": {"reference": f"Patient/{PATIENT}"},
    },
    "AllergyIntolerance": {
        "clinicalStatus": _coded("allergyintolerance-clinical", "active"),
        "verificationStatus": _coded("allergyintolerance-verification", "confirmed"),
        "patient": {"reference": f"Patient/{PATIENT}"},
    },
    "Observation": {
        "status": "final",
        "category": [_coded("observation-category", "laboratory")],
        "subject": {"reference": f"Patient/{PATIENT}"},
    },
    "MedicationRequest": _ORDER,
    "ServiceRequest": _ORDER,
    "Encounter": {"status": "in-progress", "subject": {"reference": f"Patient/{PATIENT}"}},
    "Procedure": {"status": "completed", "subject": {"reference": f"Patient/{PATIENT}"}},
    "Immunization": {"status": "completed", "patient": {"reference": f"Patient/{PATIENT}"}},
}
"""What most resources of a type have; a row says what is its own."""


class Written(NamedTuple):
    """A line of the file."""

    name: str
    row: Json

    @property
    def service(self) -> str:
        """Which is called."""
        return str(self.row["service"])

    def request(self) -> Json:
        """Return the request at `AS_OF`, with a prefetch as a client fills the templates of today."""
        row = self.row
        if "of" in row:
            request: Json = request_for(row["service"], row["hook"], row["of"], AS_OF, row.get("draft"))
        else:
            request = {"hook": row["hook"], "hookInstance": _INSTANCE, "context": _context(row)}
            chart, templates = _chart(row["chart"]), _templates()[row["service"]]
            request["prefetch"] = prefetch_from(chart, templates, request["context"], AS_OF.date())
        for resource in _resources(request) if "changes" in row else ():
            if change := row["changes"].get(f"{resource['resourceType']}/{resource.get('id')}"):
                merge(resource, change)
        return request


@cache
def written_calls() -> tuple[Written, ...]:
    """Return the calls of the file, in its order; their names differ."""
    rows = (json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines())
    return tuple(Written(f"written {number}: {row['name']}", row) for number, row in enumerate(rows, 1))


@cache
def _templates() -> dict[str, Json]:
    """The prefetch templates of each address."""
    return {entry["id"]: entry["prefetch"] for service in find_services().values() for entry in service.discovery()}


def merge(resource: Json, patch: Mapping[str, Any]) -> None:
    """Apply a JSON merge patch in place: null takes a member away, an object is merged, anything else is put."""
    for name, value in patch.items():
        if value is None:
            resource.pop(name, None)
        elif isinstance(value, dict) and isinstance(resource.get(name), dict):
            merge(resource[name], value)
        else:
            resource[name] = deepcopy(value)


def _context(row: Json) -> Json:
    context: Json = {"userId": "Practitioner/p1", "patientId": PATIENT} | row.get("context", {})
    if "drafts" in row:
        entries = [{"resource": draft} for draft in _chart(row["drafts"])]
        context["draftOrders"] = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    return context


def _chart(rows: Mapping[str, Mapping[str, Json]]) -> list[Json]:
    resources = []
    for kind, of_kind in rows.items():
        for own_id, patch in of_kind.items():
            resource = {"resourceType": kind, "id": own_id} | deepcopy(_PLAIN.get(kind, {}))
            merge(resource, patch)
            resources.append(resource)
    return resources


def _resources(request: Json) -> Iterator[Json]:
    for value in [*request["prefetch"].values(), request["context"].get("draftOrders")]:
        if isinstance(value, dict) and value.get("resourceType") == "Bundle":
            yield from (entry["resource"] for entry in value.get("entry", []))
        elif isinstance(value, dict):
            yield value
