"""Features of stays and visits: how long this stay, how it began, what came before it.

The stay that is judged is the one going on at `as_of`, else the newest that ended within the last day: a discharge is
often written before the visit is closed. Emergency visits that led to it are part of it and are not counted before it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from fhir.mapping.feature import Feature, FeatureValue, Missing
from fhir.record.record import PatientRecord
from fhir.record.resources import Encounter
from fhir.record.time import DAY_SECONDS, FhirTime, parse_time

# HL7 v3 ActCode: inpatient encounter, inpatient acute, inpatient non-acute; emergency.
_INPATIENT = frozenset({"IMP", "ACUTE", "NONAC"})
_EMERGENCY = frozenset({"EMER"})
# Ambulatory, virtual and home visits.
_OUTPATIENT = frozenset({"AMB", "VR", "HH"})
# terminology.hl7.org admit-source: from accident/emergency department. v3 ActPriority: emergency, urgent, stat.
_FROM_EMERGENCY = "emd"
_URGENT = ("EM", "UR", "S", "E", "UD")
_GOING_ON = frozenset({"in-progress", "onleave"})
_NEVER_TOOK_PLACE = frozenset({"planned", "arrived", "triaged", "cancelled", "entered-in-error", "unknown"})
_HALF_YEAR_DAYS, _YEAR_DAYS = 182.625, 365.25


@dataclass(frozen=True, slots=True)
class Stay:
    """One stay or visit with its times; `end` is None while it goes on."""

    encounter: Encounter
    start: FhirTime
    end: FhirTime | None

    @property
    def source(self) -> str:
        """Where it stands."""
        return f"Encounter/{self.encounter.id}" if self.encounter.id else "Encounter without id"

    def until(self, as_of_epoch: float) -> float:
        """The epoch second at which it ended, or `as_of` while it goes on."""
        return min(self.end.instant, as_of_epoch) if self.end is not None else as_of_epoch


def current_stay(record: PatientRecord) -> Stay | None:
    """The stay that the call is about; else the one going on, else the newest that ended in the last day, else None."""
    stays = stays_in_hospital(record)
    named = [stay for stay in stays if stay.encounter.id == record.encounter_id]
    if record.encounter_id is not None and named:
        return named[0]
    known = [
        stay
        for stay in stays
        if (stay.end is None and stay.encounter.status in _GOING_ON)
        or (stay.end is not None and stay.end.instant + DAY_SECONDS * (1.0 + _width(stay.end)) >= record.as_of_epoch)
    ]
    return max(known, key=lambda stay: stay.start.instant, default=None)


def hospital_use(record: PatientRecord, feature: Feature) -> FeatureValue | Missing:
    """The feature of the current stay that its name says; missing without a stay or without the visits."""
    if not record.knows("Encounter"):
        return Missing(feature, "unknown", f"{feature.words}: visits and stays are not at hand.")
    stay = current_stay(record)
    if stay is None:
        return Missing(feature, "absent", f"{feature.words}: no stay in hospital is going on.")
    value, words, source = _READERS[feature.name](record, stay)
    return FeatureValue(feature, value, stay.start.text, source, "", value, words)


_Read = tuple[float, str, str]


def _length(record: PatientRecord, stay: Stay) -> _Read:
    # Nights, as hospitals count days: from one calendar day to the next is one day, whatever the hours.
    zone = datetime.fromisoformat(stay.start.text).tzinfo if stay.start.precision == "instant" else None
    first = datetime.fromtimestamp(stay.start.instant, zone or UTC).date()
    last = datetime.fromtimestamp(stay.until(record.as_of_epoch), zone or UTC).date()
    return float(max((last - first).days, 0)), "days", stay.source


def _as_emergency(record: PatientRecord, stay: Stay) -> _Read:
    led = _emergency_that_led(record, stay)
    if led is not None:
        return 1.0, "through the emergency department", led.source
    hospitalization = stay.encounter.hospitalization
    source = hospitalization.admitSource if hospitalization is not None else None
    if source is not None and source.has(_FROM_EMERGENCY):
        return 1.0, "from the emergency department", stay.source
    priority = stay.encounter.priority
    if priority is not None and any(priority.has(code) for code in _URGENT):
        return 1.0, "urgent", stay.source
    return 0.0, "not charted as an emergency", stay.source


def _visits_before(record: PatientRecord, stay: Stay, days: float = _HALF_YEAR_DAYS) -> _Read:
    led = _emergency_that_led(record, stay)
    visits = [
        visit
        for visit in _visits(record, _EMERGENCY)
        if (led is None or visit.encounter is not led.encounter) and _is_within(visit, stay, days)
    ]
    return float(len(visits)), "emergency visits", visits[0].source if visits else stay.source


def _outpatient_visits(record: PatientRecord, stay: Stay) -> _Read:
    visits = [visit for visit in _visits(record, _OUTPATIENT) if _is_within(visit, stay, _YEAR_DAYS)]
    return float(len(visits)), "outpatient visits", visits[0].source if visits else stay.source


def _stays_before(record: PatientRecord, stay: Stay) -> _Read:
    before = [
        each
        for each in stays_in_hospital(record)
        if each.encounter is not stay.encounter and _is_within(each, stay, _YEAR_DAYS)
    ]
    return float(len(before)), "stays", before[0].source if before else stay.source


def _procedure(record: PatientRecord, stay: Stay) -> _Read:
    for procedure in record.procedures:
        period = procedure.performedPeriod
        text = procedure.performedDateTime or (period.start if period is not None else None)
        time = parse_time(text) if text else None
        is_coded = procedure.code is not None and bool(procedure.code.coding)
        if time is None or not is_coded:
            continue
        if stay.start.instant - DAY_SECONDS * _width(time) <= time.instant <= stay.until(record.as_of_epoch):
            words = procedure.code.words if procedure.code is not None else ""
            return 1.0, words, f"Procedure/{procedure.id}" if procedure.id else stay.source
    return 0.0, "none charted in this stay", stay.source


_READERS: dict[str, Callable[[PatientRecord, Stay], _Read]] = {
    "length_of_stay_days": _length,
    "admitted_as_emergency": _as_emergency,
    "ed_visits_6m": _visits_before,
    "ed_visits_12m": partial(_visits_before, days=_YEAR_DAYS),
    "outpatient_visits_12m": _outpatient_visits,
    "admissions_12m": _stays_before,
    "procedure_in_stay": _procedure,
}


def stays_in_hospital(record: PatientRecord) -> list[Stay]:
    """Inpatient stays that have begun, newest first; a part of a stay (its days in intensive care) is none of its own.

    An encounter of another class that has a discharge disposition and lasted a day or more is one too: MIMIC charts
    every admission through the emergency department as EMER.
    """
    stays = [stay for stay in _begun(record) if _is_inpatient(stay, record.as_of_epoch)]
    return [stay for stay in stays if not any(_contains(other, stay, record.as_of_epoch) for other in stays)]


def _visits(record: PatientRecord, classes: frozenset[str]) -> list[Stay]:
    """Visits of these classes that have begun and are no stay, newest first."""
    return [
        visit
        for visit in _begun(record)
        if visit.encounter.class_ is not None
        and visit.encounter.class_.code in classes
        and not _is_inpatient(visit, record.as_of_epoch)
    ]


def _begun(record: PatientRecord) -> list[Stay]:
    """Everything that has begun, newest first; one in two prefetch keys is one (record.encounters)."""
    return sorted(_starts(record), key=lambda stay: stay.start.instant, reverse=True)


def _starts(record: PatientRecord) -> Iterator[Stay]:
    for encounter in record.encounters:
        if encounter.class_ is None or encounter.status in _NEVER_TOOK_PLACE:
            continue
        start = parse_time(encounter.period.start or "") if encounter.period is not None else None
        end = parse_time(encounter.period.end or "") if encounter.period is not None else None
        if start is not None and not start.is_after(record.as_of_epoch):
            yield Stay(encounter, start, end)


def _is_inpatient(stay: Stay, as_of_epoch: float) -> bool:
    encounter = stay.encounter
    if encounter.class_ is not None and encounter.class_.code in _INPATIENT:
        return True
    hospitalization = encounter.hospitalization
    has_disposition = hospitalization is not None and hospitalization.dischargeDisposition is not None
    return has_disposition and stay.until(as_of_epoch) - stay.start.instant >= DAY_SECONDS


def _contains(other: Stay, stay: Stay, as_of_epoch: float) -> bool:
    """Whether `stay` lies within a longer one; it may be closed up to a day later."""
    begin, end = other.start.instant, other.until(as_of_epoch)
    inside = begin <= stay.start.instant < end and stay.until(as_of_epoch) <= end + DAY_SECONDS
    return inside and end - begin > stay.until(as_of_epoch) - stay.start.instant


def _emergency_that_led(record: PatientRecord, stay: Stay) -> Stay | None:
    """The emergency visit that ended in this stay: begun before it, ended in the day before it or later."""
    for visit in _visits(record, _EMERGENCY):
        end = visit.end.instant + DAY_SECONDS * _width(visit.end) if visit.end is not None else visit.start.instant
        day = DAY_SECONDS * (1.0 + _width(stay.start))
        begun = visit.start.instant <= stay.start.instant + DAY_SECONDS * _width(stay.start)
        if begun and end >= stay.start.instant - day:
            return visit
    return None


def _is_within(visit: Stay, stay: Stay, days: float) -> bool:
    return stay.start.instant - days * DAY_SECONDS <= visit.start.instant < stay.start.instant


def _width(time: FhirTime) -> float:
    """How many days a time may mean: a date alone is the whole day."""
    return 0.0 if time.precision == "instant" else 1.0
