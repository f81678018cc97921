"""The hooks, their contexts, the patients and the checks of the contract kit, each by itself."""

import json
from typing import Any

import pytest

from cds_hooks.kit.contract import charts, definitions, requests
from cds_hooks.kit.contract.charts import DraftOrder, PatientChart
from cds_hooks.kit.simulator.chart import ChartError
from tests.cds_hooks.services.equation_calls import NOW

Json = dict[str, Any]


PATIENT: Json = {"resourceType": "Patient", "id": "p1"}
DRAFT = DraftOrder(
    "tablet",
    {"resourceType": "MedicationRequest", "id": "d1", "subject": {"reference": "Patient/p1"}},
    ({"resourceType": "Medication", "id": "m1"},),
)


def _chart(*resources: Json, drafts: tuple[DraftOrder, ...] = (DRAFT,)) -> PatientChart:
    return PatientChart("chart", PATIENT, (PATIENT, *resources), drafts)


MEDICATION: Json = {"resourceType": "Medication", "id": "m1"}
SECOND: Json = {"resourceType": "MedicationRequest", "id": "d2"}
ALLERGY: Json = {
    "resourceType": "AllergyIntolerance", "id": "contract-kit-allergy", "code": {"text": "Penicillin"},
    "patient": {"reference": "Patient/p1"},
}  # fmt: skip
PROBLEM: Json = {
    "resourceType": "Condition",
    "id": "contract-kit-problem",
    "category": [
        {
            "coding": [
                {"system": "http://terminology.hl7.org/CodeSystem/condition-category", "code": "problem-list-item"}
            ]
        }
    ],
    "code": {"text": "Gout"},
    "subject": {"reference": "Patient/p1"},
}
APPOINTMENT: Json = {
    "resourceType": "Appointment", "id": "contract-kit-appointment", "status": "proposed",
    "participant": [{"actor": {"reference": "Patient/p1"}, "status": "accepted"}],
}  # fmt: skip


def _visit(**members: Any) -> Json:
    return {"userId": "Practitioner/contract-kit-user", "patientId": "p1", "encounterId": "e2"} | members


def _bundle(*resources: Json) -> Json:
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": resource} for resource in resources]}


_DISPATCHED = {
    "patientId": "p1", "dispatchedOrders": ["ServiceRequest/s1"], "performer": "Organization/contract-kit-user",
}  # fmt: skip
_TABLET = _bundle(DRAFT.order, MEDICATION)
CONTEXTS: dict[str, list[tuple[str, Json]]] = {
    "order-select": [
        ("chart, tablet drafted", _visit(selections=["MedicationRequest/d1"], draftOrders=_TABLET)),
        ("chart, second drafted", _visit(selections=["MedicationRequest/d2"], draftOrders=_bundle(SECOND))),
    ],
    "order-sign": [
        ("chart, tablet drafted", _visit(draftOrders=_TABLET)),
        ("chart, second drafted", _visit(draftOrders=_bundle(SECOND))),
    ],
    "order-dispatch": [("chart", _DISPATCHED)],
    "appointment-book": [("chart", _visit(appointments=_bundle(APPOINTMENT)))],
    "allergyintolerance-create": [("chart", _visit(allergyIntolerance=ALLERGY))],
    "problem-list-item-create": [("chart", _visit(conditions=_bundle(PROBLEM)))],
    "medication-refill": [("chart", _visit(medications=_TABLET))],
    "medication-verify": [("chart", _visit(medication={**DRAFT.order, "status": "active"}))],
    "medication-prescribe": [("chart", _visit(medications=_TABLET))],
    "order-review": [("chart", _visit(orders=_TABLET))],
}


@pytest.mark.parametrize("hook", [*definitions.HOOKS, "nothing"])
def test_the_context_of_a_hook(hook: str) -> None:
    order = {"resourceType": "ServiceRequest", "id": "s1"}
    stay = {"resourceType": "Encounter", "id": "e1", "period": {"start": "2026-01-01"}}
    later = {"resourceType": "Encounter", "id": "e2", "period": {"start": "2026-02-01"}}
    second = DraftOrder("second", SECOND)
    chart = _chart({"resourceType": "ServiceRequest"}, order, later, stay, drafts=(DRAFT, second))
    assert list(requests.contexts_for(hook, chart)) == CONTEXTS.get(hook, [("chart", _visit())])


def test_charts_of_files(tmp_path: Any) -> None:
    def read(*resources: Json, **members: Any) -> PatientChart:
        path = tmp_path / "chart.json"
        path.write_text(
            json.dumps({"resourceType": "Bundle", "entry": [{"resource": r} for r in resources], **members})
        )
        return charts.read_patient_chart(path)

    chart = read(PATIENT)
    assert (
        chart.name,
        [resource["id"] for resource in chart.resources],
        [draft.reference for draft in chart.drafts],
    ) == ("chart.json", ["p1", "contract-kit-order"], ["MedicationRequest/contract-kit-draft"])
    assert len(read(PATIENT, {"resourceType": "ServiceRequest", "id": "s1"}).resources) == 2
    assert len(read(PATIENT, {"resourceType": "ServiceRequest"}).resources) == 3
    with pytest.raises(ChartError, match="has no id"):
        read({"resourceType": "Patient"})
    orders = [
        DRAFT.order,
        {"resourceType": "NutritionOrder", "id": "n1"},
        {"resourceType": "Task", "id": "t1"},
        {"resourceType": "DeviceRequest"},
    ]
    assert [(draft.name, [r["id"] for r in draft.beside]) for draft in charts._file_drafts(orders)] == [
        ("d1", ["t1"]),
        ("n1", ["t1"]),
    ]


def test_samples_of_the_kit() -> None:
    two = charts.sample_charts(NOW, ("infant", "ckd4-metformin"))
    assert [(chart.name, [draft.name for draft in chart.drafts]) for chart in two] == [
        (
            "sample ckd4-metformin",
            ["metformin-ckd4-coded", "metformin-ckd4-text", "metformin-ckd4-contained", "linagliptin-ckd4"],
        ),
        ("sample infant", ["ibuprofen-infant"]),
    ]
    assert len(charts.sample_charts(NOW)) > 10
