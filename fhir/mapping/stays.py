"""Hospital stays and visits: which stay is the current one, what came before it, whether the patient is an inpatient.

The current stay is the one going on at `as_of`, else the newest that ended within the last day: a discharge is often
written before the visit is closed. Emergency visits that led to it are part of it and are not counted before it.

Where a stay ends is said by the code of a discharge disposition or by its words. The codes of several code systems are
one list: HL7 discharge-disposition (FHIR R4), the NUBC patient discharge status of US claims (UB-04 field 17), and that
of MIMIC on FHIR. Codes that say neither, or "still a patient", are none.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest
from math import nan
from typing import Final, TypeAlias

from msgspec import Struct

from fhir.mapping.features.feature import FeatureVector, Missing
from fhir.record.datatypes import DAY_SECONDS, CodeableConcept, FhirTime, parse_time
from fhir.record.record import PatientRecord, id_of_reference
from fhir.record.resources import Encounter, Procedure
from fhir.record.statuses import NEVER_TOOK_PLACE
from fhir.terminology.medications import table_rows

# HL7 v3 ActCode: inpatient encounter, inpatient acute, inpatient non-acute.
_INPATIENT = frozenset({"IMP", "ACUTE", "NONAC"})
# Emergency, observation, short stay.
_UNDER_OBSERVATION = frozenset({"EMER", "OBSENC", "SS"})
_GOING_ON = frozenset({"in-progress", "onleave"})
_PRESENT = _GOING_ON | {"arrived", "triaged"}


class Destination(Struct, frozen=True, gc=False):
    """One destination: its key and a clinician's words."""

    key: str
    words: str


DESTINATIONS: Final[tuple[Destination, ...]] = tuple(
    Destination(row["key"], row["words"]) for row in table_rows("discharge_destinations.csv")
)
"""All of them in the order of the table, which is the order of the codes of the feature `discharge_destination`."""


def destination_of(code: str | None) -> Destination | None:
    """Return the destination that a code of a discharge disposition names; None where it names none that is known.

    >>> destination_of("03").key, destination_of("snf").key, destination_of("30")
    ('skilled_nursing', 'skilled_nursing', None)
    """
    return _DESTINATION_BY_CODE.get(_normal(code or ""))


# The first that is found says where: a "nursing home" is no home.
_WORDS = (
    ("hospice", ("hospice",)),
    ("long_term_hospital", ("long-term acute", "long term acute", "ltac")),
    ("psychiatric", ("psychiatric hospital", "psychiatric facility", "psychiatric unit")),
    ("died", ("died", "expired", "deceased")),
    ("skilled_nursing", ("skilled nursing", "nursing facility", "snf")),
    ("intermediate_care", ("nursing home", "long-term care", "long term care", "intermediate care")),
    ("rehabilitation", ("rehab",)),
    ("home_health", ("home health",)),
    ("home", ("home",)),
    ("hospital", ("another hospital", "other hospital", "acute care hospital", "general hospital", "acute hospital")),
)


def destination_in_words(text: str) -> Destination | None:
    """Return the destination that words name; None where they name none that is known.

    >>> destination_in_words("Transfer to SNF").key, destination_in_words("Sunrise Nursing Home").key
    ('skilled_nursing', 'intermediate_care')
    """
    lower = text.lower()
    key = next((key for key, words in _WORDS if any(word in lower for word in words)), None)
    return next((destination for destination in DESTINATIONS if destination.key == key), None)


# HL7 discharge-disposition and its table 0112, NUBC, MIMIC. Without a system the code may be one of them; a number of
# another system ("6" of Epic) is none.
_OF_DISPOSITIONS = re.compile(r"discharge|nubc|0112|113883\.(?:6\.301\.5|12\.112)$", re.IGNORECASE)


def destination_named(disposition: CodeableConcept | None) -> Destination | None:
    """Where a discharge disposition says that the patient goes: by its codes, else by its words."""
    if disposition is None:
        return None
    codes = (
        coding.code for coding in disposition.coding if not coding.system or _OF_DISPOSITIONS.search(coding.system)
    )
    destinations = (*map(destination_of, codes), *map(destination_in_words, disposition.texts))
    return next((destination for destination in destinations if destination is not None), None)


