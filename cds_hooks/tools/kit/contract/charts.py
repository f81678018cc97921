"""Patients to send: the samples that come with the package, or a file."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final
from uuid import uuid4

from cds_hooks.samples import list_samples, load_draft, load_patient
from cds_hooks.tools.kit.simulator.chart import ChartError, Resource, read_chart, rename_references, resources_of

USER: Final[Resource] = {
    "resourceType": "Practitioner",
    "id": "contract-kit-user",
    "name": [{"text": "Contract Kit", "family": "Kit", "given": ["Contract"]}],
}


@dataclass(frozen=True)
class DraftOrder:
    """One drafted order: its name, the order, and the resources it refers to."""

    name: str
    order: Resource
    beside: tuple[Resource, ...] = ()


@dataclass(frozen=True)
class PatientChart:
    """One patient's resources, and orders that could be drafted for that patient."""

    name: str
    patient: Resource
    resources: tuple[Resource, ...]
    drafts: tuple[DraftOrder, ...]

    @property
    def patient_id(self) -> str:
        """The bare id."""
        return str(self.patient["id"])

    def resources_of_type(self, kind: str) -> Iterator[Resource]:
        """Yield the resources of this type."""
        return (resource for resource in self.resources if resource["resourceType"] == kind)


QUICK: Final = ("ckd4-metformin", "ckd3b-metformin", "planning-talk", "sparse-record")
"""The samples of a quick run: with draft orders, with results, without either."""


def sample_charts(as_of: datetime, only: Collection[str] = ()) -> tuple[PatientChart, ...]:
    """Return every sample patient (or those of these ids) with its draft orders, dates counted from `as_of` (aware)."""
    charts = []
    for sample in list_samples():
        if only and sample.id not in only:
            continue
        resources = resources_of(load_patient(sample.id, as_of))
        drafts = tuple(
            _sample_draft(order.draft, resources_of(load_draft(order.draft, as_of))) for order in sample.orders
        )
        charts.append(_patient_chart(f"sample {sample.id}", resources, drafts))
    return tuple(charts)


def with_new_identities(charts: Collection[PatientChart]) -> tuple[PatientChart, ...]:
    """Return the same charts, of patients whose ids nobody has seen before.

    A server may remember what it showed of a patient and what was answered, and not show it again.
    """
    return tuple(_with_identity(chart, f"{chart.patient_id[:50]}-{uuid4().hex[:8]}") for chart in charts)


def _with_identity(chart: PatientChart, identity: str) -> PatientChart:
    names = {f"Patient/{chart.patient_id}": f"Patient/{identity}"}

    def renamed(resource: Resource) -> Resource:
        copied: Resource = rename_references(resource, names)
        return copied | {"id": identity} if resource is chart.patient else copied

    drafts = tuple(
        DraftOrder(draft.name, renamed(draft.order), tuple(map(renamed, draft.beside))) for draft in chart.drafts
    )
    return PatientChart(chart.name, renamed(chart.patient), tuple(map(renamed, chart.resources)), drafts)


def read_patient_chart(path: Path) -> PatientChart:
    """Read the one patient of a file: a Bundle, or a CDS Hooks request with prefetch; JSON, plain or gzipped.

    Raises:
        ChartError: The file cannot be read or holds not exactly one Patient.
    """
    chart = read_chart(path)
    return _patient_chart(path.name, chart.resources, _file_drafts(chart.drafts))


def _patient_chart(name: str, resources: list[Resource], drafts: tuple[DraftOrder, ...] = ()) -> PatientChart:
    patient = next(resource for resource in resources if resource["resourceType"] == "Patient")
    if not patient.get("id"):
        raise ChartError(f"the patient of {name} has no id")
    identity = str(patient["id"])
    if not any(resource["resourceType"] == "ServiceRequest" and resource.get("id") for resource in resources):
        resources = [*resources, _invented_order(identity)]
    return PatientChart(name, patient, tuple(resources), drafts or (_invented_draft(identity),))


def _sample_draft(name: str, resources: list[Resource]) -> DraftOrder:
    order = next(resource for resource in resources if resource["resourceType"].endswith("Request"))
    return DraftOrder(name, order, tuple(resource for resource in resources if resource is not order))


def _file_drafts(resources: list[Resource]) -> tuple[DraftOrder, ...]:
    orders = [r for r in resources if r["resourceType"].endswith(("Request", "Order")) and r.get("id")]
    beside = tuple(resource for resource in resources if resource.get("id") and resource not in orders)
    return tuple(DraftOrder(str(order["id"]), order, beside) for order in orders)


def _invented_order(patient_id: str) -> Resource:
    """Return an order that is signed, for hooks about such orders: they name it by its reference only."""
    return {
        "resourceType": "ServiceRequest",
        "id": "contract-kit-order",
        "status": "active",
        "intent": "order",
        "code": {"text": "Physical therapy"},
        "subject": {"reference": f"Patient/{patient_id}"},
    }


def _invented_draft(patient_id: str) -> DraftOrder:
    order = {
        "resourceType": "MedicationRequest",
        "id": "contract-kit-draft",
        "status": "draft",
        "intent": "order",
        "medicationCodeableConcept": {"text": "Acetaminophen 500 mg oral tablet"},
        "subject": {"reference": f"Patient/{patient_id}"},
        "dosageInstruction": [{"text": "500 mg every 6 hours as needed"}],
    }
    return DraftOrder("acetaminophen", order)
