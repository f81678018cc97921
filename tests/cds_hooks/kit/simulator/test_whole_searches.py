"""Searches and templates of a simulated client: whole answers, every border of a date, every form of a token."""

import pytest

from cds_hooks.kit.simulator.fhir_search import (
    answer_query,
    find_resources,
    medications_of,
    prefetch_from,
    searchset,
    usable_parameters,
)
from cds_hooks.kit.simulator.templates import values_of
from tests.cds_hooks.kit.simulator.resources import PATIENT, TODAY, Json, order, stay


def test_answers_to_queries() -> None:
    chart = [
        PATIENT,
        order("s1", authoredOn="2026-01-01"),
        order("s2", authoredOn="2026-02-01"),
        {"resourceType": "ServiceRequest"},
    ]
    assert answer_query("Patient/p1", chart, "https://x") == PATIENT
    assert answer_query("Patient/p2", chart, "https://x") is None
    assert answer_query("ServiceRequest?patient=nobody&_sort=-authored&_count=2&odd=1", chart, "https://x") == {
        "resourceType": "Bundle", "type": "searchset", "total": 2,
        "entry": [{"fullUrl": "https://x/ServiceRequest/s2",
                   "resource": {"resourceType": "ServiceRequest", "id": "s2", "status": "active",
                                "authoredOn": "2026-02-01"}, "search": {"mode": "match"}},
                  {"fullUrl": "https://x/ServiceRequest/s1",
                   "resource": {"resourceType": "ServiceRequest", "id": "s1", "status": "active",
                                "authoredOn": "2026-01-01"}, "search": {"mode": "match"}}],
    }  # fmt: skip
    assert answer_query("ServiceRequest", chart, "https://x") == {
        "resourceType": "Bundle", "type": "searchset", "total": 3,
        "entry": [{"fullUrl": "https://x/ServiceRequest/s1",
                   "resource": {"resourceType": "ServiceRequest", "id": "s1", "status": "active",
                                "authoredOn": "2026-01-01"}, "search": {"mode": "match"}},
                  {"fullUrl": "https://x/ServiceRequest/s2",
                   "resource": {"resourceType": "ServiceRequest", "id": "s2", "status": "active",
                                "authoredOn": "2026-02-01"}, "search": {"mode": "match"}},
                  {"resource": {"resourceType": "ServiceRequest"}, "search": {"mode": "match"}}],
    }  # fmt: skip
    assert answer_query("Task?patient=p1", chart, "https://x") == {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": 0,
    }
    assert searchset("https://x", [], 7) == {"resourceType": "Bundle", "type": "searchset", "total": 7}
    pairs = [
        ("patient", "p1"),
        ("subject", "p1"),
        ("authored", "ge2026"),
        ("authored", "soon"),
        ("_count", "5"),
        ("_count", "0"),
        ("odd", "x"),
    ]
    assert usable_parameters("ServiceRequest", pairs) == [("authored", "ge2026"), ("_count", "5")]
    templates = {
        "patient": "Patient/{{context.patientId}}",
        "user": "Practitioner/{{context.nobody}}",
        "odd": 5,
        "orders": "ServiceRequest?patient={{context.patientId}}&authored=ge2026-02",
    }
    assert prefetch_from(chart, templates, {"patientId": "p1"}, TODAY) == {
        "patient": {"resourceType": "Patient", "id": "p1"},
        "orders": {"resourceType": "Bundle", "type": "searchset", "total": 1,
                   "entry": [{"fullUrl": "https://ehr.example/fhir/ServiceRequest/s2",
                              "resource": {"resourceType": "ServiceRequest", "id": "s2", "status": "active",
                                           "authoredOn": "2026-02-01"}, "search": {"mode": "match"}}]},
    }  # fmt: skip