def _read_by_code() -> Mapping[str, Destination]:
    destination_by_code: dict[str, Destination] = {}
    for row, destination in zip(table_rows("discharge_destinations.csv"), DESTINATIONS, strict=True):
        for column in ("nubc", "hl7", "mimic"):
            destination_by_code |= {_normal(code): destination for code in row[column].split(";") if code}
    return destination_by_code


def _normal(code: str) -> str:
    # 01 and 1 are the same status of a claim
    return code.strip().upper().lstrip("0")


_DESTINATION_BY_CODE: Final[Mapping[str, Destination]] = _read_by_code()


def is_inpatient(record: PatientRecord) -> bool:
    """Whether a stay in hospital covers `as_of`: one whose period does, or one that goes on without an end."""
    return not record.derive(_classes_now).isdisjoint(_INPATIENT)


def is_in_hospital(record: PatientRecord) -> bool:
    """Whether a stay, a short one too, an emergency or an observation covers `as_of`."""
    return not record.derive(_classes_now).isdisjoint(_INPATIENT | _UNDER_OBSERVATION)


def _classes_now(record: PatientRecord) -> frozenset[str | None]:
    """Return the classes of the encounters that cover `as_of`."""
    return frozenset(
        encounter.class_code for encounter in record.facts(Encounter) if _covers(encounter, record.as_of_epoch)
    )


def _covers(encounter: Encounter, as_of_epoch: float) -> bool:
    start, end = _begin_and_end(encounter)
    if encounter.status == "planned" or (start is not None and start.is_after(as_of_epoch)):
        return False
    if end is None:
        return encounter.status in _PRESENT and not is_left_open(encounter, as_of_epoch)
    # An end given as a day lasts until that day is over.
    return start is not None and end.instant + (0.0 if end.precision == "instant" else 86_400.0) >= as_of_epoch


LONGEST_STAY_DAYS = 365.0
LONGEST_VISIT_DAYS = 7.0
"""After so many days a stay, or another visit, that nobody closed is over; the project's own choice."""


def is_left_open(encounter: Encounter, as_of_epoch: float) -> bool:
    """Whether a visit without an end began so long ago that nobody has closed it."""
    start, end = _begin_and_end(encounter)
    if end is not None or start is None:
        return False
    is_stay = encounter.class_code in _INPATIENT
    return start.whole_days(as_of_epoch) > (LONGEST_STAY_DAYS if is_stay else LONGEST_VISIT_DAYS)


def _is_of_call(encounter: Encounter, record: PatientRecord) -> bool:
    return record.encounter_id is not None and encounter.id == record.encounter_id


def _begin_and_end(encounter: Encounter) -> tuple[FhirTime | None, FhirTime | None]:
    period = encounter.period
    return (period.begin, period.finish) if period is not None else (None, None)


def care_units(record: PatientRecord) -> frozenset[str]:
    """Where the patient is seen now: ids and names of the locations and the provider of visits in progress."""
    going_on = (visit for visit in record.facts(Encounter) if visit.status in _GOING_ON)
    places = [
        reference
        for visit in going_on
        for reference in (visit.serviceProvider, *(location.location for location in visit.location))
    ]
    names = {
        name
        for reference in places
        if reference is not None
        for name in (reference.display, id_of_reference(reference.reference))
    }
    return frozenset(name for name in names if name)


def named_units(record: PatientRecord) -> tuple[str, ...]:
    """Name the care units of visits in progress, each by its name or else its id; the provider if no place is named."""
    going_on = [visit for visit in record.facts(Encounter) if visit.status in _GOING_ON]
    if not going_on:
        return ()
    places = [location.location for visit in going_on for location in visit.location]
    references = places or [visit.serviceProvider for visit in going_on]
    names = {reference.display or id_of_reference(reference.reference) for reference in references if reference}
    return tuple(sorted(name for name in names if name))


_INTENSIVE_CARE = re.compile(
    r"intensive care|critical care|coronary care unit|\b(?:[a-z]{1,3}[- ]?)?icu\b|\bccu\b", re.IGNORECASE
)


