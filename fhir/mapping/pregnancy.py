"""Pregnancy: whether one is current, how it is known, and what contradicts it.

shared/data/medications/rules/pregnancy.json, tables status and gestation. A condition comes first
(`fhir/mapping/conditions.py` asks here whether it still counts); then what was observed: a pregnancy status, a due
date, a gestational age, a positive test, the reason of a visit.
"""

import re
from collections.abc import Iterator
from operator import attrgetter
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from fhir.record.datatypes import DAY_SECONDS, CodeableConcept, FhirTime, parse_time
from fhir.record.measurement import USABLE_STATUS, effective_time
from fhir.record.record import PatientRecord
from fhir.record.resources import Condition, Encounter, Observation, Procedure
from fhir.terminology.analytes import LOINC_SYSTEMS
from fhir.terminology.assertions import states
from fhir.terminology.caching import remembered
from fhir.terminology.conditions import (
    PregnancyMeaning,
    condition_groups_of,
    ends_pregnancy,
    pregnancy_meaning,
    pregnancy_meaning_of_name,
)

_SYSTEM: Final = attrgetter("system")
PregnancySignKind: TypeAlias = Literal["status", "due", "gestation", "hcg", "visit", "period", "feeding"]

# Serum hCG in mIU/mL: under 5 none, from 25 a pregnancy (NAVMED P-5139, quoted by GLOWM: "non-pregnant <24, positive
# >25"; under 5 negative: American Pregnancy Association). Between them nothing is said.
_HCG_NEGATIVE, _HCG_POSITIVE = 5.0, 25.0
_HCG_UNITS = frozenset({"m[IU]/mL", "mIU/mL", "[IU]/L", "IU/L", "U/L"})
_NEGATIVE = re.compile(
    r"\bn[eé]g|\bnot (?:detected|pregnant|reactive)|\bnon-?reactive|\babsent\b|\bnone\b"
    r"|\bnicht schwanger|\bkeine schwang|\b(?:pas|non) enceinte|\bno (?:est[áa] )?embarazada|\bnon (?:[èe] )?incinta"
    r"|\bniet zwanger|\bn[ãa]o (?:est[áa] )?gr[áa]vida",
    re.IGNORECASE,
)
_POSITIVE = re.compile(
    r"\bpos|\bdetected\b|\breactive\b|\bpresent\b|\bpregnant\b"
    r"|\bschwanger|\benceinte|\bembarazada|\bincinta|\bzwanger|\bgr[áa]vida\b",
    re.IGNORECASE,
)
# "Pregnancy: yes" is no test but what somebody says.
_YES = re.compile(r"\s*(?:yes|y|true|ja|oui|s[iíì]|sim|tak)\s*", re.IGNORECASE)
_NO = re.compile(r"\s*(?:no|n|false|nein|non|nee|n[ãa]o|nie)\s*", re.IGNORECASE)
_WEEKS_PER = {"wk": 1.0, "week": 1.0, "weeks": 1.0, "w": 1.0, "d": 1 / 7.0, "day": 1 / 7.0, "days": 1 / 7.0}


class PregnancySign(Struct, frozen=True, gc=False):
    """One sign of a pregnancy: its kind, words, resource and time, and the due date or weeks that it gives."""

    how: PregnancySignKind
    words: str
    code: str
    source: str
    time: FhirTime
    due: FhirTime | None = None
    weeks: float = 0.0


class PregnancySigns(Struct, frozen=True, gc=False):
    """All signs of a record by kind, each tuple newest first."""

    pregnant: tuple[PregnancySign, ...]
    not_pregnant: tuple[PregnancySign, ...]
    due: tuple[PregnancySign, ...]
    gestation: tuple[PregnancySign, ...]
    positive: tuple[PregnancySign, ...]
    negative: tuple[PregnancySign, ...]
    visits: tuple[PregnancySign, ...]
    periods: tuple[PregnancySign, ...]
    feeding: tuple[PregnancySign, ...]
    not_feeding: tuple[PregnancySign, ...]


def pregnancy_signs(record: PatientRecord) -> PregnancySigns:
    """Return the signs of the record, computed once per record."""
    return record.derive(_signs)


def _signs(record: PatientRecord) -> PregnancySigns:
    signs: dict[str, list[PregnancySign]] = {name: [] for name in PregnancySigns.__struct_fields__}
    for observation in record.facts(Observation):
        for coding in observation.code.coding:
            use = _meaning_of_code((coding.system, coding.code))
            if use is not None:
                _sort_in(signs, use, observation, coding.code, record)
                break
        else:
            has_name = LOINC_SYSTEMS.isdisjoint(map(_SYSTEM, observation.code.coding))
            if has_name and (use := _meaning_of_name(observation.code)) is not None:
                _sort_in(signs, use, observation, "", record)
    for visit in record.facts(Encounter):
        if visit.reasonCode:
            signs["visits"] += _visit(visit, record)
    newest = {
        name: tuple(sorted(all_, key=lambda sign: sign.time.instant, reverse=True)) for name, all_ in signs.items()
    }
    return PregnancySigns(**newest)


