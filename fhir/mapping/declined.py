"""What the chart says the patient declined within a year, or is not to be given, and which orders are still open."""

import re
from collections.abc import Iterator, Set
from typing import Final

from msgspec import Struct

from fhir.mapping.conditions import condition_status, condition_time
from fhir.mapping.medications.identity import identify
from fhir.record.datatypes import CodeableConcept, FhirTime, parse_time, plain
from fhir.record.measurement import CodedPart
from fhir.record.record import PatientRecord
from fhir.record.resources import Condition, MedicationRequest, MedicationStatement, ServiceRequest

DECLINED_DAYS: Final = 365.0
"""So long a refusal holds, as the answer "Does not fit this patient" does (cds_hooks/call/hold_back/memory.py)."""
# SNOMED CT: refusal of treatment by patient, procedure refused, procedure not wanted. HL7 v3 ActReason: objection of
# the patient, for belief or religion.
_REFUSALS: Final = frozenset({"105480006", "183944003", "416432009", "PATOBJ", "PHILISOP", "RELIG"})
REFUSED: Final = re.compile(
    r"declin|refus|not wanted|does not want|objection|patient(?:'s)? (?:decision|choice)"
    # The same in Spanish, Portuguese, Italian, German and Dutch; French has "refus". General knowledge.
    r"|rechaz[aoó]|reh[uú]s|no (?:desea|quiere|acepta)|se niega|recus[aoe]|rifiut|verweiger|abgelehnt|\bablehn"
    r"|\blehnt\b|geweigerd|\bweigert\b|wenst geen",
    re.IGNORECASE,
)
"""Finds the words of a refusal."""
_YES: Final = re.compile(r"\W*(?:yes|true)\b", re.IGNORECASE)
_ASKED_DECLINED: Final = "asked-declined"  # FHIR R4, data-absent-reason
_IN_FORCE: Final = frozenset({"draft", "active", "on-hold", "completed"})
_NEVER_TRUE: Final = "entered-in-error"


_OPEN: Final = frozenset({"draft", "active", "on-hold"})
OPEN_DAYS: Final = 90.0
"""So old an order without a window of its own still counts."""


def is_open_order(order: ServiceRequest | MedicationRequest, record: PatientRecord, days: float = OPEN_DAYS) -> bool:
    """Whether an order of the last days, one planned since or without a day is open; a proposal and a ban are none."""
    if order.status not in _OPEN or order.is_only_proposed or order.doNotPerform is True:
        return False
    planned = order.occurrenceDateTime if isinstance(order, ServiceRequest) else None
    written = parse_time(planned or order.authoredOn or "")
    return written is None or written.whole_days(record.as_of_epoch) <= days


class Declined(Struct, frozen=True, gc=False):
    """One thing that the patient declined or that is not to be done: where it says so, what, and when.

    `order` is the order or statement of a medicine.
    """

    source: str
    concept: CodeableConcept
    time: FhirTime | None
    order: MedicationRequest | MedicationStatement | None = None


def declined_in_chart(record: PatientRecord) -> list[Declined]:
    """Return every refusal of the last year; one without a date counts.

    A procedure, dose or medicine that was not given, or an order that was ended, for the patient's refusal; an order in
    force that something is not to be done; a problem or a result that says so.
    """
    return record.derive(_of_the_last_year)


def _is_refusal(*reasons: CodeableConcept | None) -> bool:
    """Return whether one of the reasons is that the patient did not want it."""
    return any(
        any(map(REFUSED.search, reason.texts)) or any(coding.code in _REFUSALS for coding in reason.coding)
        for reason in reasons
        if reason is not None
    )


def _of_the_last_year(record: PatientRecord) -> list[Declined]:
    now = record.as_of_epoch
    return [entry for entry in _entries(record) if entry.time is None or entry.time.is_within(DECLINED_DAYS, now)]


def _entries(record: PatientRecord) -> Iterator[Declined]:
    by_type = record.resources.by_type
    for procedure in record.procedures_not_done:
        if _is_refusal(procedure.statusReason, procedure.code):
            yield Declined(procedure.source, procedure.code or CodeableConcept(), procedure.performed)
    for request in by_type[ServiceRequest]:
        if _is_declined(request, request.code):
            source, concept = request.source, request.code or CodeableConcept()
            yield Declined(source, concept, parse_time(request.authoredOn))
    for order in by_type[MedicationRequest]:
        concept = order.medicationCodeableConcept or CodeableConcept()
        if _is_declined(order, concept, order.statusReason):
            yield Declined(order.source, concept, parse_time(order.authoredOn), order)
    for statement in by_type[MedicationStatement]:
        if statement.status in ("not-taken", "stopped") and _is_refusal(*statement.statusReason):
            concept, when = statement.medicationCodeableConcept or CodeableConcept(), statement.effectiveDateTime
            time = parse_time(when or statement.dateAsserted or "")
            yield Declined(statement.source, concept, time, statement)
    for dose in record.immunizations_not_done:
        if _is_refusal(dose.statusReason, dose.vaccineCode):
            concept = dose.vaccineCode or CodeableConcept()
            yield Declined(dose.source, concept, parse_time(dose.occurrenceDateTime))
    for problem in record.facts(Condition):
        is_declined = problem.code is not None and any(map(REFUSED.search, problem.code.texts))
        if problem.code is not None and is_declined and condition_status(problem, record.as_of_epoch) != "past":
            # What is refused may have begun long ago: the refusal is dated by its recording.
            time = parse_time(problem.recordedDate) or condition_time(problem, record)
            yield Declined(problem.source, problem.code, time)
    for part in record.screening_parts():
        if _is_declined_result(part):
            yield Declined(part[0].source, part[1].code, parse_time(part[0].effectiveDateTime))


def _is_declined(order: ServiceRequest | MedicationRequest, *reasons: CodeableConcept | None) -> bool:
    """Whether an order forbids what it names, or was ended because the patient did not want it.

    Its own name may say so ("Colonoscopy, declined by patient"), and so may a note.
    """
    if order.status in _IN_FORCE:
        return order.doNotPerform is True
    notes = (CodeableConcept(text=note.text) for note in order.note)
    return order.status != _NEVER_TRUE and _is_refusal(*order.reasonCode, *reasons, *notes)


def _is_declined_result(part: CodedPart) -> bool:
    value = part[1]
    if value.dataAbsentReason is not None and value.dataAbsentReason.has(_ASKED_DECLINED):
        return True
    texts = value.valueCodeableConcept.texts if value.valueCodeableConcept is not None else ()
    answers = (value.valueString or "", *texts)
    if any(map(REFUSED.search, answers)):
        return True
    # "Colonoscopy declined by patient: yes"
    is_yes = value.code is not None and any(map(_YES.match, answers))
    return is_yes and any(map(REFUSED.search, value.code.texts))


def declined_medicine(record: PatientRecord, classes: Set[str], called: re.Pattern[str]) -> str | None:
    """Where the chart of the last year says that a medicine of these classes is not to be given; None for nowhere.

    An order or a statement, or a problem in words ("Statin declined") in which `called` finds the medicine.
    """
    for entry in declined_in_chart(record):
        if entry.order is not None:
            identity = identify(entry.order, record.medications)
            if identity.classes & classes or called.search(f"{identity.name} {identity.words}"):
                name = plain(identity.name, 40)
                return f"The chart says that {name} was declined or is not to be given ({entry.source})."
        elif any(map(called.search, entry.concept.texts)):
            return f"{plain(entry.concept.words, 60)} is on record ({entry.source})."
    return None
