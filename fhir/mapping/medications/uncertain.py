"""Medications of which the chart does not say whether they are taken, and those that are on hold.

FHIR R4, medication-statement-status and medicationrequest-status (reviewed 2026-11-22): unknown is "not currently known
whether it is being taken", so it is neither counted as taken nor as absent; on-hold is "temporarily suspended", so it
is not taken now and may be again.
"""

from fhir.mapping.medications.active import ActiveMedication, active_medications, entry_of, written_at
from fhir.record.datatypes import FhirTime, parse_time
from fhir.record.record import PatientRecord
from fhir.record.resources import MedicationRequest, MedicationStatement

# Hospitals ask at each visit; what was reported longer ago than the longest usual supply (a fill of 90 days) says
# nothing of today.
_UNKNOWN_DAYS = 90.0
_HELD_DAYS = 365.0


def uncertain_medications(record: PatientRecord) -> tuple[ActiveMedication, ...]:
    """What was reported or ordered in the last 90 days, or on no known day, with the status unknown.

    What is on the list otherwise is left out.
    """
    return record.derive(_find_uncertain)


def held_medications(record: PatientRecord) -> tuple[ActiveMedication, ...]:
    """What was put on hold in the last year and is not on the list otherwise."""
    return record.derive(_find_held)


def _find_uncertain(record: PatientRecord) -> tuple[ActiveMedication, ...]:
    return _with_status("unknown", _UNKNOWN_DAYS, record)


def _find_held(record: PatientRecord) -> tuple[ActiveMedication, ...]:
    return _with_status("on-hold", _HELD_DAYS, record)


def _with_status(status: str, days: float, record: PatientRecord) -> tuple[ActiveMedication, ...]:
    """The newest entry of each drug with this status of the last days, if the drug is not on the list otherwise."""
    orders: list[MedicationRequest | MedicationStatement] = [*record.medication_requests, *record.medication_statements]
    dated = [(_reported_at(order), order) for order in orders if order.status == status]
    recent = [(time, order) for time, order in dated if time is None or _is_recent(time, record, days)]
    if not recent:
        return ()
    listed = {code for medication in active_medications(record) for code in medication.identity.rxcuis}
    by_drug: dict[tuple[str, ...], ActiveMedication] = {}
    for _, order in sorted(recent, key=lambda pair: pair[0].instant if pair[0] is not None else 0.0, reverse=True):
        entry = entry_of(order, f"{type(order).__name__}/{order.id}", record)
        if entry.identity.rxcuis and listed.isdisjoint(entry.identity.rxcuis):
            by_drug.setdefault(entry.identity.rxcuis, entry)
    return tuple(by_drug.values())


def _reported_at(order: MedicationRequest | MedicationStatement) -> FhirTime | None:
    """When it was ordered or reported; of a statement that was reported on no known day, since when it holds."""
    time = written_at(order)
    if time is not None or isinstance(order, MedicationRequest):
        return time
    period = order.effectivePeriod
    text = order.effectiveDateTime or (period.start if period is not None else None)
    return parse_time(text) if text else None


def _is_recent(time: FhirTime, record: PatientRecord, days: float) -> bool:
    return not time.is_after(record.as_of_epoch) and time.whole_days(record.as_of_epoch) <= days
