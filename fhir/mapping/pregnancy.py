"""Pregnancy: whether one is current, how it is known, and what contradicts it.

shared/data/medications/rules/pregnancy.json, tables status and gestation. A condition comes first
(`fhir/mapping/conditions.py` asks here whether it still counts); then what was observed: a pregnancy status, a due
date, a gestational age, a positive test, the reason of a visit.
"""

import re
from collections.abc import Iterator

from msgspec import Struct

from fhir.mapping.pregnancy_signs import PregnancySign, PregnancySignKind, pregnancy_signs
from fhir.record.datatypes import DAY_SECONDS, CodeableConcept, FhirTime, parse_time
from fhir.record.record import PatientRecord
from fhir.terminology.assertions import states
from fhir.terminology.conditions import condition_groups_of, ends_pregnancy

# shared/data/medications/conditions.csv: "a finished pregnancy is often left active in charts".
LONGEST_DAYS = 310.0
# The same table: "Observation hCG positive within 60 days".
_TEST_DAYS = 60.0
_WEEKS_AT_TERM = 40.0
# The table's childbearing age; hCG rises without a pregnancy after it, and a newborn's chart has a gestational age too.
FIRST_FERTILE_YEAR, LAST_FERTILE_YEAR = 12, 50


class ObservedPregnancy(Struct, frozen=True, gc=False):
    """A pregnancy that is known without a condition: the kind of sign, the words, the resource and the date."""

    how: PregnancySignKind
    words: str
    code: str
    source: str
    time: FhirTime

    @property
    def is_supposed(self) -> bool:
        """Whether only a period that did not come tells of it."""
        return self.how == "period"


def is_current_pregnancy(record: PatientRecord, since: FhirTime | None) -> bool:
    """Whether a pregnancy charted `since` then is going on: within 310 days, and no later end of it on the record.

    Without a date it is, unless one ended in the last 310 days.
    """
    if since is None:
        return not has_ended(record, record.as_of_epoch - LONGEST_DAYS * DAY_SECONDS)
    if since.whole_days(record.as_of_epoch) > LONGEST_DAYS:
        return False
    return not has_ended(record, since.instant)


def observed_pregnancy(record: PatientRecord) -> ObservedPregnancy | None:
    """Return a pregnancy known without a condition that counts, the surest sign first; only of a woman of 12 to 50."""
    return None if record.sex == "male" else record.derive(_by_signs)


def may_be_pregnant(record: PatientRecord) -> bool:
    """Whether a pregnancy on the problem list can be: of no man by sex at birth, nor by gender without another sign.

    What is charted of the body goes before the administrative gender: a due date, a test or a prenatal visit beside the
    condition shows that the gender is not the sex.
    """
    return record.sex != "male" or (record.charted_sex is None and record.derive(_by_signs) is not None)


def _by_signs(record: PatientRecord) -> ObservedPregnancy | None:
    age = record.age_years()
    if age is not None and not FIRST_FERTILE_YEAR <= age <= LAST_FERTILE_YEAR:
        return None
    signs = pregnancy_signs(record)
    missed = [sign for sign in signs.periods[:1] if _is_missed(sign, record)]
    for sign in (*signs.pregnant, *signs.due, *signs.gestation, *signs.positive, *signs.visits, *missed):
        if _is_going_on(sign, record):
            return ObservedPregnancy(sign.how, sign.words, sign.code, sign.source, sign.time)
    return None


# A cycle lasts 24 to 38 days (FIGO 2018): five weeks and more after a period began, the next one is late.
_LATE_WEEKS = 5.0


def _is_missed(sign: PregnancySign, record: PatientRecord) -> bool:
    """Whether the last period was charted so long after it began that the next one had not come, and no test since."""
    return sign.weeks >= _LATE_WEEKS and not _tested_negative_since(record, sign.time) and not _can_have_none(record)


# Why periods stay away without a pregnancy, in the words of problems and operations.
_NO_PERIODS = re.compile(
    r"menopaus|amenorrh|oligomenorrh|hysterectom|polycystic ovar|\bpcos\b|anorexia|\biuds?\b|implant|depo-?provera"
    r"|ovarian (?:failure|insufficiency)|sterili[sz]ation|tubal ligation",
    re.IGNORECASE,
)


def _can_have_none(record: PatientRecord) -> bool:
    concepts = [condition.code for condition in record.conditions]
    concepts += [procedure.code for procedure in record.procedures if procedure.status == "completed"]
    return any(concept is not None and _NO_PERIODS.search(concept.words) for concept in concepts)


def _is_going_on(sign: PregnancySign, record: PatientRecord) -> bool:
    longest = _TEST_DAYS if sign.how == "hcg" else LONGEST_DAYS
    began = beginning(sign)
    if sign.due is not None:
        # "estimated date of delivery in the future"; no more than a whole pregnancy away.
        return weeks_by(sign, record) is not None and not has_ended(record, began)
    # Whole days, as the ages of laboratory values are counted.
    if int((record.as_of_epoch - began) / DAY_SECONDS) > longest:
        return False
    return not has_ended(record, began) and not (sign.how == "hcg" and _tested_negative_since(record, sign.time))