@remembered("pregnancy codes of results", entries=4096, longest=300)
def _meaning_of_code(system_and_code: tuple[str | None, str | None]) -> PregnancyMeaning | None:
    return pregnancy_meaning(*system_and_code)


@remembered("names of pregnancy tests", entries=2048, longest=400)
def _meaning_of_name(code: CodeableConcept) -> PregnancyMeaning | None:
    """Return what a result without a LOINC code says by its whole name; None for any other."""
    return next((use for text in code.texts if (use := pregnancy_meaning_of_name(text)) is not None), None)


def _sort_in(
    signs: dict[str, list[PregnancySign]], use: PregnancyMeaning, seen: Observation, code: str, record: PatientRecord
) -> None:
    time = effective_time(seen)
    if seen.status not in USABLE_STATUS or time is None or time.is_after(record.as_of_epoch):
        return
    source = seen.source
    if use == "hcg" and not code and _said(seen) is not None:
        use = "status"
    if use == "due":
        due = parse_time(seen.valueDateTime or seen.valueString or "")
        signs["due"] += [PregnancySign("due", "due date", code, source, time, due=due)] if due is not None else []
    elif use == "gestation":
        weeks = _weeks(seen)
        signs["gestation"] += (
            [PregnancySign("gestation", "gestational age", code, source, time, weeks=weeks)] if weeks else []
        )
    elif use == "status":
        names = {True: ("pregnant", "pregnant"), False: ("not_pregnant", "not pregnant")}
        for name, words in [names[answer] for answer in (_answer(seen),) if answer is not None]:
            signs[name].append(PregnancySign("status", f"pregnancy status: {words}", code, source, time))
    elif use == "period":
        began = parse_time(seen.valueDateTime or seen.valueString or "")
        if began is not None and began.precision in ("day", "instant"):
            words = f"last menstrual period {began.date}"
            weeks = (time.instant - began.instant) / DAY_SECONDS / 7.0
            signs["periods"].append(PregnancySign("period", words, code, source, time, weeks=weeks))
    elif use == "feeding":
        answer = _feeds(seen)
        if answer is not None:
            words = f"{'' if answer else 'not '}breastfeeding"
            name = "feeding" if answer else "not_feeding"
            signs[name].append(PregnancySign("feeding", words, code, source, time))
    elif use == "hcg":
        results = {True: ("positive", "pregnancy test positive"), False: ("negative", "pregnancy test negative")}
        for name, words in [results[answer] for answer in (_answer(seen),) if answer is not None]:
            signs[name].append(PregnancySign("hcg", words, code, source, time))


def _weeks(seen: Observation) -> float | None:
    quantity = seen.valueQuantity
    if quantity is None or quantity.value is None or quantity.comparator:
        return None
    per = _WEEKS_PER.get(quantity.code) or _WEEKS_PER.get(quantity.unit.strip().lower())
    weeks = quantity.value * per if per is not None else None
    return weeks if weeks is not None and 0 < weeks < 45 else None


def _answer(seen: Observation) -> bool | None:
    """Whether the answer is yes: by its code, its words, its number or its interpretation; None for neither."""
    answer = _said(seen)
    if answer is None:
        answer = _of_concept(seen.valueCodeableConcept)
    if answer is None and seen.valueString:
        answer = _of_words(seen.valueString)
    if answer is None:
        answer = _of_number(seen)
    if answer is None and seen.valueQuantity is None:
        answer = next(
            (
                interpretation
                for interpretation in map(_of_interpretation, seen.interpretation)
                if interpretation is not None
            ),
            None,
        )
    return answer


def _said(seen: Observation) -> bool | None:
    """Return a plain yes or no; None for any other answer."""
    if seen.valueBoolean is not None:
        return seen.valueBoolean
    words = seen.valueString or (seen.valueCodeableConcept.words if seen.valueCodeableConcept is not None else "")
    return True if _YES.fullmatch(words) else False if _NO.fullmatch(words) else None


_FEEDS = re.compile(r"breast-?\s?fe|lactat|\bnurs|\byes\b", re.IGNORECASE)
_FEEDS_NOT = re.compile(r"\bno\b|\bnot\b|\bnever\b|former|stopp|ceased|wean|previous", re.IGNORECASE)


def _feeds(seen: Observation) -> bool | None:
    """Whether the answer says that she breastfeeds now; None where it says neither."""
    words = seen.valueString or (seen.valueCodeableConcept.words if seen.valueCodeableConcept is not None else "")
    if _FEEDS_NOT.search(words):
        return False
    return True if _FEEDS.search(words) else None


def _of_concept(concept: CodeableConcept | None) -> bool | None:
    if concept is None:
        return None
    for coding in concept.coding:
        use = pregnancy_meaning(coding.system, coding.code)
        if use in ("positive", "negative"):
            return use == "positive"
    return _of_words(concept.words)


