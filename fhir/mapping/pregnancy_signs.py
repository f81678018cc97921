"""Signs of a pregnancy in observations and visits: tests, pregnancy status, due date, gestational age."""

import re
from collections.abc import Iterator
from typing import Literal, TypeAlias

from msgspec import Struct

from fhir.record.datatypes import DAY_SECONDS, CodeableConcept, FhirTime, parse_time
from fhir.record.measurement import USABLE_STATUS, effective_time
from fhir.record.record import PatientRecord
from fhir.record.resources import Encounter, Observation
from fhir.terminology.caching import remembered
from fhir.terminology.conditions import PregnancyMeaning, condition_groups_of, pregnancy_meaning

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
    for observation in record.observations:
        for coding in observation.code.coding:
            use = _meaning_of_code((coding.system, coding.code))
            if use is not None:
                _sort_in(signs, use, observation, coding.code or "", record)
                break
    for visit in record.encounters:
        if visit.reasonCode:
            signs["visits"] += _visit(visit, record)
    newest = {
        name: tuple(sorted(all_, key=lambda sign: sign.time.instant, reverse=True)) for name, all_ in signs.items()
    }
    return PregnancySigns(**newest)


@remembered("pregnancy codes of results", entries=4096, longest=300)
def _meaning_of_code(system_and_code: tuple[str | None, str | None]) -> PregnancyMeaning | None:
    return pregnancy_meaning(*system_and_code)


def _sort_in(
    signs: dict[str, list[PregnancySign]], use: PregnancyMeaning, seen: Observation, code: str, record: PatientRecord
) -> None:
    time = effective_time(seen)
    if seen.status not in USABLE_STATUS or time is None or time.is_after(record.as_of_epoch):
        return
    source = f"Observation/{seen.id}" if seen.id else "Observation without id"
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
    per = _WEEKS_PER.get(quantity.code or "") or _WEEKS_PER.get((quantity.unit or "").strip().lower())
    weeks = quantity.value * per if per is not None else None
    return weeks if weeks is not None and 0 < weeks < 45 else None


def _answer(seen: Observation) -> bool | None:
    """Whether the answer is yes: by its code, its words, its number or its interpretation; None for neither."""
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
                time = parse_time(visit.period.start) if visit.period is not None and visit.period.start else None
                if time is not None and not time.is_after(record.as_of_epoch):
                    yield PregnancySign("visit", concept.words, coding.code or "", f"Encounter/{visit.id}", time)
                return
