"""Patients to send: the samples that come with the package, or a file."""

import copy
import gzip
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from cds_hooks.kit.contract.document import parse_json
from cds_hooks.kit.samples import list_samples, load_draft, load_patient

Resource = dict[str, Any]

USER: Final[Resource] = {
    "resourceType": "Practitioner",
    "id": "contract-kit-user",
    "name": [{"text": "Contract Kit", "family": "Kit", "given": ["Contract"]}],
}


class UnreadableChart(ValueError):
    """The file holds no patient that can be sent; the message says why."""


@dataclass(frozen=True)
class DraftOrder:
    """One drafted order: its name, the order, and the resources it refers to."""

    name: str
    order: Resource
    beside: tuple[Resource, ...] = ()

    @property
    def reference(self) -> str:
        """Type/id of the order."""
        return f"{self.order['resourceType']}/{self.order['id']}"


@dataclass(frozen=True)
class PatientChart:
    """One patient's resources, and orders that could be drafted for that patient."""

    name: str
    patient: Resource
    resources: tuple[Resource, ...]
    drafts: tuple[DraftOrder, ...] = field(default=())

    @property
    def patient_id(self) -> str:
        """The bare id."""
        return str(self.patient["id"])

    def of(self, kind: str) -> Iterator[Resource]:
        """The resources of this type."""
        return (resource for resource in self.resources if resource["resourceType"] == kind)


QUICK: Final = ("ckd4-metformin", "ckd3b-metformin", "planning-talk", "sparse-record")
"""The samples of a quick run: with draft orders, with results, without either."""


def sample_charts(as_of: datetime, only: Collection[str] = ()) -> tuple[PatientChart, ...]:
    """Every sample patient (or those of these ids) with its draft orders, dates counted from `as_of` (aware)."""
    charts = []
    for sample in list_samples():
        if only and sample.id not in only:
            continue
        resources = _resources(load_patient(sample.id, as_of))
        drafts = tuple(_drafted(order.draft, _resources(load_draft(order.draft, as_of))) for order in sample.orders)
        charts.append(_chart(f"sample {sample.id}", resources, drafts))
    return tuple(charts)


def of_one_run(charts: Collection[PatientChart]) -> tuple[PatientChart, ...]:
    """The same charts, of patients whose ids nobody has seen before.

    A server may remember what it showed of a patient and what was answered, and not show it again.
    """
    return tuple(_of_somebody_else(chart, uuid4().hex[:8]) for chart in charts)


def _of_somebody_else(chart: PatientChart, mark: str) -> PatientChart:
    identity = f"{chart.patient_id[:50]}-{mark}"
    names = {f"Patient/{chart.patient_id}": f"Patient/{identity}"}

    def resource(each: Resource) -> Resource:
        renamed: Resource = _renamed(each, names)
        return renamed | {"id": identity} if each is chart.patient else renamed

    patient = resource(chart.patient)
    resources = tuple(patient if each is chart.patient else resource(each) for each in chart.resources)
    drafts = tuple(
        DraftOrder(draft.name, resource(draft.order), tuple(resource(each) for each in draft.beside))
        for draft in chart.drafts
    )
    return PatientChart(chart.name, patient, resources, drafts)


def read_patient_chart(path: Path) -> PatientChart:
    """The one patient of a file: a Bundle, or a CDS Hooks request with prefetch; JSON, plain or gzipped.

    Raises ChartError where the file cannot be read or holds not exactly one Patient.
    """
    try:
        content = path.read_bytes()
        document = parse_json(gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content)
    except (OSError, EOFError) as error:
        raise UnreadableChart(f"{path} cannot be read: {error}") from error
    if not isinstance(document.value, dict):
        raise UnreadableChart(f"{path.name} is not a JSON object: {document.problem or 'give a Bundle or a request'}")
    value = document.value
    if isinstance(value.get("context"), dict) and "hook" in value:
        held = [each for each in (value.get("prefetch") or {}).values() if isinstance(each, dict)]
        drafts = [each for each in _resources(value["context"].get("draftOrders") or {}) if each.get("id")]
        return _chart(path.name, [each for one in held for each in _resources(one)], _orders(drafts))
    return _chart(path.name, _resources(value))


def _chart(name: str, resources: list[Resource], drafts: tuple[DraftOrder, ...] = ()) -> PatientChart:
    patients = {each.get("id"): each for each in resources if each["resourceType"] == "Patient" and each.get("id")}
    if len(patients) != 1:
        raise UnreadableChart(f"{name} holds {len(patients)} patients; give the chart of exactly one")
    patient = next(iter(patients.values()))
    identity = str(patient["id"])
    if not any(each["resourceType"] == "ServiceRequest" and each.get("id") for each in resources):
        resources = [*resources, _invented_order(identity)]
    return PatientChart(name, patient, tuple(resources), drafts or (_invented_draft(identity),))


def _resources(document: Resource) -> list[Resource]:
    """The resources of a Bundle, or the one; references by fullUrl become Type/id, as a server makes them."""
    if document.get("resourceType") != "Bundle":
        return [document] if isinstance(document.get("resourceType"), str) else []
    entries = [entry for entry in document.get("entry") or [] if isinstance(entry, dict)]
    found = [(entry.get("fullUrl"), entry["resource"]) for entry in entries if isinstance(entry.get("resource"), dict)]
    found = [(url, resource) for url, resource in found if isinstance(resource.get("resourceType"), str)]
    names = {url: f"{each['resourceType']}/{each['id']}" for url, each in found if url and each.get("id")}
    return [_renamed(resource, names) for _, resource in found]


def _renamed(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {
            name: names.get(each, each) if name == "reference" and isinstance(each, str) else _renamed(each, names)
            for name, each in value.items()
        }
    return [_renamed(each, names) for each in value] if isinstance(value, list) else value


def _drafted(name: str, resources: list[Resource]) -> DraftOrder:
    order = next(each for each in resources if each["resourceType"].endswith("Request"))
    return DraftOrder(name, order, tuple(each for each in resources if each is not order))


def _orders(resources: list[Resource]) -> tuple[DraftOrder, ...]:
    orders = [each for each in resources if each["resourceType"].endswith(("Request", "Order"))]
    beside = tuple(each for each in resources if each not in orders)
    return tuple(DraftOrder(str(each["id"]), each, beside) for each in orders)


def _invented_order(patient_id: str) -> Resource:
    """An order that is signed, for hooks about such orders: they name it by its reference only."""
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


def copy_with(resource: Resource, **changes: Any) -> Resource:
    """A copy that shares nothing with the original, with these members set."""
    return copy.deepcopy(resource) | changes
