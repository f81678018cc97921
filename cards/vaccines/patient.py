"""What is known about the person: birth date, doses and observations, and how they are read from a patient record.

An observation is found by the codes that CDC gives for it (SNOMED CT, CVX) and by the project's own terms for the same
condition, which also read ICD codes (`data/chart_terms.csv`). What a chart does not say (travel, occupation,
household) is not an observation: the series for it are then not relevant.

Source of the doses by antigen: CDC, Logic Specification for ACIP Recommendations 4.5, section 4.2 (organize
immunization history). Given doses are in the order of their days, asked by vaccine and period without going through
all of them each time: each dose of a series is compared with those before it, and without an index 5,000 doses took
over 40 seconds.
"""

import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from typing import Any, Final

from msgspec import Struct

from cards.vaccines.evidence import REACTIONS, immunity_shown, severe_reactions_to
from cards.vaccines.knowledge import AntigenAtAge, Period, Schedule, load_knowledge
from fhir.mapping.allergies import allergy_grade, is_over
from fhir.mapping.conditions import (
    charted_groups,
    condition_status,
    condition_time,
    doubt_of,
    doubted_pregnancy,
    find_condition,
)
from fhir.mapping.gestation import gestation
from fhir.mapping.immunizations import VaccineDose, VaccineHistory, vaccine_history
from fhir.mapping.medications.active import ActiveMedication, active_medications
from fhir.record.datatypes import CodeableConcept, FhirTime
from fhir.record.record import PatientRecord
from fhir.record.resources import AllergyIntolerance, Condition, Procedure
from fhir.terminology.assertions import is_of_patient, states
from fhir.terminology.conditions import CONDITION_GROUPS, code_system
from fhir.terminology.medications import CVX_SYSTEMS
from fhir.terminology.package_tables import package_rows


class Doses(list[VaccineDose]):
    """Doses in the order of their days, to which later ones are added; they know their days by vaccine."""

    @cached_property
    def _days(self) -> dict[frozenset[str], tuple[list[date], int]]:
        return {}

    def count_between(self, cvx: frozenset[str], begin: date, end: date) -> int:
        """How many doses of these vaccines (none named: of any) were given from `begin` on and before `end`."""
        days = self._days_of(cvx)
        return max(0, bisect_left(days, end) - bisect_left(days, begin))

    def has_any(self, cvx: frozenset[str]) -> bool:
        """Whether one of these vaccines (none named: any) was given on any day."""
        return bool(self._days_of(cvx))

    def latest(self, cvx: frozenset[str]) -> date | None:
        """Return the last day on which one of these vaccines was given."""
        days = self._days_of(cvx)
        return days[-1] if days else None

    def latest_before(self, cvx: frozenset[str], day: date, period: Period) -> date | None:
        """Return the last day on which one of these vaccines was given that lies at least the period before `day`."""
        days = self._days_of(cvx)
        position = bisect_right(days, day, key=period.after)
        return days[position - 1] if position else None

    def _days_of(self, cvx: frozenset[str]) -> list[date]:
        days, seen = self._days.get(cvx) or ([], 0)
        if seen < len(self):
            days += [dose.given for dose in self[seen:] if not cvx or dose.cvx in cvx]
            self._days[cvx] = days, len(self)
        return days


class LatestDose:
    """The latest of some doses up to a day, asked for one day after the other."""

    __slots__ = ("_next", "_ordered", "_passed")

    def __init__(self, doses: Sequence[VaccineDose]) -> None:
        """`doses` are in the order of their days."""
        self._ordered = doses
        self._next = 0
        self._passed: list[VaccineDose] = []

    def up_to(self, dose: VaccineDose | None, left_out: Container[int]) -> date | None:
        """Return the day of the latest one up to the day of `dose` (None: of all), which does not count itself.

        `left_out` are the ids of doses that do not count either, now and later on.
        """
        while self._next < len(self._ordered) and (dose is None or self._ordered[self._next].given <= dose.given):
            self._passed.append(self._ordered[self._next])
            self._next += 1
        itself: list[VaccineDose] = []
        while self._passed and (self._passed[-1] is dose or id(self._passed[-1]) in left_out):
            last = self._passed.pop()
            if last is dose:
                itself.append(last)
        latest = self._passed[-1].given if self._passed else None
        self._passed += itself
        return latest


