"""What beside the problem list tells of a condition.

Operations, devices, flags, plans and reasons tell of a condition, where its group counts them
(column `counts_from` of tables/condition_groups.csv). An operation counts when it was done, a device while it is not
inactive, a flag, a plan of care and a consent while they are active, a document while it is current, what near
relatives have had for a group of family history, and a reason where the order of a medication is active or the visit
was in the last year: what it is for, the patient has, unless the words deny, doubt or only prevent it. Why a test is
ordered does not count: it is often what is suspected. What is asked for in an active order counts for treatments that
last, such as oxygen at home; what kind of visit it is, for palliative care.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta

from msgspec import Struct

from fhir.mapping.condition_concepts import OF_FAMILY, read_concept
from fhir.record.datatypes import CodeableConcept, FhirTime, Period, parse_time
from fhir.record.opting_out import Consent, Flag
from fhir.record.record import PatientRecord
from fhir.record.resources import (
    CarePlan,
    Device,
    DocumentReference,
    Encounter,
    FamilyMemberHistory,
    MedicationRequest,
    Procedure,
    ServiceRequest,
)
from fhir.terminology.assertions import states
from fhir.terminology.conditions import CONDITION_GROUPS

MECHANICAL_VALVE = "mechanical_valve"
# ICD-10-PCS 02R, replacement of a valve of the heart (F aortic, G mitral, H pulmonary, J tricuspid) with device J, a
# synthetic substitute: a mechanical valve. Devices 7, 8 and K are tissue.
_VALVE_CODE = re.compile(r"02R[FGHJ][0-4]JZ")
_VALVE_WORDS = re.compile(r"\bmechanical\b.*\bvalve|\bvalve\b.*\bmechanical\b|\bmechanical [am]vr\b", re.IGNORECASE)
# What is ordered to prevent a disease is not ordered because of it.
_PREVENTION = re.compile(r"\bprevent|prophyla|\brisk\b|\bscreen", re.IGNORECASE)
_VISITS = frozenset({"arrived", "triaged", "in-progress", "finished"})
_VISIT_DAYS = 365.25


class Sign(Struct, frozen=True, gc=False):
    """Something beside the problem list that says that the patient has a condition of a group."""

    group: str
    words: str
    code: str
    source: str
    time: FhirTime | None


def signs_by_group(record: PatientRecord) -> Mapping[str, tuple[Sign, ...]]:
    """Return what the record has beside the problem list, by group, of the kinds of resources that count for it."""
    return record.derive(_by_group)


def _by_group(record: PatientRecord) -> dict[str, tuple[Sign, ...]]:
    """All groups at once: most charts have nothing of this kind, and a call asks for dozens of groups."""
    came = record.resources.by_type
    by_kind = {kind: signs for kind, (of_type, read) in _READERS.items() if came[of_type] and (signs := read(record))}
    by_group: dict[str, tuple[Sign, ...]] = {}
    for group in {group for signs in by_kind.values() for group in signs}:
        kinds = CONDITION_GROUPS[group].counts_from
        by_group[group] = tuple(sign for kind in kinds for sign in by_kind.get(kind, {}).get(group, ()))
    if (implanted := _implanted_valve(record)) is not None:
        by_group[MECHANICAL_VALVE] = (implanted, *by_group.get(MECHANICAL_VALVE, ()))
    return by_group


_Signs = dict[str, list[Sign]]


def _means_group(concept: CodeableConcept | None) -> bool:
    """Whether it means anything at all; most concepts do not, and then their dates are not read."""
    return bool(read_concept(concept).meant)


# Groups that a procedure means only while it goes on and for so many days afterwards. Who is on dialysis has several
# sessions a week; that one of the last two weeks counts, and palliative care of the last year, is the project's own
# choice.
_PASSING_DAYS = {"neuraxial_procedure": 1, "dialysis": 14, "palliative_or_hospice": 365, "ventilator": 0}


def _operations(record: PatientRecord) -> _Signs:
    signs: _Signs = {}
    for procedure in record.facts(Procedure):
        if procedure.status in ("completed", "in-progress") and _means_group(procedure.code):
            time = procedure.performed
            if time is None or not time.is_after(record.as_of_epoch):
                left_out = _groups_not_meant(procedure, time, record.as_of_epoch)
                _add(signs, procedure.code, procedure.source, time, left_out)
    return signs


def _groups_not_meant(procedure: Procedure, time: FhirTime | None, as_of_epoch: float) -> frozenset[str]:
    """Find the groups the procedure does not mean: those that pass, when it is over, and the others until it is."""
    if procedure.status == "in-progress":
        return frozenset(CONDITION_GROUPS) - _PASSING_DAYS.keys()
    period = procedure.performedPeriod
    end = period.finish if period is not None else None
    last = end if end is not None and not end.is_after(as_of_epoch) else time
    days = last.whole_days(as_of_epoch) if last is not None else None
    is_over = last is end and end is not None and end.precision == "instant"
    return frozenset(
        group for group, most in _PASSING_DAYS.items() if days is None or days > most or (is_over and not most)
    )


def _devices(record: PatientRecord) -> _Signs:
    signs: _Signs = {}
    for device in record.facts(Device) if record.was_requested("Device") else ():
        if device.status not in ("inactive", "entered-in-error"):
            names = [CodeableConcept(text=name.name) for name in device.deviceName]
            for concept in (device.type, *names):
                _add(signs, concept, device.source, None)
    return signs


def _flags(record: PatientRecord) -> _Signs:
    signs: _Signs = {}
    for flag in record.facts(Flag) if record.was_requested("Flag") else ():
        _add_in_force(signs, (flag.code,), flag.source, flag.status, flag.period, record)
    return signs


def _plans(record: PatientRecord) -> _Signs:
    signs: _Signs = {}
    for plan in record.facts(CarePlan) if record.was_requested("CarePlan") else ():
        details = [activity.detail.code for activity in plan.activity if activity.detail is not None]
        concepts = (CodeableConcept(text=plan.title), *plan.category, *details)
        _add_in_force(signs, concepts, plan.source, plan.status, plan.period, record)
    return signs


def _relatives(record: PatientRecord) -> _Signs:
    """Return what near relatives have had, if the groups say that it counts; who is not said to be distant is near."""
    signs: _Signs = {}
    for relative in record.facts(FamilyMemberHistory) if record.was_requested("FamilyMemberHistory") else ():
        relation = relative.relationship
        if relative.status in ("entered-in-error", "health-unknown") or (relation and _is_distant(relation)):
            continue
        for condition in relative.condition:
            for meant in read_concept(condition.code).meant:
                group = OF_FAMILY.get(meant.group)
                if group is not None and condition.code is not None:
                    who = relation.words if relation is not None else ""
                    words = f"{who}: {condition.code.words}" if who else condition.code.words
                    signs.setdefault(group, []).append(Sign(group, words, meant.code, relative.source, None))
    return signs


# Relatives of the second degree and further, and those who are no blood relatives: words, and codes of HL7 v3 RoleCode.
_DISTANT = re.compile(
    r"grand|\baunt|\buncle|cousin|niece|nephew|half|step|in-law|adopt|foster|spouse|husband|wife|partner", re.IGNORECASE
)
_DISTANT_CODES = re.compile(
    r"[MP]?(?:G?GR|AUNT|UNCLE|COUSN)|NIENEPH|NIECE|NEPHEW|H(?:BRO|SIB|SIS)|STP|ADOPT|FOST|HUSB|WIFE|SPS|DOMPART"
    r"|(?:BRO|SIS|MTH|FTH|SON|DAU)?INLAW"
)


def _is_distant(relation: CodeableConcept) -> bool:
    codes = (coding.code for coding in relation.coding)
    return _DISTANT.search(relation.words) is not None or any(map(_DISTANT_CODES.match, codes))


def _consents(record: PatientRecord) -> _Signs:
    signs: _Signs = {}
    for consent in record.facts(Consent) if record.was_requested("Consent") else ():
        _add_in_force(signs, consent.category, consent.source, consent.status, None, record)
    return signs


def _documents(record: PatientRecord) -> _Signs:
    signs: _Signs = {}
    for document in record.facts(DocumentReference) if record.was_requested("DocumentReference") else ():
        if document.status == "current":
            for concept in (document.type, CodeableConcept(text=document.description)):
                time = parse_time(document.date)
                _add(signs, concept, document.source, time)
    return signs


def _add_in_force(
    signs: _Signs,
    concepts: Iterable[CodeableConcept | None],
    source: str,
    status: str | None,
    period: Period | None,
    record: PatientRecord,
) -> None:
    if status == "active" and _is_begun_and_not_over(period, record.as_of_epoch):
        time = period.begin if period is not None else None
        for concept in concepts:
            _add(signs, concept, source, time)


def _orders(record: PatientRecord) -> _Signs:
    signs: _Signs = {}
    for order in record.facts(MedicationRequest) if record.was_requested("MedicationRequest") else ():
        if order.reasonCode and order.status == "active" and not order.is_only_proposed:
            _add_reasons(signs, order.reasonCode, order.source, order.authoredOn, record)
    return signs


def _requests(record: PatientRecord) -> _Signs:
    signs: _Signs = {}
    for request in record.facts(ServiceRequest) if record.was_requested("ServiceRequest") else ():
        is_ordered = request.status == "active" and not request.is_only_proposed and not request.doNotPerform
        if not is_ordered or not _means_group(request.code):
            continue
        time = parse_time(request.authoredOn)
        if time is None or not time.is_after(record.as_of_epoch):
            _add(signs, request.code, request.source, time)
    return signs


def _visits(record: PatientRecord) -> _Signs:
    return _visits_by(record, lambda visit: visit.reasonCode)


def _kinds_of_visits(record: PatientRecord) -> _Signs:
    return _visits_by(record, lambda visit: (*visit.type, *filter(None, (visit.serviceType,))))


def _visits_by(record: PatientRecord, concepts: Callable[[Encounter], Sequence[CodeableConcept]]) -> _Signs:
    signs: _Signs = {}
    earliest = (record.as_of - timedelta(days=_VISIT_DAYS + 2)).date().isoformat()  # in every time zone
    for visit in record.facts(Encounter) if record.was_requested("Encounter") else ():
        start = visit.period.start if visit.period is not None else None
        if visit.status not in _VISITS or start is None or start < earliest:
            continue
        stated = concepts(visit)
        if any(map(_means_group, stated)):
            time = parse_time(start)
            if time is not None and time.whole_days(record.as_of_epoch) <= _VISIT_DAYS:
                _add_reasons(signs, stated, visit.source, start, record)
    return signs


def _add_reasons(
    signs: _Signs, reasons: Iterable[CodeableConcept], source: str, written: str | None, record: PatientRecord
) -> None:
    time = parse_time(written)
    if time is None or not time.is_after(record.as_of_epoch):
        for reason in reasons:
            if not _PREVENTION.search(reason.words):
                _add(signs, reason, source, time)


_READERS = {
    "Procedure": (Procedure, _operations),
    "Device": (Device, _devices),
    "Flag": (Flag, _flags),
    "CarePlan": (CarePlan, _plans),
    "FamilyMemberHistory": (FamilyMemberHistory, _relatives),
    "Consent": (Consent, _consents),
    "DocumentReference": (DocumentReference, _documents),
    "order": (MedicationRequest, _orders),
    "request": (ServiceRequest, _requests),
    "visit": (Encounter, _visits),
    "kind of visit": (Encounter, _kinds_of_visits),
}


def _add(
    signs: _Signs,
    concept: CodeableConcept | None,
    source: str,
    time: FhirTime | None,
    left_out: frozenset[str] = frozenset(),
) -> None:
    for meant in read_concept(concept).meant:
        if meant.group in left_out:
            continue
        words = concept.words if concept is not None else ""
        signs.setdefault(meant.group, []).append(Sign(meant.group, words, meant.code, source, time))


def _is_begun_and_not_over(period: Period | None, as_of_epoch: float) -> bool:
    start = period.begin if period is not None else None
    end = period.finish if period is not None else None
    has_begun = start is None or not start.is_after(as_of_epoch)
    return has_begun and (end is None or end.is_after(as_of_epoch))


def _implanted_valve(record: PatientRecord) -> Sign | None:
    """Return the operation by which the patient got a mechanical valve, where it is charted as a procedure."""
    for procedure in record.facts(Procedure):
        code = procedure.code
        if code is None or procedure.status != "completed":
            continue
        coded = _mechanical_valve(code)
        if coded is None:
            continue
        time = procedure.performed
        if time is None or not time.is_after(record.as_of_epoch):
            return Sign(MECHANICAL_VALVE, code.words, coded, procedure.source, time)
    return None


def _mechanical_valve(concept: CodeableConcept) -> str | None:
    """Return the code that names the operation, "" where its words do; None where it is another one."""
    for coding in concept.coding:
        if coding.code and _VALVE_CODE.fullmatch(coding.code):
            return coding.code
    words = concept.text or concept.words
    return "" if states(_VALVE_WORDS, words) else None