def test_the_order_of_what_is_found() -> None:
    stays = [stay("a", "2026-03-01", status="x"), stay("b"), stay("c", "2026-01-01"), stay("d", "2026-03-01")]

    def ids(*query: tuple[str, str]) -> str:
        return "".join(stay["id"] for stay in find_resources(stays, "Encounter", query))

    assert [ids(("_sort", order)) for order in ("date", "-date", "_id", "date,_id")] == ["cadb", "acdb", "abcd", "cadb"]
    assert [
        ids(("date", value))
        for value in (
            "2026-03-01", "ge2026-03-01", "gt2026-03-01", "lt2026-01-01", "lt2026-01-02", "le2026-01-01", "eq2026-01",
        )
    ] == ["", "acd", "acd", "", "c", "c", ""]  # fmt: skip
    instant = [{"resourceType": "Observation", "id": "o", "effectiveInstant": "2026-03-01T10:00:00Z"}]

    def hits(value: str) -> int:
        return len(find_resources(instant, "Observation", [("date", value)]))

    assert [
        hits(value)
        for value in (
            "2026-03-01T10:00:00Z", "gt2026-03-01T10:00:00Z", "gt2026-03-01T09:59:59Z", "lt2026-03-01T10:00:00Z",
            "lt2026-03-01T10:00:01Z", "eq2026-03-01T12:00:00 02:00", "eq2026", "eq2025", "eq2026-12",
            "le2026-03-01T10:00:00",
        )
    ] == [1, 0, 1, 0, 1, 1, 1, 0, 0, 1]  # fmt: skip


def test_medications_come_with_their_orders() -> None:
    chart: list[Json] = [
        {"resourceType": "Medication", "id": "m1",
         "ingredient": [{"itemReference": {"reference": "Medication/m2"}}, {}]},
        {"resourceType": "Medication", "id": "m2", "ingredient": [{"itemReference": {"reference": "Medication/m1"}}]},
        {"resourceType": "Medication", "id": "m3"},
    ]  # fmt: skip

    def ids(reference: str) -> list[str]:
        return sorted(
            found["id"] for found in medications_of(chart, [{"medicationReference": {"reference": reference}}, {}])
        )

    assert [ids(reference) for reference in ("Medication/m1", "urn:uuid:m3", "Medication/m9", "")] == [
        ["m1", "m2"],
        ["m3"],
        [],
        [],
    ]
    assert medications_of(chart, [{}]) == []


CONTEXT: Json = {
    "patientId": "p1", "n": 0, "yes": True, "gone": None, "list": ["a", "b", "a"],
    "orders": {"resourceType": "Bundle", "entry": [{"resource": {
        "resourceType": "MedicationRequest", "id": "d1", "medicationReference": {"reference": "Medication/m1"},
        "performer": {"reference": "https://x/Practitioner/q/_history/2"}}}]},
}  # fmt: skip
ANSWERS: Json = {
    "meds": {"resourceType": "Medication", "id": "m1", "status": "active"},
    "context": {"patientId": "p2"},
    "a b": {"id": "z"},
}


@pytest.mark.parametrize(
    ("token", "values"),
    [
        ("context.patientId", ["p1"]),
        ("context.n", ["0"]),
        ("context.yes", ["true"]),
        ("context.gone", []),
        ("context.list", ["a", "b"]),
        ("context.nobody", []),
        ("%context.patientId", ["p1"]),
        ("%meds.id", ["m1"]),
        ("%meds", []),
        ("%nothing.id", None),
        ("%`a b`.id", ["z"]),
        ("context.orders.entry.resource.id", ["d1"]),
        ("context.patientId|%meds.id", ["p1", "m1"]),
        ("context.orders.entry.resource.ofType(MedicationRequest).medication.reference", ["Medication/m1"]),
        ("context.orders.entry.resource.medication.resolve().status", ["active"]),
        ("context.orders.entry.resource.performer.resolve().id", ["q"]),
        ("context.orders.entry.resource.ofType(Task).id", []),
        ("context.orders.entry.resource.ofType().id", None),
        ("context.list.resolve()", []),
        ("context.orders.entry.resource.medication.resolve(1)", None),
        ("context.orders.entry.resource.first()", None),
        ("context.", None),
        ("patientId", None),
        ("context.orders.entry.resource.medication", ["Medication/m1"]),
        ("context.patientId|nothing", None),
    ],
)
def test_values_of_a_token(token: str, values: list[str] | None) -> None:
    assert values_of(token, CONTEXT, ANSWERS) == values