class PatientObservation(Struct, frozen=True):
    """A CDC observation code that holds for the person: since when, the words of the chart, and where they stand.

    `is_open`: the chart does not settle whether it holds. Such a one decides nothing and may be shown to be checked.
    """

    code: str
    since: date | None = None
    source: str = ""
    words: str = ""
    is_open: bool = False


class _DaysByAge(dict[Period | None, Any]):
    """The days on which somebody reaches an age, each computed when it is first asked for."""

    def __init__(self, birth_date: date) -> None:
        super().__init__({None: None})
        self._birth_date = birth_date

    def __missing__(self, age: Period) -> date:
        day = self[age] = age.after(self._birth_date)
        return day


@dataclass(frozen=True)
class Person:
    """The person whose vaccination is judged. `gender` is Female, Male or Unknown; `country` is that of birth."""

    birth_date: date
    gender: str = "Unknown"
    doses: tuple[VaccineDose, ...] = ()
    observations: tuple[PatientObservation, ...] = ()
    country: str = ""
    codes: frozenset[str] = field(init=False)
    reached: _DaysByAge = field(init=False, repr=False, compare=False)
    """The day on which the person reaches an age, None for no age; the rules ask for the same ages over and over."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "doses", tuple(sorted(self.doses, key=lambda dose: dose.given)))
        object.__setattr__(self, "codes", frozenset(observation.code for observation in self.observations))
        object.__setattr__(self, "reached", _DaysByAge(self.birth_date))

    @cached_property
    def by_day(self) -> Doses:
        """The doses, to be asked by vaccine and period."""
        return Doses(self.doses)

    def within_ages(self, day: date, begin: Period | None, end: Period | None) -> bool:
        """Whether the person is at least `begin` and not yet `end` old on that day."""
        if begin is not None and day < self.reached[begin]:
            return False
        return end is None or day < self.reached[end]

    def observed(self, code: str) -> date | None:
        """Return the latest day on which an observation with this code began."""
        days = [item.since for item in self.observations if item.code == code and item.since is not None]
        return max(days, default=None)


def doses_by_antigen(person: Person, schedule: Schedule) -> dict[str, Doses]:
    """Return the given doses that count for each antigen, earliest first."""
    by_antigen: defaultdict[str, Doses] = defaultdict(Doses)
    for dose in person.doses:
        for antigen in _antigens(dose, person, schedule):
            by_antigen[antigen].append(dose)
    return by_antigen


def _antigens(dose: VaccineDose, person: Person, schedule: Schedule) -> list[str]:
    vaccine = schedule.vaccines.get(dose.cvx)
    parts: tuple[AntigenAtAge, ...] = vaccine.antigens if vaccine else ()
    return [part.antigen for part in parts if person.within_ages(dose.given, part.begin_age, part.end_age)]


PREGNANT, ONSET_OF_PREGNANCY = "007", "170"
HIV, HIV_SEVERE = "186", "154"
_CD4_SEVERE: Final = 200  # CDC general best practice guidelines, altered immunocompetence: from 6 years on, per µL
_CD4_SEVERE_FROM_AGE: Final = 6
_TRANSPLANT, DATE_OF_TRANSPLANT, _SOLID_ORGAN = "004", "171", "157"
# CDC, General Best Practices for Immunization 2023, altered immunocompetence: no live vaccine in the 24 months after a
# transplant of stem cells, and later only where the immune system is competent, which a chart does not say.
_SEVERE_IMMUNOCOMPROMISE: Final = "246"
# The same: pneumococcal vaccine is given from 3 months after it on. CDC's tables know that need of other transplants.
_PNEUMOCOCCAL_AFTER: Final = timedelta(days=91)
# A pregnancy is taken from the chart's own signs, which also say when it is over.
_NOT_BY_CODE = frozenset({PREGNANT, ONSET_OF_PREGNANCY})
# CDC, contraindications: a history of intussusception (rotavirus), encephalopathy after a dose (pertussis), a severe
# reaction to a dose.
_HISTORY = frozenset({"028", "079"}).union(*REACTIONS.values())
# CDC's code for a progressive neurologic disorder is that of epilepsy: whether it is progressive, a code does not say.
_UNCERTAIN = frozenset({"076"})
# As CDC writes it in its rules; ISO 3166 and the usual spellings in charts.
_UNITED_STATES = "U.S."
_US_SPELLINGS = frozenset({"US", "USA", "U.S.", "U.S.A.", "UNITED STATES", "UNITED STATES OF AMERICA"})
_TO_THE_DAY = frozenset({"day", "instant"})
# CDC: immunosuppressive therapy. For how long a steroid was taken its order does not say.
_SUPPRESSED = "158"
_STEROID, _PREDNISONE = "corticosteroid", "8640"
# CDC, General Best Practices for Immunization 2023, altered immunocompetence: 20 mg a day or more for 14 days.
_SUPPRESSIVE_MG = 20.0
# CDC's titles of allergies: "Severe allergic reaction to gelatin"; not those to a dose that was given before.
_OF_SUBSTANCE = re.compile(
    r"(?:allergic reaction|allergy|Hypersensitivity) to (?:the preservative )?([^\[]+?)\s*(?:\[|$)"
)


class ChartedPerson(Struct, frozen=True):
    """The person as read from the chart, and the vaccine entries used.

    `to_check` are observations whose code does not settle whether they hold: they decide nothing and are said.
    """

    person: Person
    history: VaccineHistory
    to_check: tuple[PatientObservation, ...] = ()
    guillain_barre: PatientObservation | None = None
    """A precaution for influenza vaccine within 6 weeks of an earlier dose, which CDC's tables do not have."""


