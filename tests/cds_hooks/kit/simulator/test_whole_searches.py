"""Searches and templates of a simulated client: whole answers, every border of a date, every form of a token."""

import pytest

from cds_hooks.kit.simulator.fhir_search import (
    answer_query,
    prefetch_from,
    searchset,
    usable_parameters,
)
from cds_hooks.kit.simulator.templates import values_of
from tests.cds_hooks.kit.simulator.resources import PATIENT, TODAY, Json, order


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
