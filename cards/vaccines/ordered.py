"""Which vaccine groups are ordered already and still to be given, so that no dose is suggested twice."""

from collections.abc import Iterator

from cards.vaccines.knowledge import VaccineKnowledge
from fhir.record.datatypes import CodeableConcept, parse_time
from fhir.record.record import PatientRecord
from fhir.terminology.medications import CVX

# FHIR R4 request-status and medicationrequest-status: still to be done.
_OPEN = frozenset({"draft", "active", "on-hold"})
_OPEN_DAYS = 90.0


def ordered_groups(record: PatientRecord, knowledge: VaccineKnowledge) -> frozenset[str]:
    """The vaccine groups of open orders of the last 90 days, by CVX code or by the words of our own drafts."""
    groups = knowledge.schedule.groups
    found: set[str] = set()
    for concept in _open_orders(record):
        antigens = {
            part.antigen
            for coding in concept.coding
            if coding.system == CVX and coding.code in knowledge.schedule.vaccines
            for part in knowledge.schedule.vaccines[coding.code].antigens
        }
        found |= {name for name, group in groups.items() if antigens & set(group.antigens)}
        words = concept.words.casefold()
        found |= {name for name in groups if words.startswith(f"{name.casefold()} vaccine")}
    return frozenset(found)


def _open_orders(record: PatientRecord) -> Iterator[CodeableConcept]:
    requests = (
        *((each.status, each.authoredOn, each.code, each.doNotPerform) for each in record.service_requests),
        *(
            (each.status, each.authoredOn, each.medicationCodeableConcept, each.doNotPerform)
            for each in record.medication_requests
        ),
    )
    for status, authored, concept, do_not_perform in requests:
        written = parse_time(authored) if authored else None
        is_recent = written is None or written.age_days(record.as_of_epoch) <= _OPEN_DAYS
        if status in _OPEN and is_recent and concept is not None and do_not_perform is not True:
            yield concept