def is_in_intensive_care(record: PatientRecord) -> bool:
    """Whether a visit in progress is in an intensive care unit, by the words of its place, provider or type."""
    words = [concept.words for visit in record.facts(Encounter) if visit.status in _GOING_ON for concept in visit.type]
    return any(_INTENSIVE_CARE.search(care_unit) for care_unit in (*care_units(record), *words))


_EMERGENCY = frozenset({"EMER"})
# Ambulatory, virtual and home visits.
_OUTPATIENT = frozenset({"AMB", "VR", "HH"})
# terminology.hl7.org admit-source: from accident/emergency department, transferred from other hospital. v3
# ActPriority: emergency, urgent, stat.
_FROM_EMERGENCY, _FROM_HOSPITAL = "emd", "hosp-trans"
_URGENT = ("EM", "UR", "S", "E", "UD")
# In words, where the codes are of a system of the chart's own or none (MIMIC on FHIR: "EMERGENCY ROOM").
_EMERGENCY_WORDS = re.compile(r"\bemergency (?:room|dep(?:artmen)?t)\b", re.IGNORECASE)
_HOSPITAL_WORDS = re.compile(
    r"\btransfer(?:red)? from (?:an?other |an? )?(?:acute (?:care )?)?hospital\b", re.IGNORECASE
)
_URGENT_WORDS = re.compile(r"(?<!non-)(?<!non )(?<!not )\b(?:emergency|emergent|urgent)\b", re.IGNORECASE)
OTHER_HOSPITALS = frozenset({"hospital", "other_inpatient", "long_term_hospital", "psychiatric"})
"""The destinations (fhir/terminology/tables/discharge_destinations.csv) where a stay in hospital goes on."""
HALF_YEAR_DAYS, YEAR_DAYS = 182.625, 365.25


@dataclass(frozen=True, slots=True)
class Stay:
    """One stay or visit with its times; `end` is None while it goes on."""

    encounter: Encounter
    start: FhirTime
    end: FhirTime | None

    @property
    def source(self) -> str:
        """The reference of the Encounter."""
        return self.encounter.source

    def until(self, as_of_epoch: float) -> float:
        """Return the epoch second at which it ended, or `as_of` while it goes on."""
        return min(self.end.instant, as_of_epoch) if self.end is not None else as_of_epoch


def current_stay(record: PatientRecord) -> Stay | None:
    """Find the stay the call is about; else the one going on, else the newest that ended in the last day, else None."""
    return record.derive(_find_current_stay)


def _find_current_stay(record: PatientRecord) -> Stay | None:
    stays = stays_in_hospital(record)
    named_stays = [stay for stay in stays if _is_of_call(stay.encounter, record)]
    if named_stays:
        return named_stays[0]
    open_stays = [
        stay
        for stay in stays
        if stay.end is None or stay.end.instant + DAY_SECONDS * (1.0 + _width(stay.end)) >= record.as_of_epoch
    ]
    return max(open_stays, key=lambda stay: stay.start.instant, default=None)


def discharge_destination(record: PatientRecord) -> tuple[Destination, Stay] | None:
    """Where the current stay ends, as far as that is charted; None where it is not."""
    return record.derive(_find_destination)


def _find_destination(record: PatientRecord) -> tuple[Destination, Stay] | None:
    stay = current_stay(record)
    hospitalization = stay.encounter.hospitalization if stay is not None else None
    if stay is None or hospitalization is None:
        return None
    destination = hospitalization.destination
    destination_meant = destination_named(hospitalization.dischargeDisposition)
    if destination_meant is None and destination is not None and destination.display:
        destination_meant = destination_in_words(destination.display)
    return (destination_meant, stay) if destination_meant is not None else None


def current_stay_source(record: PatientRecord) -> str:
    """Return the current stay as a source, else the patient."""
    stay = current_stay(record)
    return stay.source if stay is not None else f"Patient/{record.patient_id}"


StayFact: TypeAlias = tuple[float, str, str]
"""A number, what it counts in words, and the resource that it rests on."""


