"""What a record tells about smoking: status, pack-years, and when the patient stopped.

The status is LOINC 72166-2 (US Core) or, without an answer, tobacco use on the problem list. Pack-years are LOINC
8664-5 or SNOMED CT 401201003 and 782516008, the day of stopping is LOINC 74010-0; both may be components.
"""

import math
from datetime import date
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from fhir.mapping.conditions import find_condition
from fhir.record.datatypes import FhirTime, parse_time
from fhir.record.measurement import PACK_YEARS, USABLE_STATUS, CodedPart, effective_time
from fhir.record.record import PatientRecord
from fhir.record.resources import Observation
from fhir.terminology.conditions import SMOKING_ANSWERS, SmokingStatus, smoking_answer_in_words

Smoking: TypeAlias = Literal["current", "former", "never"]

QUIT_DATE = frozenset({"74010-0"})
_MOST_PACK_YEARS = 300.0  # five packs a day for sixty years: more is an error of entry


class SmokingAnswer(Struct, frozen=True, gc=False):
    """One answer to the smoking status, with its words, its day and where it stands; `time` None where undated."""

    status: Smoking
    words: str
    time: FhirTime | None
    source: str


class PackYears(Struct, frozen=True, gc=False):
    """The newest count of pack-years."""

    value: float
    time: FhirTime | None
    source: str


class SmokingHistory(Struct, frozen=True, gc=False):
    """Everything about smoking: the answer that counts, one that is not "never", pack-years, when the patient stopped.

    Who stopped did so not before `stopped_from` and by `stopped_by`: the bounds of a charted day or, without one, the
    last answer that is a yes and the first one after it that is a former smoker; None where nothing says it.
    """

    answer: SmokingAnswer | None
    ever: SmokingAnswer | None
    pack_years: PackYears | None
    stopped_from: date | None = None
    stopped_by: date | None = None


def smoking_history(record: PatientRecord) -> SmokingHistory:
    """Return the history as of the record's day; entries without a date count as older than dated ones."""
    answers = sorted(_answers(record), key=_instant, reverse=True)
    newest = answers[0] if answers else _on_problem_list(record)
    ever = next((answer for answer in answers if answer.status != "never"), None) or _on_problem_list(record)
    pack_years = _pack_years(record)
    stopped = _quit_date(record)
    if stopped is not None:
        return SmokingHistory(newest, ever, pack_years, stopped.first_day, stopped.last_day)
    smoked = [answer.time.first_day for answer in answers if answer.status == "current" and answer.time is not None]
    not_smoked = [answer.time.last_day for answer in answers if answer.status == "former" and answer.time is not None]
    last_yes = max(smoked, default=None)
    since_then = [day for day in not_smoked if last_yes is None or day > last_yes]
    return SmokingHistory(newest, ever, pack_years, last_yes, min(since_then, default=None))


_IN_WORDS: Final = {
    "current": "smokes",
    "former": "smoked formerly",
    "never": "never smoked",
    "not current": "does not smoke",
}


def _answers(record: PatientRecord) -> list[SmokingAnswer]:
    answers, non_smoker = [], []
    for observation in record.smoking_answers():
        time = effective_time(observation)
        if observation.status not in USABLE_STATUS or (time is not None and time.is_after(record.as_of_epoch)):
            continue
        status, words, code = read_smoking_answer(observation)
        if words == code:  # a code without its name
            words = _IN_WORDS.get(status or "", words)
        if status == "current" or status == "former" or status == "never":
            answers.append(SmokingAnswer(status, words, time, observation.source))
        elif status == "not current":
            non_smoker.append(SmokingAnswer("former", words, time, observation.source))
    # A non-smoker who smoked before has stopped; of any other nobody knows whether they ever did.
    smoked = min((_instant(answer) for answer in answers if answer.status != "never"), default=math.inf)
    return [*answers, *(answer for answer in non_smoker if _instant(answer) > smoked)]


def read_smoking_answer(observation: Observation) -> tuple[SmokingStatus | None, str, str]:
    """Return what an answer says, its words and its code; "missing" where it is not known, None where nobody can tell.

    The codes come before the words, which are those of the concept, of a display or a plain text.
    """
    concept = observation.valueCodeableConcept
    codings = concept.coding if concept is not None else ()
    words = (concept.words if concept is not None else observation.valueString) or ""
    for coding in codings:
        status = SMOKING_ANSWERS.get(coding.code)
        if status is not None:
            return status, words, coding.code
    texts = (words, *(concept.texts if concept is not None else ()))
    return next(filter(None, map(smoking_answer_in_words, texts)), None), words, ""


_PROBLEMS: Final[tuple[tuple[str, Smoking], ...]] = (("tobacco_use", "current"), ("tobacco_history", "former"))


def _on_problem_list(record: PatientRecord) -> SmokingAnswer | None:
    for group, status in _PROBLEMS:
        hit = find_condition(record, group)
        if hit is not None:
            return SmokingAnswer(status, hit.words, hit.time, hit.source)
    return None


def _pack_years(record: PatientRecord) -> PackYears | None:
    pack_years = []
    for part in _parts(record, PACK_YEARS):
        quantity, time = part[1].valueQuantity, effective_time(part[0])
        if quantity is None or quantity.value is None or quantity.comparator:
            continue
        unit = quantity.code or quantity.unit or "pack"  # of no unit is taken to be the one that was asked for
        if "pack" in unit.lower() and 0 <= quantity.value <= _MOST_PACK_YEARS:
            pack_years.append(PackYears(float(quantity.value), time, part[0].source))
    return max(
        pack_years, key=lambda pack_year: pack_year.time.instant if pack_year.time is not None else 0.0, default=None
    )


def _quit_date(record: PatientRecord) -> FhirTime | None:
    """Return the newest charted day of stopping that is not in the future."""
    days = [parse_time(part[1].valueDateTime or "") for part in _parts(record, QUIT_DATE)]
    past_days = [day for day in days if day is not None and not day.is_after(record.as_of_epoch)]
    return max(past_days, key=lambda day: day.instant, default=None)


def _parts(record: PatientRecord, codes: frozenset[str]) -> list[CodedPart]:
    return [
        part
        for part in record.screening_parts()
        if part[0].status in USABLE_STATUS
        and not codes.isdisjoint([coding.code for coding in part[1].code.coding])
        and not _is_ahead(part[0], record)
    ]


def _is_ahead(observation: Observation, record: PatientRecord) -> bool:
    time = effective_time(observation)
    return time is not None and time.is_after(record.as_of_epoch)


def _instant(answer: SmokingAnswer) -> float:
    return answer.time.instant if answer.time is not None else 0.0
