"""Runs CDC's test cases: what the engine answers for each, and where that differs from what CDC expects.

A case is one line of JSON: birth date, gender, doses, observations, assessment date, vaccine group, `expected`.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import msgspec

from cards.vaccines.course import Evaluation
from cards.vaccines.forecasting import SeriesStatus
from cards.vaccines.groups import GroupForecast, assess
from cards.vaccines.knowledge import VaccineKnowledge, load_knowledge
from cards.vaccines.patient import PatientObservation, Person
from fhir.mapping.immunizations import VaccineDose

# The names of vaccine groups in CDC's case workbooks, beside those of the supporting data itself.
_OTHER_NAMES = {
    "dtap": "DTaP/Tdap/Td",
    "tdap": "DTaP/Tdap/Td",
    "td": "DTaP/Tdap/Td",
    "pol": "Polio",
    "ipol": "Polio",
    "ipv": "Polio",
    "pcv": "Pneumococcal",
    "ppsv": "Pneumococcal",
    "var": "Varicella",
    "rota": "Rotavirus",
    "mcv": "Meningococcal",
    "menacwy": "Meningococcal",
    "menb": "Meningococcal B",
    "flu": "Influenza",
    "je": "Japanese Encephalitis",
    "yf": "Yellow Fever",
    "mpox": "Orthopoxvirus",
}
_GENDERS = {"F": "Female", "M": "Male"}
FIELDS = ("series_status", "forecast_dose", "earliest", "recommended")


class _CaseDose(msgspec.Struct):
    date: date
    cvx: str
    mvx: str = ""
    status: str = ""
    reason: str = ""


class _CaseObservation(msgspec.Struct):
    code: str
    date: str = ""


class VaccineCase(msgspec.Struct):
    """One case as its file states it."""

    id: str
    birth_date: date
    assessment_date: date
    vaccine_group: str
    expected: dict[str, str]
    title: str = ""
    gender: str = ""
    doses: tuple[_CaseDose, ...] = ()
    observations: tuple[_CaseObservation, ...] = ()


@dataclass(frozen=True, slots=True)
class CaseResult:
    """A case, what was expected and what the engine answered, in the same words."""

    case: VaccineCase
    expected: dict[str, str]
    answered: dict[str, str]
    dose_statuses: tuple[str, ...] = ()

    @property
    def is_right(self) -> bool:
        """Whether series status, next dose, earliest and recommended date are exactly those of CDC."""
        return self.expected == self.answered


def read_cases(lines: Iterable[bytes]) -> Iterator[VaccineCase]:
    """Yield the cases of a JSON Lines file.

    Raises:
        msgspec.DecodeError: a line is not a case.
    """
    for line in lines:
        if line.strip():
            yield msgspec.json.decode(line, type=VaccineCase)


def leading_forecast(forecasts: Sequence[GroupForecast], person: Person, as_of: date) -> GroupForecast | None:
    """Return the one forecast that stands for a vaccine group: that of the person's age, a risk before the standard.

    CDC's test cases expect one answer for each group. A series group for a later age is left out; one that was aged
    out of gives way to one that was not.
    """
    current = [item for item in forecasts if item.begins_by(person, as_of)] or list(forecasts)
    open_ones = [item for item in current if item.status is not SeriesStatus.AGED_OUT] or current
    return max(open_ones, key=lambda item: (item.series_type == "Risk", item.best[0].series.group), default=None)


def run_case(case: VaccineCase, knowledge: VaccineKnowledge | None = None) -> CaseResult:
    """Answer one case and compare."""
    used_knowledge = knowledge or load_knowledge()
    expected = _comparable(case.expected)
    group = _group_name(case.vaccine_group, used_knowledge)
    if group is None:
        return CaseResult(case, expected, _comparable({"series_status": "unknown vaccine group"}))
    person = person_of(case)
    forecasts = assess(person, case.assessment_date, used_knowledge, used_knowledge.schedule.groups[group].antigens)
    leading = leading_forecast(forecasts, person, case.assessment_date)
    return CaseResult(case, expected, _comparable(_answer(leading)), _statuses(case, leading))


def summary(results: Iterable[CaseResult]) -> dict[str, Any]:
    """`right`, `total`, the same by vaccine group (`by_antigen`), and each difference."""
    every = list(results)
    total = Counter(_title(result) for result in every)
    right = Counter(_title(result) for result in every if result.is_right)
    return {
        "right": sum(right.values()),
        "total": len(every),
        "by_antigen": {name: {"right": right[name], "total": total[name]} for name in sorted(total)},
        "differences": [
            {
                "id": result.case.id,
                "antigen": _title(result),
                "title": result.case.title,
                "expected": result.expected,
                "answered": result.answered,
            }
            for result in every
            if not result.is_right
        ],
    }


def _title(result: CaseResult) -> str:
    return _group_name(result.case.vaccine_group, load_knowledge()) or result.case.vaccine_group


def _names(groups: tuple[str, ...]) -> dict[str, str]:
    return _OTHER_NAMES | {_letters(name): name for name in groups}


def _group_name(name: str, knowledge: VaccineKnowledge) -> str | None:
    return _names(tuple(knowledge.schedule.groups)).get(_letters(name))


def _letters(name: str) -> str:
    """Return the name without spaces, signs and case: "Hep B" is HepB."""
    return "".join(sign for sign in name.casefold() if sign.isalnum())


def person_of(case: VaccineCase) -> Person:
    """Return the person of a case."""
    return Person(
        case.birth_date,
        _GENDERS.get(case.gender, "Unknown"),
        tuple(VaccineDose(dose.date, dose.cvx, manufacturer=dose.mvx) for dose in case.doses),
        tuple(
            PatientObservation(item.code, date.fromisoformat(item.date) if item.date else None)
            for item in case.observations
        ),
    )


def _answer(forecast: GroupForecast | None) -> dict[str, str]:
    if forecast is None:
        return {"series_status": "Not Recommended"}
    return {
        "series_status": forecast.status.value,
        "forecast_dose": str(forecast.dose_number or ""),
        "earliest": forecast.earliest.isoformat() if forecast.earliest else "",
        "recommended": forecast.recommended.isoformat() if forecast.recommended else "",
    }


def _comparable(fields: dict[str, str]) -> dict[str, str]:
    """CDC writes a status in two cases, and a missing dose as nothing or as a dash."""
    comparable = {name: fields.get(name, "").strip() for name in FIELDS}
    return comparable | {
        "series_status": comparable["series_status"].lower(),
        "forecast_dose": comparable["forecast_dose"].strip("-"),
    }


def _statuses(case: VaccineCase, forecast: GroupForecast | None) -> tuple[str, ...]:
    """Return what became of each dose of the case in the best series, in the order of the case."""
    evaluations: list[Evaluation] = [
        item for candidate in (forecast.best if forecast else ()) for item in candidate.course.evaluations
    ]
    return tuple(
        next(
            (item.status.value for item in evaluations if (item.dose.given, item.dose.cvx) == (dose.date, dose.cvx)), ""
        )
        for dose in case.doses
    )
