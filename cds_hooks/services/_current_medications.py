"""What a patient takes already, as orders that the rules can be asked about, and what the patient does not want."""

import re
from collections.abc import Iterator, Set
from typing import Any

from cards.rules.patient.orders import DraftOrder
from cards.text import plain
from cds_hooks.protocol.originals import OriginalOrders
from fhir.mapping.conditions import condition_status, condition_time
from fhir.mapping.medications.active import ActiveMedication, active_medications
from fhir.mapping.medications.identity import identify
from fhir.record.datatypes import FhirTime, parse_time
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


_DECLINED = re.compile(r"\b(?:declin|refus)\w*|\bdoes not want\b", re.IGNORECASE)
_DECLINED_DAYS = 365.0
_VALID = frozenset({"active", "completed"})


def declined(record: PatientRecord, classes: Set[str], called: re.Pattern[str]) -> str | None:
    """Where the chart of the last year says that a medicine of these classes is not to be given; None for nowhere.

    An order with `doNotPerform`, or a problem in words ("Statin declined") in which `called` finds the medicine.
    """
    for order in record.medication_requests:
        if order.doNotPerform is True and order.status in _VALID and _is_of_last_year(order.authoredOn, record):
            identity = identify(order, record.medications)
            if identity.classes & classes:
                return (
                    f"An order not to give {plain(identity.name, 40)} is on the chart (MedicationRequest/{order.id})."
                )
    for problem in record.conditions:
        words = problem.code.words if problem.code is not None else ""
        if _DECLINED.search(words) is None or called.search(words) is None:
            continue
        time = condition_time(problem, record)
        if condition_status(problem, record.as_of_epoch) != "past" and _is_recent(time, record):
            return f"{plain(words, 60)} is on record (Condition/{problem.id})."
    return None


def _is_of_last_year(text: str | None, record: PatientRecord) -> bool:
    return _is_recent(parse_time(text) if text else None, record)


def _is_recent(time: FhirTime | None, record: PatientRecord) -> bool:
    return time is None or (
        not time.is_after(record.as_of_epoch) and time.whole_days(record.as_of_epoch) <= _DECLINED_DAYS
    )
