"""The calls of the pinned answers: each line of `tests/cases/calls.jsonl` is a patient at a hook.

A line has the sample patient (`of`) and, at an order hook, the sample order (`draft`); or it has a chart of its own
(`chart`, `drafts`), whose resources stand by type and id as JSON merge patches (RFC 7396) of `_PLAIN`, or, where
nothing is unusual about them, as the list of values that `_patch_of` reads. `changes` are patches of single resources
of either. The lines were chosen so that each rule, level, drug and reason for silence
that about 900 calls showed is shown by one of them.
"""

import json
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from functools import cache
from typing import Any, Final
from uuid import uuid4

from cds_hooks.call.services import find_services
from cds_hooks.samples import load_draft, load_patient
from cds_hooks.tools.kit.simulator.chart import Chart, resources_of
from cds_hooks.tools.kit.simulator.fhir_search import prefetch_from
from cds_hooks.tools.kit.simulator.request import build_request, drafts_for
from tests.cds_hooks.call.services.chart_cases import AS_OF
from tests.conftest import ROOT

Json = dict[str, Any]
FILE: Final = ROOT / "tests" / "cases" / "calls.jsonl"
_HL7: Final = "http://terminology.hl7.org/CodeSystem"
_PATIENT: Final = "written"
_ICD10: Final = re.compile(r"[A-Z]\d\w(?:\.\w+)?")


def _coded(system: str, code: str) -> Json:
    return {"coding": [{"system": f"{_HL7}/{system}", "code": code}]}


_ORDER: Final[Json] = {"intent": "order", "status": "active", "subject": {"reference": f"Patient/{_PATIENT}"}}
_PLAIN: Final[dict[str, Json]] = {
    "Patient": {"name": [{"family": "Case", "given": ["A"]}]},
    "Condition": {
        "clinicalStatus": _coded("condition-clinical", "active"),
        "verificationStatus": _coded("condition-ver-status", "confirmed"),
        "category": [_coded("condition-category", "problem-list-item")],
        "subject": {"reference": f"Patient/{_PATIENT}"},
    },
    "AllergyIntolerance": {
        "clinicalStatus": _coded("allergyintolerance-clinical", "active"),
        "verificationStatus": _coded("allergyintolerance-verification", "confirmed"),
        "patient": {"reference": f"Patient/{_PATIENT}"},
    },
    "Observation": {
        "status": "final",
        "category": [_coded("observation-category", "laboratory")],
        "subject": {"reference": f"Patient/{_PATIENT}"},
    },
    "MedicationRequest": _ORDER,
    "ServiceRequest": _ORDER,
    "Encounter": {"status": "in-progress", "subject": {"reference": f"Patient/{_PATIENT}"}},
    "Procedure": {"status": "completed", "subject": {"reference": f"Patient/{_PATIENT}"}},
    "Immunization": {"status": "completed", "patient": {"reference": f"Patient/{_PATIENT}"}},
}
"""What most resources of a type have; a row says what is its own."""


def written_calls() -> list[Json]:
    """Return the calls of the file, in its order."""
    return [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]


def requests_for(call: Json) -> Iterator[tuple[str, Json]]:
    """Yield the address and the request for every service that discovery lists for the hook of the call."""
    for service in _services(call["hook"]):
        request = _of_sample(call, service) if "of" in call else _of_chart(call, service)
        for resource in _resources(request):
            if change := call.get("changes", {}).get(f"{resource['resourceType']}/{resource.get('id')}"):
                merge(resource, change)
        yield service["id"], request


@cache
def _services(hook: str) -> list[Json]:
    entries = (entry for service in find_services().values() for entry in service.discovery())
    return [entry for entry in entries if entry["hook"] == hook]


def _of_sample(call: Json, service: Json) -> Json:
    chart = _sample(call["of"])
    drafts = drafts_for(chart, resources_of(load_draft(call["draft"], AS_OF))) if "draft" in call else []
    return deepcopy(build_request(service, chart, drafts))