def beginning(sign: PregnancySign) -> float:
    """Return the first day it may have begun: what ended before it was another pregnancy."""
    if sign.due is not None:
        return sign.due.instant - _WEEKS_AT_TERM * 7.0 * DAY_SECONDS
    return sign.time.instant - sign.weeks * 7.0 * DAY_SECONDS


def _tested_negative_since(record: PatientRecord, time: FhirTime) -> bool:
    return any(negative.time.instant >= time.instant for negative in pregnancy_signs(record).negative)


def negative_test_since(record: PatientRecord, since: FhirTime | None) -> PregnancySign | None:
    """Return the newest negative test after the day a pregnancy was charted, which contradicts it."""
    if since is None:
        return None
    newest = next(iter(pregnancy_signs(record).negative), None)
    return newest if newest is not None and newest.time.instant >= since.instant + DAY_SECONDS else None


def weeks_by(sign: PregnancySign, record: PatientRecord) -> float | None:
    """Return the weeks of the pregnancy at the instant of the record; None where the sign does not give them."""
    if sign.due is not None:
        if sign.due.precision not in ("day", "instant"):
            return None
        weeks = _WEEKS_AT_TERM - (sign.due.instant - record.as_of_epoch) / DAY_SECONDS / 7.0
        # A due date is over with the longest pregnancy; the day itself is not yet over.
        return weeks if 0 <= weeks <= LONGEST_DAYS / 7.0 else None
    if sign.time.precision not in ("day", "instant"):
        return None
    weeks = sign.weeks + (record.as_of_epoch - sign.time.instant) / DAY_SECONDS / 7.0
    return weeks if 0 <= weeks <= LONGEST_DAYS / 7.0 else None


# The end of a pregnancy


def has_ended(record: PatientRecord, began: float) -> bool:
    """Return whether a pregnancy that began then (epoch seconds) is over by what the record has."""
    return any(began <= end <= record.as_of_epoch for end in record.derive(_all_ends))


def _all_ends(record: PatientRecord) -> tuple[float, ...]:
    return tuple(sorted(end.instant for end in _ends(record)))


def _ends(record: PatientRecord) -> Iterator[FhirTime]:
    for condition in record.conditions:
        if _ends_it(condition.code, was_done=False):
            yield from _time(condition.onsetDateTime or condition.recordedDate)
        elif condition.code is not None and _is_pregnancy(condition.code):
            yield from _time(condition.abatementDateTime)
    for procedure in record.procedures:
        if procedure.status == "completed" and _ends_it(procedure.code, was_done=True):
            period = procedure.performedPeriod
            yield from _time(procedure.performedDateTime or (period.start if period is not None else None))
    yield from (sign.time for sign in pregnancy_signs(record).not_pregnant)


def _ends_it(concept: CodeableConcept | None, *, was_done: bool) -> bool:
    """Whether the concept, of a procedure that was done or of a problem, says that a pregnancy is over."""
    if concept is None:
        return False
    for coding in concept.coding:
        if ends_pregnancy(coding.system, coding.code, coding.display or concept.words):
            return True
        if coding.code and _OBSTETRIC_CODE.fullmatch(coding.code):
            return True
    return _says_ended(concept.words, was_done)


# ICD-10-PCS (CMS), section obstetrics: abortion, extraction and delivery of the products of conception.
_OBSTETRIC_CODE = re.compile(r"10[ADE]0[0-9XZ]{3}")
# What was done, with the day on which it was done, and problems that only a pregnancy that is over has. "Status post
# cesarean" on the list of a pregnant woman is of an earlier birth.
_DELIVERED_IN_WORDS = re.compile(
    r"\b(?:vaginal|normal|spontaneous|breech|forceps|instrumental|vacuum[- ]assisted) (?:delivery|birth)\b"
    r"|\bca?esarean\b|\bc-section\b|\bdelivery of (?:baby|infant|newborn|placenta|products of conception)\b"
    r"|\btermination of pregnancy\b|\b(?:curettage|evacuation)\b.*\b(?:abortion|miscarriage)\b",
    re.IGNORECASE,
)
_ENDED_BY_WORDS = re.compile(
    r"^(?:postpartum\b|puerper\w+|(?:(?:complete|incomplete|missed|spontaneous) )*(?:miscarriage|abortion)\b"
    r"|(?:single|twin) live ?birth)",
    re.IGNORECASE,
)
_OF_ANOTHER_TIME = re.compile(
    r"\b(?:history|h/o|prior|previous|past|plan\w*|schedul\w*|counsel\w*|consult\w*|class|education|threatened|risk"
    r"|prevention|request\w*)\b",
    re.IGNORECASE,
)


def _says_ended(words: str, was_done: bool) -> bool:
    is_said = states(_DELIVERED_IN_WORDS if was_done else _ENDED_BY_WORDS, words)
    return is_said and _OF_ANOTHER_TIME.search(words) is None


def _is_pregnancy(concept: CodeableConcept) -> bool:
    return any("pregnancy" in condition_groups_of(coding.system, coding.code) for coding in concept.coding)


def _time(text: str | None) -> Iterator[FhirTime]:
    time = parse_time(text) if text else None
    if time is not None:
        yield time