def read_person(record: PatientRecord) -> ChartedPerson | None:
    """Return the person, or None where the birth date is not known to the day."""
    born = record.birth_date
    if born is None or born.precision not in _TO_THE_DAY:
        return None
    history = vaccine_history(record)
    read = list(_observations(record))
    is_pregnant = any(item.code == ONSET_OF_PREGNANCY for item in read)
    gender = "Female" if is_pregnant else {"male": "Male", "female": "Female"}.get(record.sex or "", "Unknown")
    observations = {item.code: item for item in read if not item.is_open}
    open_ones = [item for item in read if item.is_open and item.code not in observations]
    country = (record.birth_country or "").strip()
    person = Person(
        date.fromisoformat(born.date),
        gender,
        history.doses,
        tuple(item for item in observations.values() if item.code not in _UNCERTAIN),
        _UNITED_STATES if country.upper() in _US_SPELLINGS else country,
    )
    uncertain = [item for code, item in observations.items() if code in _UNCERTAIN]
    return ChartedPerson(person, history, (*uncertain, *dict.fromkeys(open_ones)), _guillain_barre(record))


def _guillain_barre(record: PatientRecord) -> PatientObservation | None:
    """Return the syndrome on the problem list, over or not: ICD-10 G61.0, SNOMED CT 40956001, or its name."""
    for condition in record.facts(Condition):
        code = condition.code
        words = code.words if code is not None else ""
        is_coded = code is not None and (code.has("G61.0") or code.has("40956001"))
        if is_coded or states(re.compile("guillain", re.IGNORECASE), words):
            return PatientObservation("", _day(condition_time(condition, record)), condition.source, words)
    return None


def _observations(record: PatientRecord) -> Iterator[PatientObservation]:
    read = [*_conditions(record), *_procedures(record), *_allergies(record), *_terms(record)]
    stem_cells = {item.source for item in read if item.code == _TRANSPLANT}
    observations = [item for item in read if item.code != _SOLID_ORGAN or item.source not in stem_cells]
    yield from observations
    for code, since, source, words in immunity_shown(record):
        yield PatientObservation(code, since, source, words)
    yield from _onset_of_pregnancy(record)
    if (hit := doubted_pregnancy(record)) is not None:  # what is live is not given while that is not settled
        yield PatientObservation(PREGNANT, _day(hit.time), hit.source, hit.words)
    for item in observations:
        if item.code == _TRANSPLANT:
            yield PatientObservation(DATE_OF_TRANSPLANT, item.since, item.source, item.words)
            yield PatientObservation(_SEVERE_IMMUNOCOMPROMISE, item.since, item.source, item.words)
            need = None if item.since is None else item.since + _PNEUMOCOCCAL_AFTER
            if need is None or need <= record.as_of.date():
                yield PatientObservation(_SOLID_ORGAN, need, item.source, item.words)
        elif item.code == HIV and not item.is_open:
            cells = record.newest("cd4")
            if cells is not None and cells.value < _CD4_SEVERE and (record.age_years() or 0) >= _CD4_SEVERE_FROM_AGE:
                yield PatientObservation(
                    HIV_SEVERE, _day(cells.time), cells.source, f"CD4 cells {cells.value:g} per µL"
                )


