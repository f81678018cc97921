"""Templates of a simulated client: every form of a token, with its values."""

import pytest

from cds_hooks.kit.simulator.templates import values_of
from tests.cds_hooks.kit.simulator.resources import Json

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
