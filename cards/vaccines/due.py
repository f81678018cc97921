"""What a person needs today: the vaccines due, those to discuss, those forbidden, and what could not be judged.

Vaccine groups that are ordered already and still to be given are known too, so that no dose is suggested twice.
"""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from typing import Final

from cards.vaccines.course import Evaluation
from cards.vaccines.forecasting import SeriesStatus
from cards.vaccines.groups import GroupForecast, assess
from cards.vaccines.knowledge import Contraindication, Period, SeriesDose, VaccineKnowledge, parse_period
from cards.vaccines.patient import ChartedPerson, PatientObservation, Person
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
        if status not in _OPEN or concept is None or do_not_perform is True:
            continue
        written = parse_time(authored) if authored else None
        if written is None or written.age_days(record.as_of_epoch) <= _OPEN_DAYS:
            yield concept


# CDC names in some series that they are a matter of shared decision; for others ACIP says it by age
# (data/shared_decisions.csv).
_SHARED_DECISION = "shared clinical decision"
# A release that begins a season without an end (COVID-19) is of that year.
_SEASON = Period(years=1)
ADULT = Period(years=19)


@dataclass(frozen=True, slots=True)
class DueVaccine:
    """One vaccine group whose next dose is recommended today or was before."""

    forecast: GroupForecast
    name: str
    reasons: tuple[PatientObservation, ...]

    @property
    def evaluations(self) -> tuple[Evaluation, ...]:
        """Every dose on which the forecast rests, once, with its status."""
        found: dict[tuple[date, str], Evaluation] = {}
        for candidate in self.forecast.best:
            for item in candidate.course.evaluations:
                found.setdefault((item.dose.given, item.dose.cvx), item)
        return tuple(sorted(found.values(), key=lambda item: item.dose.given))

    def is_catch_up(self, person: Person) -> bool:
        """Whether an adult without a dose that counts should have had it as a child, before the chart began perhaps."""
        grown_up = ADULT.after(person.birth_date)
        started = any(candidate.course.valid_doses for candidate in self.forecast.best)
        recommended = self.forecast.recommended
        return not started and not self.reasons and recommended is not None and recommended < grown_up

    def is_overdue(self, as_of: date) -> bool:
        """Whether the day by which it should have been given is over."""
        return self.forecast.past_due is not None and self.forecast.past_due < as_of


@dataclass(frozen=True, slots=True)
class ForbiddenVaccine:
    """A vaccine group that the person would need, with the observations that forbid it."""

    group: str
    against: tuple[PatientObservation, ...]


@dataclass(frozen=True, slots=True)
class VaccinesDue:
    """The answer for one person on one day; `to_check` holds what may forbid a vaccine that is due, and CDC's words."""

    as_of: date
    due: tuple[DueVaccine, ...]
    catch_up: tuple[DueVaccine, ...]
    ordered: tuple[str, ...]
    to_discuss: tuple[DueVaccine, ...]
    forbidden: tuple[ForbiddenVaccine, ...]
    to_check: tuple[tuple[PatientObservation, str], ...]
    not_judged: tuple[str, ...]
    forecasts: tuple[GroupForecast, ...]


def vaccines_due(
    charted: ChartedPerson, as_of: date, knowledge: VaccineKnowledge, ordered: frozenset[str] = frozenset()
) -> VaccinesDue:
    """Evaluate and forecast every vaccine group, and sort the answers; `ordered` are groups with an open order.

    For a child the longest due comes first, for an adult what came due last. What an adult should have had as a child
    and has no dose of stands apart: first the immunization registry is asked.
    """
    forecasts = assess(charted.person, as_of, knowledge)
    found: dict[str, DueVaccine] = {}
    discuss: dict[str, DueVaccine] = {}
    not_judged: list[str] = []
    for forecast in sorted(forecasts, key=lambda item: item.series_type != "Risk"):
        reason = _why_not_judged(forecast, charted.person, as_of, knowledge)
        if reason is not None:
            not_judged.append(reason)
        elif _is_due(forecast, as_of):
            into = discuss if _is_shared_decision(forecast, charted.person, as_of) else found
            into.setdefault(forecast.group, _due(forecast, charted, knowledge))
    is_adult = not charted.person.within_ages(as_of, None, ADULT)
    needed = sorted(found.values(), key=_recommended, reverse=is_adult)
    open_ones = [item for item in needed if item.forecast.group not in ordered]
    catch_up = [item for item in open_ones if is_adult and item.is_catch_up(charted.person)]
    return VaccinesDue(
        as_of,
        tuple(item for item in open_ones if item not in catch_up),
        tuple(catch_up),
        tuple(item.forecast.group for item in needed if item.forecast.group in ordered),
        tuple(item for name, item in discuss.items() if name not in found),
        _forbidden(forecasts, charted),
        _to_check(found, charted, knowledge),
        tuple(dict.fromkeys(not_judged)),
        tuple(forecasts),
    )


def _recommended(item: DueVaccine) -> date:
    return item.forecast.recommended or date.max