def _conditions(record: PatientRecord) -> Iterator[PatientObservation]:
    """Problems by CDC's codes; one that is over counts as evidence of immunity, or where CDC asks for a history.

    A diagnosis that is provisional or one of several stays open: a suspected chickenpox is not immunity.
    """
    for condition in record.facts(Condition):
        meanings = _meanings(condition.code) or _reactions_to_vaccines(condition.code)
        if not meanings:
            continue
        time = condition_time(condition, record)
        if time is not None and time.is_after(record.as_of_epoch):
            continue
        is_over = condition_status(condition, record.as_of_epoch) == "past"
        for code in meanings:
            if not is_over or code in _IMMUNE_CODES or code in _HISTORY:
                words = condition.code.words if condition.code is not None else ""
                is_open = bool(doubt_of(condition))
                yield PatientObservation(code, _day(time), condition.source, words, is_open)


def _reactions_to_vaccines(concept: CodeableConcept | None) -> tuple[str, ...]:
    """CDC's observations of an anaphylaxis to a vaccine that a problem names, of the patient's own."""
    words = concept.words if concept is not None else ""
    start = words.lower().find("anaphyla")
    is_own = start >= 0 and is_of_patient(words, start, names_vaccines=True)
    return tuple(severe_reactions_to(words)) if is_own else ()


def _procedures(record: PatientRecord) -> Iterator[PatientObservation]:
    for procedure in record.facts(Procedure):
        meanings = _meanings(procedure.code) if procedure.status == "completed" else ()
        if not meanings:
            continue
        time = procedure.performed
        if not (time is not None and time.is_after(record.as_of_epoch)):
            for code in meanings:
                words = procedure.code.words if procedure.code is not None else ""
                yield PatientObservation(code, _day(time), procedure.source, words)


def _allergies(record: PatientRecord) -> Iterator[PatientObservation]:
    """Allergies by CDC's codes and by the names of its substances; to a vaccine (CVX), only where it was severe."""
    for allergy in record.facts(AllergyIntolerance):
        if is_over(allergy):
            continue
        words, source = allergy.code.words if allergy.code is not None else "", allergy.source
        is_severe = allergy.criticality == "high" or allergy_grade(allergy) == "severe"
        meanings = _meanings(allergy.code, with_vaccines=is_severe)
        for code in meanings:
            yield PatientObservation(code, None, source, words)
        is_possible = is_severe or (allergy.criticality != "low" and allergy_grade(allergy) == "unknown")
        if not meanings and is_possible:
            # "Shingrix", "MMR vaccine": to a vaccine in words; where nothing says how severe it was, it is asked first.
            for code in (*severe_reactions_to(words), *_substances_named(words)):
                yield PatientObservation(code, None, source, words, is_open=not is_severe)


def _substances_named(words: str) -> Iterator[str]:
    """CDC's codes of allergies to the substances that the words name, of the patient's own."""
    for name, code in _SUBSTANCES.items():
        match = re.search(rf"\b{name}\b", words, re.IGNORECASE) if name in words.lower() else None
        if match is not None and is_of_patient(words, match.start()):
            yield code


