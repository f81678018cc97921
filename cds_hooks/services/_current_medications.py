"""What a patient takes already, as orders that the rules can be asked about, and what the patient does not want."""

import re
from collections.abc import Iterator, Set
from typing import Any

from cards.rules.patient.orders import DraftOrder
from cards.text import plain
from cds_hooks.protocol.originals import OriginalOrders
from fhir.mapping.declined import declined_in_chart
from fhir.mapping.medications.active import ActiveMedication, active_medications
from fhir.mapping.medications.identity import identify
from fhir.record.record import PatientRecord
from fhir.record.repair import repair_resource
from fhir.record.resources import MedicationRequest, MedicationStatement


def taken_medications(
    record: PatientRecord, charted: OriginalOrders | None = None
) -> Iterator[tuple[ActiveMedication, DraftOrder]]:
    """Yield what is taken, ordered or stated, each as the order that the rules read.

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


def declined(record: PatientRecord, classes: Set[str], called: re.Pattern[str]) -> str | None:
    """Where the chart of the last year says that a medicine of these classes is not to be given; None for nowhere.

    An order or a statement, or a problem in words ("Statin declined") in which `called` finds the medicine.
    """
    for entry in declined_in_chart(record):
        if entry.order is not None:
            identity = identify(entry.order, record.medications)
            if identity.classes & classes:
                name = plain(identity.name, 40)
                return f"The chart says that {name} was declined or is not to be given ({entry.source})."
        elif any(map(called.search, entry.concept.texts)):
            return f"{plain(entry.concept.words, 60)} is on record ({entry.source})."
    return None
