"""Prefetch templates are filled and answered from a chart as a client does it."""

from typing import Any

from cds_hooks.kit.simulator.fhir_search import answer_query

BASE = "https://ehr.example/fhir"
PATIENT = {"resourceType": "Patient", "id": "p1"}


def _observation(name: str, code: str, day: str) -> dict[str, Any]:
    coding = [{"system": "http://loinc.org", "code": code}]
    return {"resourceType": "Observation", "id": name, "code": {"coding": coding}, "effectiveDateTime": day}


CHART = (
    PATIENT,
    _observation("a", "2160-0", "2024-01-05"),
    _observation("b", "2160-0", "2024-08-30T08:00:00Z"),
    _observation("c", "718-7", "2024-09-01"),
)


def test_a_read_gives_the_resource_or_null() -> None:
    assert answer_query("Patient/p1", CHART, BASE) == PATIENT
    assert answer_query("Patient/p2", CHART, BASE) is None