def _terms(record: PatientRecord) -> Iterator[PatientObservation]:
    """Conditions and medications by the project's own terms (`data/chart_terms.csv`)."""
    # An ointment with tacrolimus or a cream with fluorouracil suppresses nothing.
    systemic = [
        (active_medication, active_medication.identity.keys)
        for active_medication in active_medications(record)
        if active_medication.identity.systemic
    ]
    medication_by_key = {key: medication for medication, keys in reversed(systemic) for key in keys}
    charted = charted_groups(record)
    known = {*charted, *medication_by_key}
    for observation, kind, key in [term for term in _CHART_TERMS if term[2] in known]:
        if kind in _OF_MEDICATIONS:
            if (medication := medication_by_key.get(key)) is not None:
                yield PatientObservation(observation, _day(medication.authored), medication.source, medication.name)
        elif key in charted and (hit := find_condition(record, key)) is not None:
            is_open = kind == _TO_CHECK or bool(hit.doubt)
            yield PatientObservation(observation, _day(hit.time), hit.source, hit.words, is_open)
    steroid = next((item for item, keys in systemic if _STEROID in keys and not _is_low_dose(item)), None)
    if steroid is not None:
        yield PatientObservation(_SUPPRESSED, _day(steroid.authored), steroid.source, steroid.name, is_open=True)


def _is_low_dose(steroid: ActiveMedication) -> bool:
    """Whether it is known to be less prednisone than what CDC calls immunosuppressive."""
    daily = steroid.dose.daily(_PREDNISONE)
    return daily is not None and daily.high < _SUPPRESSIVE_MG


_FIRST_WEEK_OF_VACCINES: Final = 27
"""Tdap is given from it on, RSV later (CDC): a second trimester does not say when that is."""


def _onset_of_pregnancy(record: PatientRecord) -> Iterator[PatientObservation]:
    """When the pregnancy began, from how far it is; CDC counts vaccines in pregnancy from that day."""
    hit = find_condition(record, "pregnancy")
    pregnancy = gestation(record, hit.time if hit.is_onset else None, hit.source) if hit is not None else None
    if pregnancy is not None and (pregnancy.weeks == pregnancy.most or pregnancy.weeks >= _FIRST_WEEK_OF_VACCINES):
        onset = record.as_of.date() - timedelta(days=pregnancy.days)
        yield PatientObservation(ONSET_OF_PREGNANCY, onset, pregnancy.source or "", pregnancy.words)


def _day(time: FhirTime | None) -> date | None:
    return date.fromisoformat(time.date) if time is not None and time.precision in _TO_THE_DAY else None


def _meanings(concept: CodeableConcept | None, *, with_vaccines: bool = False) -> tuple[str, ...]:
    """Return the observations that CDC gives these codes for."""
    observations: tuple[str, ...] = ()
    for coding in concept.coding if concept is not None else ():
        if code_system(coding.system) == "snomed":
            observations += _OF_SNOMED.get(coding.code, ())
        elif with_vaccines and coding.system in CVX_SYSTEMS:
            observations += _OF_CVX.get(coding.code.zfill(2), ())
    return observations


def _coded(system: str) -> dict[str, tuple[str, ...]]:
    """Return the observations by their codes in one system of CDC's table."""
    by_code: dict[str, tuple[str, ...]] = {}
    for observation, observation_entry in load_knowledge().schedule.observations.items():
        for code in observation_entry.codes.get(system, ()):
            if observation not in _NOT_BY_CODE:
                by_code[code] = (*by_code.get(code, ()), observation)
    return by_code


_OF_SNOMED: Final = _coded("SNOMED")
_OF_CVX: Final = _coded("CVX")
_IMMUNE_CODES: Final[frozenset[str]] = frozenset().union(
    *(antigen.immune_observations for antigen in load_knowledge().antigens.values())
)


_SUBSTANCES: Final[dict[str, str]] = {
    match[1].lower(): code
    for code, observation_entry in load_knowledge().schedule.observations.items()
    if (match := _OF_SUBSTANCE.search(observation_entry.title)) is not None
}


_OF_MEDICATIONS: Final = ("class", "ingredient")


_TO_CHECK: Final = "group to check"
_CHART_TERMS: Final = tuple(
    (
        row["observation"],
        row["kind"],
        row["key"] if row["kind"] in _OF_MEDICATIONS else CONDITION_GROUPS[row["key"]].key,
    )
    for row in package_rows("cards.vaccines", "data/chart_terms.csv")
)
