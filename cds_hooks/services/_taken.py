"""What a patient takes already, as orders that the rules can be asked about."""

from collections.abc import Iterator
from typing import Any

from cards.rules.patient.orders import DraftOrder
from cds_hooks.protocol.repair import OriginalOrders, repair_resource
from fhir.mapping.medications.active import ActiveMedication, active_medications
from fhir.record.record import PatientRecord
from fhir.record.resources import MedicationRequest, MedicationStatement


def taken_medications(
    record: PatientRecord, charted: OriginalOrders | None = None
) -> Iterator[tuple[ActiveMedication, DraftOrder]]:
    """What is taken, ordered or stated, each as the order that the rules read.

    With `charted` an order has the client's own JSON, from which it can be given back stopped; what is only stated has
    none.
    """
    for position, medication in enumerate(active_medications(record)):
        order = medication.order
        resource: dict[str, Any] = {}
        if isinstance(order, MedicationRequest):
            resource = repair_resource(charted.by_id(order.id or "") or {}) if charted is not None else {}
        else:
            order = MedicationRequest(
                id=order.id,
                status="active",
                medicationCodeableConcept=order.medicationCodeableConcept,
                medicationReference=order.medicationReference,
                dosageInstruction=order.dosage if isinstance(order, MedicationStatement) else order.dosageInstruction,
                contained=order.contained,
            )
        yield medication, DraftOrder(resource, "MedicationRequest", medication.source, position, read=order)
