"""Small charts for tests: one way to write an Observation, a Bundle and a record."""

from datetime import UTC, datetime
from typing import Any

import orjson

from fhir.record.record import PatientRecord, read_record
from fhir.record.resources import decoder

AS_OF = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
PATIENT: dict[str, Any] = {"resourceType": "Patient", "id": "p1", "birthDate": "1950-05-05", "gender": "female"}


def observation(
    loinc: str, value: float | None, unit: str | None, when: str | None = "2026-11-01", **more: Any
) -> dict[str, Any]:
    """A final laboratory Observation of p1 by LOINC code; `more` replaces or adds elements (None removes one)."""
    quantity = {"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit}
    resource = {
        "resourceType": "Observation", "id": f"o-{loinc}-{value}-{when}", "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": loinc}]}, "subject": {"reference": "Patient/p1"},
        "effectiveDateTime": when, "valueQuantity": {name: part for name, part in quantity.items() if part is not None},
    } | more  # fmt: skip
    return {name: part for name, part in resource.items() if part is not None}


def bundle(*resources: dict[str, Any]) -> dict[str, Any]:
    """A searchset Bundle of these resources."""
    entries = [{"fullUrl": f"https://ehr.example/{r['resourceType']}/{r.get('id')}", "resource": r} for r in resources]
    return {"resourceType": "Bundle", "type": "searchset", "total": len(entries), "entry": entries}


def lean(resource: dict[str, Any]) -> Any:
    """The lean struct of a resource."""
    return decoder.decode(orjson.dumps(resource))


def record_of(
    *resources: dict[str, Any], as_of: datetime = AS_OF, prefetch: dict[str, Any] | None = None, **how: Any
) -> PatientRecord:
    """The record of p1 from these resources; `prefetch` in place of the woman who is the patient otherwise."""
    values = {**(prefetch or {"patient": lean(PATIENT)}), "rest": lean(bundle(*resources))}
    return read_record(values, "p1", as_of, **how)
