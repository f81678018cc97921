"""The caller answers templates as a FHIR server would."""

from datetime import date
from typing import Any

from cds_hooks.kit.simulator.fhir_search import prefetch_from

TODAY = date(2024, 9, 13)
PATIENT = {"resourceType": "Patient", "id": "p1"}


def _lab(number: int, code: str, system: str = "http://loinc.org") -> dict[str, Any]:
    coding = {"system": system, "code": code}
    day = f"2026-01-{number:02}"
    return {"resourceType": "Observation", "id": f"o{number}", "code": {"coding": [coding]}, "effectiveDateTime": day}


def _answer(template: str, *resources: dict[str, Any]) -> Any:
    return prefetch_from([PATIENT, *resources], {"key": template}, {"patientId": "p1"}, TODAY)["key"]


def _ids(bundle: Any) -> list[str]:
    return [entry["resource"]["id"] for entry in bundle["entry"]]


def test_a_read_gives_the_resource_or_null() -> None:
    assert _answer("Patient/{{context.patientId}}") == PATIENT
    assert _answer("Practitioner/{{context.patientId}}") is None


def test_a_search_filters_sorts_and_counts() -> None:
    labs = [_lab(1, "2160-0"), _lab(3, "2160-0"), _lab(2, "2160-0"), _lab(4, "9999-9"), _lab(5, "2160-0", "urn:local")]
    template = "Observation?patient={{context.patientId}}&code=http://loinc.org|2160-0,http://loinc.org|1-1&_sort=-date"
    assert _ids(_answer(template, *labs)) == ["o3", "o2", "o1"]
    assert _ids(_answer(f"{template}&_count=2", *labs)) == ["o3", "o2"]


def test_a_search_that_finds_nothing_is_an_empty_bundle() -> None:
    assert _answer("Condition?patient={{context.patientId}}") == {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": 0,
    }


def test_medications_come_with_the_orders_that_refer_to_them() -> None:
    order = {"resourceType": "MedicationRequest", "id": "r", "medicationReference": {"reference": "Medication/mix"}}
    mix = {
        "resourceType": "Medication",
        "id": "mix",
        "ingredient": [{"itemReference": {"reference": "Medication/part"}}],
    }
    part = {"resourceType": "Medication", "id": "part"}
    other = {"resourceType": "Medication", "id": "other"}
    bundle = _answer("MedicationRequest?patient={{context.patientId}}", order, mix, part, other)
    assert sorted(_ids(bundle)) == ["mix", "part", "r"]
    assert bundle["total"] == 1


def test_a_key_that_needs_another_is_answered_after_it() -> None:
    order = {"resourceType": "MedicationRequest", "id": "r", "medicationReference": {"reference": "Medication/a"}}
    templates = {
        "orders": "MedicationRequest?patient={{context.patientId}}",
        "products": "Medication?_id={{%orders.entry.resource.medication.resolve().ofType(Medication).id}}",
        "nothing": "Practitioner?_id={{%orders.entry.resource.requester.resolve().id}}",
        "user": "Patient/{{userPatientId}}",
    }
    chart: list[dict[str, Any]] = [PATIENT, order, *({"resourceType": "Medication", "id": name} for name in "ab")]
    context = {"patientId": "p1", "userId": "Practitioner/1"}
    found = prefetch_from(chart, templates, context, TODAY)
    assert list(found) == ["orders", "products"]
    assert _ids(found["products"]) == ["a"]


def test_a_date_is_counted_from_today() -> None:
    labs = [_lab(number, "2160-0") for number in (1, 2, 3)]
    query = {"labs": "Observation?patient={{context.patientId}}&date=ge{{today() - 90 days}}"}
    found = prefetch_from([PATIENT, *labs], query, {"patientId": "p1"}, date(2026, 4, 2))
    assert _ids(found["labs"]) == ["o2", "o3"]
