"""The hooks, their contexts, the patients and the checks of the contract kit, each by itself."""

import json
from typing import Any

import pytest

from cds_hooks.kit.contract import charts
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