def _of_words(words: str) -> bool | None:
    if _NEGATIVE.search(words):
        return False
    return True if _POSITIVE.search(words) else None


def _of_interpretation(concept: CodeableConcept) -> bool | None:
    if concept.has("NEG") or concept.has("POS"):
        return concept.has("POS")
    return None


def _of_number(seen: Observation) -> bool | None:
    quantity = seen.valueQuantity
    if quantity is None or quantity.value is None or not {quantity.code, quantity.unit} & _HCG_UNITS:
        return None
    if quantity.comparator in ("<", "<="):
        return False if quantity.value <= _HCG_NEGATIVE else None
    if quantity.value >= _HCG_POSITIVE:
        return True
    return False if quantity.value < _HCG_NEGATIVE and not quantity.comparator else None


def _visit(visit: Encounter, record: PatientRecord) -> Iterator[PregnancySign]:
    for concept in visit.reasonCode:
        for coding in concept.coding:
            if "pregnancy" in condition_groups_of(coding.system, coding.code):
                time = visit.begun
                if time is not None and not time.is_after(record.as_of_epoch):
                    yield PregnancySign("visit", concept.words, coding.code, visit.source, time)
                return


# shared/data/medications/conditions.csv: "a finished pregnancy is often left active in charts".
LONGEST_DAYS = 310.0
# The same table: "Observation hCG positive within 60 days".
_TEST_DAYS = 60.0
_WEEKS_AT_TERM = 40.0
# The table's childbearing age; hCG rises without a pregnancy after it, and a newborn's chart has a gestational age too.
FIRST_FERTILE_YEAR, LAST_FERTILE_YEAR = 12, 50


def is_current_pregnancy(record: PatientRecord, since: FhirTime | None) -> bool:
    """Whether a pregnancy charted `since` then is going on: within 310 days, and no later end of it on the record.

    Without a date it is, unless one ended in the last 310 days.
    """
    if since is None:
        return not has_ended(record, record.as_of_epoch - LONGEST_DAYS * DAY_SECONDS)
    if since.whole_days(record.as_of_epoch) > LONGEST_DAYS:
        return False
    return not has_ended(record, since.instant)


def observed_pregnancy(record: PatientRecord) -> PregnancySign | None:
    """Return the surest sign of a pregnancy that is known without a condition; only of a woman of 12 to 50."""
    return None if record.sex == "male" else record.derive(_by_signs)


def may_be_pregnant(record: PatientRecord) -> bool:
    """Whether a pregnancy on the problem list can be: of no man by sex at birth, nor by gender without another sign.

    What is charted of the body goes before the administrative gender: a due date, a test or a prenatal visit beside the
    condition shows that the gender is not the sex.
    """
    return record.sex != "male" or (record.charted_sex is None and record.derive(_by_signs) is not None)


def _by_signs(record: PatientRecord) -> PregnancySign | None:
    age = record.age_years()
    if age is not None and not FIRST_FERTILE_YEAR <= age <= LAST_FERTILE_YEAR:
        return None
    signs = pregnancy_signs(record)
    missed = [sign for sign in signs.periods[:1] if _is_missed(sign, record)]
    for sign in (*signs.pregnant, *signs.due, *signs.gestation, *signs.positive, *signs.visits, *missed):
        if _is_going_on(sign, record):
            return sign
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
    concepts = [condition.code for condition in record.facts(Condition)]
    concepts += [procedure.code for procedure in record.facts(Procedure) if procedure.status == "completed"]
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
    for condition in record.facts(Condition):
        if _ends_it(condition.code, was_done=False):
            yield from _time(condition.onsetDateTime or condition.recordedDate)
        elif condition.code is not None and any(
            "pregnancy" in condition_groups_of(coding.system, coding.code) for coding in condition.code.coding
        ):
            yield from _time(condition.abatementDateTime)
    for procedure in record.facts(Procedure):
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
    words = concept.words
    is_said = states(_DELIVERED_IN_WORDS if was_done else _ENDED_BY_WORDS, words)
    return is_said and _OF_ANOTHER_TIME.search(words) is None


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
    r"\bpost-?partum day\b"
    r"|^(?:postpartum\b|puerper\w+|(?:(?:complete|incomplete|missed|spontaneous) )*(?:miscarriage|abortion)\b"
    r"|(?:single|twin) live ?birth)",
    re.IGNORECASE,
)
_OF_ANOTHER_TIME = re.compile(
    r"\b(?:history|h/o|prior|previous|past|plan\w*|schedul\w*|counsel\w*|consult\w*|class|education|threatened|risk"
    r"|prevention|request\w*)\b",
    re.IGNORECASE,
)


def _time(text: str | None) -> Iterator[FhirTime]:
    time = parse_time(text)
    if time is not None:
        yield time
