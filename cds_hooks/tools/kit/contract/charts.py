"""Patients to send: the samples that come with the package, or a file."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final
from uuid import uuid4

from cds_hooks.samples import list_samples, load_draft, load_patient
from cds_hooks.tools.kit.simulator.chart import Chart, Resource, read_chart, rename_references, resources_of

USER: Final[Resource] = {
    "resourceType": "Practitioner",
    "id": "contract-kit-user",
    "name": [{"text": "Contract Kit", "family": "Kit", "given": ["Contract"]}],
}


@dataclass(frozen=True)
class PatientChart:
    """A patient's chart, and by name the orders that could be drafted, each before the resources it refers to."""

    name: str
    chart: Chart
    orders: Mapping[str, list[Resource]]

    @property
    def patient_id(self) -> str:
        """The bare id."""
        return str(self.chart.patient["id"])

    @property
    def subjects(self) -> Chart:
        """The patient and what hooks are about: an order that is signed, and what is being booked or charted."""
        subject = {"reference": f"Patient/{self.patient_id}"}
        orders = [order for order in self.chart.of_type("ServiceRequest") if order.get("id")]
        invented: list[Resource] = [
            {"resourceType": "Encounter"},
            {"resourceType": "Appointment", "participant": [{"actor": subject, "status": "accepted"}]},
            {"resourceType": "AllergyIntolerance", "code": {"text": "Penicillin"}, "patient": subject},
            {"resourceType": "Condition", "category": [_ON_LIST], "code": {"text": "Gout"}, "subject": subject},
        ]
        named = [{"id": f"contract-kit-{resource['resourceType'].lower()}", **resource} for resource in invented]
        return Chart([self.chart.patient, {**orders[0], "status": "active"}, *named])


_CATEGORIES: Final = "http://terminology.hl7.org/CodeSystem/condition-category"
_ON_LIST: Final[Resource] = {"coding": [{"system": _CATEGORIES, "code": "problem-list-item"}]}
QUICK: Final = ("ckd4-metformin", "ckd3b-metformin", "planning-talk", "sparse-record")
"""The samples of a quick run: with draft orders, with results, without either."""


def sample_charts(as_of: datetime, only: Collection[str] = ()) -> tuple[PatientChart, ...]:
    """Return every sample patient (or those of these ids) with its draft orders, dates counted from `as_of` (aware)."""
    return tuple(
        _patient_chart(
            f"sample {sample.id}",
            resources_of(load_patient(sample.id, as_of)),
            {order.draft: resources_of(load_draft(order.draft, as_of)) for order in sample.orders},
        )
        for sample in list_samples()
        if not only or sample.id in only
    )


def with_new_identities(charts: Iterable[PatientChart]) -> tuple[PatientChart, ...]:
    """Return the same charts, of patients whose ids nobody has seen before.

    A server may remember what it showed of a patient and what was answered, and not show it again.
    """
    return tuple(_with_identity(chart, f"{chart.patient_id[:50]}-{uuid4().hex[:8]}") for chart in charts)


def _with_identity(chart: PatientChart, identity: str) -> PatientChart:
    names = {f"Patient/{chart.patient_id}": f"Patient/{identity}"}
    resources = [
        resource | ({"id": identity} if resource["resourceType"] == "Patient" else {})
        for resource in rename_references(chart.chart.resources, names)
    ]
    orders = {name: rename_references(order, names) for name, order in chart.orders.items()}
    return PatientChart(chart.name, Chart(resources), orders)


def read_patient_chart(path: Path) -> PatientChart:
    """Read the one patient of a file: a Bundle, or a CDS Hooks request with prefetch; JSON, plain or gzipped.

    Raises:
        ChartError: The file cannot be read or holds not exactly one Patient.
    """
    chart = read_chart(path)
    drafts = [draft for draft in chart.drafts if draft.get("id")]
    orders = [draft for draft in drafts if draft["resourceType"].endswith(("Request", "Order"))]
    beside = [draft for draft in drafts if draft not in orders]
    return _patient_chart(path.name, chart.resources, {str(order["id"]): [order, *beside] for order in orders})


def _patient_chart(name: str, resources: list[Resource], orders: Mapping[str, list[Resource]]) -> PatientChart:
    subject = {"reference": f"Patient/{Chart(resources).patient['id']}"}
    if not any(resource["resourceType"] == "ServiceRequest" and resource.get("id") for resource in resources):
        # For hooks about signed orders: they name one by its reference only.
        resources = [*resources, _INVENTED_ORDER | {"subject": subject}]
    return PatientChart(name, Chart(resources), orders or {"acetaminophen": [_INVENTED_DRAFT | {"subject": subject}]})


_INVENTED_ORDER: Final[Resource] = {
    "resourceType": "ServiceRequest",
    "id": "contract-kit-order",
    "status": "active",
    "intent": "order",
    "code": {"text": "Physical therapy"},
}
_INVENTED_DRAFT: Final[Resource] = {
    "resourceType": "MedicationRequest",
    "id": "contract-kit-draft",
    "status": "draft",
    "intent": "order",
    "medicationCodeableConcept": {"text": "Acetaminophen 500 mg oral tablet"},
    "dosageInstruction": [{"text": "500 mg every 6 hours as needed"}],
}