def length_of_stay(record: PatientRecord, stay: Stay) -> StayFact:
    """Days from the first day of the stay to the last, as hospitals count them."""
    # Nights, as hospitals count days: from one calendar day to the next is one day, whatever the hours. Counted without
    # `datetime`, which has no day for an instant of the first and the last hours of its calendar in every zone.
    zone = datetime.fromisoformat(stay.start.text).utcoffset() if stay.start.precision == "instant" else None
    ahead = zone.total_seconds() if zone is not None else 0.0
    first, last = (int((at + ahead) // DAY_SECONDS) for at in (stay.start.instant, stay.until(record.as_of_epoch)))
    days = max(last - first, 0)
    return float(days), "day" if days == 1 else "days", stay.source


def admitted_as_emergency(record: PatientRecord, stay: Stay) -> StayFact:
    """1 where the stay began as an emergency, else 0."""
    led = _emergency_that_led(record, stay)
    if led is not None:
        return 1.0, "through the emergency department", led.source
    hospitalization = stay.encounter.hospitalization
    source = hospitalization.admitSource if hospitalization is not None else None
    if source is not None and (source.has(_FROM_EMERGENCY) or _says(_EMERGENCY_WORDS, source)):
        return 1.0, "from the emergency department", stay.source
    priority = stay.encounter.priority
    if priority is not None and (any(priority.has(code) for code in _URGENT) or _says(_URGENT_WORDS, priority)):
        return 1.0, "urgent", stay.source
    return 0.0, "not charted as an emergency", stay.source


def _says(words: re.Pattern[str], concept: CodeableConcept) -> bool:
    """Whether its text, a display or, as MIMIC writes words there, a code says so."""
    texts = (concept.text, *(part for coding in concept.coding for part in (coding.display, coding.code)))
    return any(words.search(text) is not None for text in texts if text)


def emergency_visits_before(record: PatientRecord, stay: Stay | None, days: float = HALF_YEAR_DAYS) -> StayFact:
    """Emergency visits in so many days before the stay, or before now, without the one that led to it."""
    led = _emergency_that_led(record, stay) if stay is not None else None
    others = [visit for visit in emergency_visits(record) if led is None or visit.encounter is not led.encounter]
    return _counted(record, stay, _earlier(record, others, stay, days), "emergency visit")


def outpatient_visits_before(record: PatientRecord, stay: Stay | None, days: float = YEAR_DAYS) -> StayFact:
    """Outpatient visits in so many days before the stay, or before now."""
    visits = _earlier(record, _visits(record, _OUTPATIENT), stay, days)
    return _counted(record, stay, visits, "outpatient visit")


def stays_before(record: PatientRecord, stay: Stay | None, days: float = YEAR_DAYS) -> StayFact:
    """Other stays in hospital that began in so many days before this one, or before now, without those it continues.

    Stays that went over into each other are one, which began with the first of them.
    """
    stays = stays_in_hospital(record)
    begun = [
        later for later, earlier in zip_longest(stays, stays[1:]) if earlier is None or not _went_over(earlier, later)
    ]
    if stay is not None:
        continued = _continued_by(stay, stays)
        begun = [earlier_stay for earlier_stay in begun if earlier_stay not in continued]
    return _counted(record, stay, _earlier(record, begun, stay, days), "stay")


def _earlier(record: PatientRecord, visits: Sequence[Stay], stay: Stay | None, days: float) -> list[Stay]:
    """Those that began in so many days before the stay; where there is none, before now, and that are over."""
    if stay is not None:
        return [visit for visit in visits if _is_within(visit, stay.start.instant, days)]
    now = record.as_of_epoch
    return [visit for visit in visits if _is_within(visit, now, days) and not _is_at_hand(visit, record)]


def _is_at_hand(visit: Stay, record: PatientRecord) -> bool:
    """Whether the visit is the one that the call is about, or is not over; one that nobody has closed is over."""
    if _is_of_call(visit.encounter, record):
        return True
    if visit.end is None:
        return not is_left_open(visit.encounter, record.as_of_epoch)
    return visit.end.instant >= record.as_of_epoch


def _counted(record: PatientRecord, stay: Stay | None, visits: Sequence[Stay], word: str) -> StayFact:
    nothing = stay.source if stay is not None else f"Patient/{record.patient_id}"
    return float(len(visits)), word if len(visits) == 1 else f"{word}s", visits[0].source if visits else nothing


def _continued_by(stay: Stay, others: list[Stay]) -> list[Stay]:
    """Return the stays (newest first) that went over into this one: a transfer is no admission of its own.

    The chart says so where this stay came from another hospital, or the one before went to one, within a day; and where
    this one began before the other was over nobody was at home in between.
    """
    chain, first = [], stay
    for earlier_stay in others:
        if _went_over(earlier_stay, first):
            chain.append(earlier_stay)
            first = earlier_stay
    return chain


def _went_over(earlier: Stay, later: Stay) -> bool:
    if earlier.end is None or earlier.start.instant > later.start.instant:
        return False
    gap = later.start.instant - earlier.end.instant
    width = DAY_SECONDS * (_width(later.start) + _width(earlier.end))
    if gap <= 0 and not width:
        return True
    return gap <= DAY_SECONDS + width and is_transfer(earlier.encounter, later.encounter)


def is_transfer(earlier: Encounter, later: Encounter) -> bool:
    """Whether the chart says that one stay went to another hospital, or that the other came from one."""
    before, after = earlier.hospitalization, later.hospitalization
    destination = destination_named(before.dischargeDisposition) if before is not None else None
    if destination is not None and destination.key in OTHER_HOSPITALS:
        return True
    source = after.admitSource if after is not None else None
    return source is not None and (source.has(_FROM_HOSPITAL) or _says(_HOSPITAL_WORDS, source))


def procedure_in_stay(record: PatientRecord, stay: Stay) -> StayFact:
    """1 where a coded procedure was done in the stay, else 0."""
    for procedure in record.facts(Procedure):
        time = procedure.performed
        is_coded = procedure.code is not None and bool(procedure.code.coding)
        if time is None or not is_coded:
            continue
        if stay.start.instant - DAY_SECONDS * _width(time) <= time.instant <= stay.until(record.as_of_epoch):
            words = procedure.code.words if procedure.code is not None else ""
            return 1.0, words, procedure.source if procedure.id else stay.source
    return 0.0, "none charted in this stay", stay.source


def stays_in_hospital(record: PatientRecord) -> list[Stay]:
    """Inpatient stays that have begun, newest first; a part of a stay (its days in intensive care) is none of its own.

    An encounter of another class that has a discharge disposition and lasted a day or more is one too: MIMIC charts
    every admission through the emergency department as EMER.
    """
    return record.derive(_whole_stays)


def _whole_stays(record: PatientRecord) -> list[Stay]:
    may_be = [
        encounter
        for encounter in record.facts(Encounter)
        if (of := encounter.class_) is not None and (of.code in _INPATIENT or encounter.hospitalization is not None)
    ]
    stays = [stay for stay in _newest_first(record, may_be) if _is_inpatient(stay, record.as_of_epoch)]
    if len(stays) < 2:
        return stays
    parts = _parts_of_longer_stays(stays, record.as_of_epoch)
    return _each_once([stay for stay in stays if id(stay.encounter) not in parts], record.encounter_id)


def _each_once(stays: list[Stay], text: str | None) -> list[Stay]:
    """Of stays that begin and end together one, that of the call first: nobody is in two hospitals at once."""
    kept: dict[tuple[float, float | None], Stay] = {}
    for stay in stays:
        span = stay.start.instant, stay.end.instant if stay.end is not None else None
        if span not in kept or stay.encounter.id == text:
            kept[span] = stay
    ids = {id(stay) for stay in kept.values()}
    return [stay for stay in stays if id(stay) in ids]


def emergency_visits(record: PatientRecord) -> list[Stay]:
    """Emergency visits that have begun and are no stay, newest first."""
    return record.derive(_emergencies)


def _emergencies(record: PatientRecord) -> list[Stay]:
    return _visits(record, _EMERGENCY)


def _visits(record: PatientRecord, classes: frozenset[str]) -> list[Stay]:
    """Visits of these classes that have begun and are no stay, newest first."""
    encounters = [encounter for encounter in record.facts(Encounter) if encounter.class_code in classes]
    return [visit for visit in _newest_first(record, encounters) if not _is_inpatient(visit, record.as_of_epoch)]


def _newest_first(record: PatientRecord, encounters: list[Encounter]) -> list[Stay]:
    """Those of them that have begun, newest first. The times of visits of which nobody asks are not read."""
    begun: list[Stay] = []
    for encounter in encounters:
        if encounter.status not in NEVER_TOOK_PLACE:
            start, end = _begin_and_end(encounter)
            if start is not None and not start.is_after(record.as_of_epoch):
                # One that is over and has no end lasted nobody knows how long: not until now.
                is_going_on = encounter.status in _GOING_ON and not is_left_open(encounter, record.as_of_epoch)
                is_open = is_going_on or _is_of_call(encounter, record)
                begun.append(Stay(encounter, start, end if is_open else end or start))
    return sorted(begun, key=lambda stay: stay.start.instant, reverse=True)


def _is_inpatient(stay: Stay, as_of_epoch: float) -> bool:
    encounter, hospitalization = stay.encounter, stay.encounter.hospitalization
    if encounter.class_code in _INPATIENT:
        return True
    has_disposition = hospitalization is not None and hospitalization.dischargeDisposition is not None
    return has_disposition and stay.until(as_of_epoch) - stay.start.instant >= DAY_SECONDS


def _parts_of_longer_stays(stays: list[Stay], as_of_epoch: float) -> set[int]:
    """Find the encounters (by `id()`) that lie within a longer stay; a part may be closed a day after it.

    What overlaps only a part is none: it went over from the whole, and `stays_before` counts the two as one.
    """
    spans = [(stay.start.instant, stay.until(as_of_epoch), id(stay.encounter)) for stay in stays]
    parts: set[int] = set()
    whole_begin, whole_end = -math.inf, -math.inf
    for begin, end, encounter in sorted(spans, key=lambda span: (span[0], -span[1])):
        if begin < whole_end and end <= whole_end + DAY_SECONDS and end - begin < whole_end - whole_begin:
            parts.add(encounter)
        elif end > whole_end:
            whole_begin, whole_end = begin, end
    return parts


def _emergency_that_led(record: PatientRecord, stay: Stay) -> Stay | None:
    """Return the emergency visit that ended in this stay: begun before it, ended in the day before it or later."""
    for visit in emergency_visits(record):
        end = visit.end.instant + DAY_SECONDS * _width(visit.end) if visit.end is not None else visit.start.instant
        day = DAY_SECONDS * (1.0 + _width(stay.start))
        begun = visit.start.instant <= stay.start.instant + DAY_SECONDS * _width(stay.start)
        if begun and end >= stay.start.instant - day:
            return visit
    return None


def _is_within(visit: Stay, moment: float, days: float) -> bool:
    return moment - days * DAY_SECONDS <= visit.start.instant < moment


def _width(time: FhirTime) -> float:
    """How many days a time may mean: a date alone is the whole day."""
    return 0.0 if time.precision == "instant" else 1.0


STAY_DAYS: Final = 14.0
"""Values of a stay in hospital and of so many days after it are not used: the studies are of people living at home."""


def without_stays(record: PatientRecord, vector: FeatureVector, *, emergencies: bool = False) -> FeatureVector:
    """Return the vector without what was measured in a stay in hospital, or in the two weeks after it.

    With `emergencies` what was measured on the day of an emergency visit is left out too. Where an older value of the
    same kind was measured outside every such time it is not looked for: it would be of another state of the patient
    than the other inputs.
    """
    spans = [
        (stay.start.instant - DAY_SECONDS, stay.until(record.as_of_epoch) + STAY_DAYS * DAY_SECONDS)
        for stay in stays_in_hospital(record)
    ]
    visits = [
        (visit.start.instant, (visit.end or visit.start).instant + DAY_SECONDS)
        for visit in (emergency_visits(record) if emergencies else ())
    ]
    if not spans and not visits:
        return vector
    values, evidence, missing = vector.values.copy(), list(vector.evidence), list(vector.missing)
    for position, value in enumerate(vector.evidence):
        if value is None or not value.is_measured:
            continue
        time = parse_time(value.effective)
        if time is None:
            continue
        if any(begin <= time.instant <= end for begin, end in spans):
            occasion = "a stay in hospital or the two weeks after it"
        elif any(begin <= time.instant <= end for begin, end in visits):
            occasion = "an emergency visit"
        else:
            continue
        words = f"{value.feature.words} of {value.effective[:10]} is of {occasion}."
        missing.append(Missing(value.feature, "refused", words))
        values[position], evidence[position] = nan, None
    return FeatureVector(vector.features, values, evidence, missing)
