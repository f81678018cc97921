"""Prefetch templates are filled and answered from a chart as a client does it."""

from typing import Any

import pytest

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


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("patient=p1", ["a", "b", "c"]),
        ("code=http://loinc.org|2160-0", ["a", "b"]),
        ("code=2160-0,718-7&_sort=-date", ["c", "b", "a"]),
        ("code=2160-0&_sort=-date&_count=1", ["b"]),
        ("date=ge2024-08-30", ["b", "c"]),
        ("date=gt2024-01-05&date=lt2024-09", ["b"]),
        ("_id=a,c", ["a", "c"]),
        ("code=none", []),
        ("performer=Practitioner/1", ["a", "b", "c"]),
    ],
)
def test_a_search_finds_what_a_fhir_server_would(search: str, found: list[str]) -> None:
    bundle = answer_query(f"Observation?{search}", CHART, BASE)
    assert bundle is not None
    assert [entry["resource"]["id"] for entry in bundle.get("entry", [])] == found
    assert bundle["total"] == len(found)
    assert "entry" in bundle or not found


def test_a_read_gives_the_resource_or_null() -> None:
    assert answer_query("Patient/p1", CHART, BASE) == PATIENT
    assert answer_query("Patient/p2", CHART, BASE) is None