def _is_due(forecast: GroupForecast, as_of: date) -> bool:
    is_open = forecast.status is SeriesStatus.NOT_COMPLETE
    return is_open and forecast.recommended is not None and forecast.recommended <= as_of


def _is_shared_decision(forecast: GroupForecast, person: Person, as_of: date) -> bool:
    if all(_SHARED_DECISION in candidate.series.name.lower() for candidate in forecast.best):
        return True
    if forecast.series_type == "Risk":
        return False
    started = any(candidate.course.valid_doses for candidate in forecast.best)
    return any(
        group == forecast.group and person.within_ages(as_of, begin, end) and (even_if_started or not started)
        for group, begin, end, even_if_started in _SHARED_DECISIONS
    )


def _read_shared_decisions() -> tuple[tuple[str, Period | None, Period | None, bool], ...]:
    table = files("cards.vaccines") / "data" / "shared_decisions.csv"
    rows = csv.DictReader(table.read_text(encoding="utf-8").splitlines())
    return tuple(
        (row["group"], _period(row["from_age"]), _period(row["until_age"]), row["started"] == "any") for row in rows
    )


def _period(text: str) -> Period | None:
    return parse_period(text) if text else None


_SHARED_DECISIONS: Final[tuple[tuple[str, Period | None, Period | None, bool], ...]] = _read_shared_decisions()


def _next_doses(forecast: GroupForecast) -> list[SeriesDose]:
    return [item.course.current.rule for item in forecast.best if item.course.current is not None]


def _why_not_judged(forecast: GroupForecast, person: Person, as_of: date, knowledge: VaccineKnowledge) -> str | None:
    """A season that the release does not cover, an immunity or a date that the chart does not tell."""
    if forecast.status not in (SeriesStatus.NOT_COMPLETE, SeriesStatus.NOT_RECOMMENDED):
        return None
    for antigen in knowledge.schedule.groups[forecast.group].antigens:
        for cohort in knowledge.antigens[antigen].immune_births:
            if cohort.country and not person.country and person.birth_date < cohort.born_before:
                return (
                    f"{forecast.group}: the country of birth is not known (who was born in the {cohort.country} before "
                    f"{cohort.born_before.year} counts as immune)"
                )
    for rule in _next_doses(forecast):
        if (end := _season_end(rule)) is not None and as_of > end:
            return f"{forecast.group}: the release covers the season to {end.isoformat()}"
        for interval in rule.intervals:
            code = interval.from_observation
            if code and person.observed(code) is None:
                title = knowledge.schedule.observations[code].title
                return f"{forecast.group}: the date is not known ({title.lower()})"
    return None


def _season_end(rule: SeriesDose) -> date | None:
    return rule.season_end or (_SEASON.after(rule.season_start) if rule.season_start is not None else None)


def _due(forecast: GroupForecast, charted: ChartedPerson, knowledge: VaccineKnowledge) -> DueVaccine:
    reasons = {
        item.code: item
        for candidate in forecast.best
        for indication in candidate.series.indications
        for item in charted.person.observations
        if item.code == indication.observation
    }
    return DueVaccine(forecast, _name(forecast, knowledge), tuple(reasons.values()))


def _name(forecast: GroupForecast, knowledge: VaccineKnowledge) -> str:
    """The one vaccine that CDC recommends for the next dose, else the name of the group."""
    if len(forecast.vaccines) == 1:
        vaccine = knowledge.schedule.vaccines.get(forecast.vaccines[0])
        if vaccine is not None:
            return vaccine.name
    return forecast.group


def _forbidden(forecasts: list[GroupForecast], charted: ChartedPerson) -> tuple[ForbiddenVaccine, ...]:
    found: dict[str, ForbiddenVaccine] = {}
    for forecast in forecasts:
        if forecast.status is SeriesStatus.CONTRAINDICATED and not _is_covered(forecast, forecasts):
            items: list[Contraindication] = [
                item for candidate in forecast.best for item in candidate.forecast.contraindicated_by
            ]
            codes = {item.observation for item in items}
            against = tuple(item for item in charted.person.observations if item.code in codes)
            found.setdefault(forecast.group, ForbiddenVaccine(forecast.group, against))
    return tuple(found.values())


def _to_check(
    found: Iterable[str], charted: ChartedPerson, knowledge: VaccineKnowledge
) -> tuple[tuple[PatientObservation, str], ...]:
    texts = {
        item.observation: item.text
        for group in found
        for antigen in knowledge.schedule.groups[group].antigens
        for known in [knowledge.antigens[antigen]]
        for item in (*known.contraindications, *known.vaccine_contraindications)
    }
    return tuple((item, texts[item.code]) for item in charted.to_check if item.code in texts)


def _is_covered(forecast: GroupForecast, forecasts: list[GroupForecast]) -> bool:
    """Whether another series of the same group is complete."""
    return any(other.group == forecast.group and other.status is SeriesStatus.COMPLETE for other in forecasts)