@cache
def _sample(name: str) -> Chart:
    return Chart(resources_of(load_patient(name, AS_OF)))


def _of_chart(call: Json, service: Json) -> Json:
    context: Json = {"userId": "Practitioner/p1", "patientId": _PATIENT} | call.get("context", {})
    if "drafts" in call:
        entries = [{"resource": draft} for draft in resources_of_rows(call["drafts"], status="draft")]
        context["draftOrders"] = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    prefetch = prefetch_from(resources_of_rows(call["chart"]), service["prefetch"], context, AS_OF.date())
    return {"hook": call["hook"], "hookInstance": str(uuid4()), "context": context, "prefetch": prefetch}


def merge(resource: Json, patch: Mapping[str, Any]) -> None:
    """Apply a JSON merge patch in place: null takes a member away, an object is merged, anything else is put."""
    for name, value in patch.items():
        if value is None:
            resource.pop(name, None)
        elif isinstance(value, dict) and isinstance(resource.get(name), dict):
            merge(resource[name], value)
        else:
            resource[name] = deepcopy(value)


def resources_of_rows(rows: Mapping[str, Mapping[str, Any]], **usual: str) -> list[Json]:
    """Return the resources that stand by type and id, with what is usual of all of them."""
    resources = []
    for kind, of_kind in rows.items():
        for own_id, row in of_kind.items():
            resource = {"resourceType": kind, "id": own_id} | deepcopy(_PLAIN.get(kind, {})) | usual
            merge(resource, _patch_of(kind, row) if isinstance(row, list) else row)
            resources.append(resource)
    return resources


def _patch_of(kind: str, row: list[Any]) -> Json:
    """Return the patch for the values of a resource.

    Patient: birth date, gender. Encounter: class, start. Observation: LOINC code, value, UCUM unit, time. Condition:
    words, date of recording; with a code of ICD-10 or SNOMED CT also of onset. MedicationRequest: words, date, a sig or
    a dosage, RxNorm code.
    """
    first, second, *rest = row
    if kind == "Patient":
        return {"birthDate": first, "gender": second}
    if kind == "Encounter":
        return {"class": {"system": f"{_HL7}/v3-ActCode", "code": first}, "period": {"start": second}}
    if kind == "Observation":
        unit, when = rest
        quantity = {"value": second, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit}
        coded: Json = {"coding": [{"system": "http://loinc.org", "code": first}]}
        return {"code": coded, "effectiveDateTime": when, "valueQuantity": quantity}
    code: Json = {"text": first}
    if kind == "Condition":
        if not rest:
            return {"code": code, "recordedDate": second}
        system = "http://hl7.org/fhir/sid/icd-10-cm" if _ICD10.fullmatch(rest[0]) else "http://snomed.info/sct"
        coded = code | {"coding": [{"system": system, "code": rest[0]}]}
        return {"code": coded, "recordedDate": second, "onsetDateTime": second}
    if rest[1:]:
        code |= {"coding": [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": rest[1]}]}
    dosage = {"dosageInstruction": [_dosage(rest[0])]} if rest and rest[0] else {}
    return {"medicationCodeableConcept": code, "authoredOn": second, **dosage}


def _dosage(value: Any) -> Json:
    """Return a dosage from its words, or from [value, unit, times a day]."""
    if not isinstance(value, list):
        return {"text": value} if isinstance(value, str) else value
    dose, unit, times = value
    timing = {"repeat": {"frequency": times, "period": 1, "periodUnit": "d"}}
    return {"timing": timing, "doseAndRate": [{"doseQuantity": {"value": dose, "unit": unit}}]}


def _resources(request: Json) -> Iterator[Json]:
    for value in [*request["prefetch"].values(), request["context"].get("draftOrders")]:
        if isinstance(value, dict) and value.get("resourceType") == "Bundle":
            yield from (entry["resource"] for entry in value.get("entry", []))
        elif isinstance(value, dict):
            yield value
