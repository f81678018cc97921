"""Says for one series whether another dose is needed and when it is earliest allowed, recommended and overdue.

Source: CDC, Logic Specification for ACIP Recommendations 4.5, chapter 7.
"""

from collections.abc import Collection, Container, Iterable
from datetime import date
from enum import StrEnum

from msgspec import Struct

from cards.vaccines.course import DAY, Course, ages_on, can_skip, conflict_end, reference_date
from cards.vaccines.knowledge import Ages, Antigen, Contraindication, SeriesDose
from cards.vaccines.patient import Person


class SeriesStatus(StrEnum):
    """Where a person stands in a series or a vaccine group."""

    NOT_COMPLETE = "Not Complete"
    COMPLETE = "Complete"
    IMMUNE = "Immune"
    CONTRAINDICATED = "Contraindicated"
    AGED_OUT = "Aged Out"
    NOT_RECOMMENDED = "Not Recommended"


class Forecast(Struct, frozen=True):
    """The next dose of a series, with its dates; without dates when no dose is to be given.

    `contraindicated_by` holds the observations behind a contraindication. `priority` says that each interval of the
    next dose overrides those of the other antigens in its vaccine group.
    """

    status: SeriesStatus
    dose_number: int | None = None
    earliest: date | None = None
    recommended: date | None = None
    past_due: date | None = None
    latest: date | None = None
    vaccines: tuple[str, ...] = ()
    contraindicated_by: tuple[Contraindication, ...] = ()
    priority: bool = False


def forecast(course: Course, antigen: Antigen, as_of: date) -> Forecast:
    """Return the forecast of one evaluated series on a day."""
    person, rule = course.person, course.current
    while rule is not None and rule.forecast_skips and can_skip(course, rule, as_of):
        course.skip_current()
        rule = course.current
    if rule is None and course.valid:
        return Forecast(SeriesStatus.COMPLETE)
    if _is_immune(person, antigen):
        return Forecast(SeriesStatus.IMMUNE)
    forbidden: dict[str, Contraindication] = {}
    if not person.codes.isdisjoint(antigen.contraindicated_by):
        forbidden = _forbidden(antigen, person, as_of)
        if against := _contraindications(rule, person, antigen, forbidden, as_of):
            return Forecast(SeriesStatus.CONTRAINDICATED, contraindicated_by=against)
    while rule is not None:
        dose_forecast = _forecast_dose(course, rule, forbidden, as_of)
        earliest = dose_forecast.earliest
        if earliest is None or not rule.forecast_skips or not can_skip(course, rule, earliest):
            return dose_forecast
        course.skip_current()
        rule = course.current
    return Forecast(SeriesStatus.COMPLETE if course.valid else SeriesStatus.NOT_RECOMMENDED)


def _is_immune(person: Person, antigen: Antigen) -> bool:
    """Evidence of immunity: an observation, or a birth before the date of a cohort (section 7.2)."""
    if not person.codes.isdisjoint(antigen.immune_observations):
        return True
    for cohort in antigen.immune_births:
        if (
            person.birth_date < cohort.born_before
            and person.codes.isdisjoint(cohort.unless)
            and (not cohort.country or person.country == cohort.country)
        ):
            return True
    return False


def _contraindications(
    rule: SeriesDose | None, person: Person, antigen: Antigen, forbidden: dict[str, Contraindication], as_of: date
) -> tuple[Contraindication, ...]:
    """Return what forbids the series: a contraindication of the antigen, or of each vaccine that could be given."""
    if applicable := tuple(item for item in antigen.contraindications if _applies(item, person, as_of)):
        return applicable
    if forbidden and rule is not None and rule.preferable_cvx and rule.preferable_cvx <= forbidden.keys():
        return tuple({id(forbidden[code]): forbidden[code] for code in sorted(rule.preferable_cvx)}.values())
    return ()


def _forbidden(antigen: Antigen, person: Person, as_of: date) -> dict[str, Contraindication]:
    """Return the vaccines that an observation forbids for this person, each with the reason."""
    return {
        code: item
        for item in antigen.vaccine_contraindications
        if _applies(item, person, as_of)
        for entry in item.vaccines
        if person.within_ages(as_of, entry.begin_age, entry.end_age)
        for code in entry.cvx
    }


def _applies(item: Contraindication, person: Person, as_of: date) -> bool:
    return item.observation in person.codes and person.within_ages(as_of, item.begin_age, item.end_age)


def _forecast_dose(course: Course, rule: SeriesDose, forbidden: Collection[str], as_of: date) -> Forecast:
    person, ages = course.person, ages_on(rule, as_of)
    maximum = person.reached[ages.maximum] if ages is not None else None
    if maximum is not None and as_of >= maximum:
        return Forecast(SeriesStatus.AGED_OUT)
    earliest = _earliest(course, rule, ages, forbidden, as_of)
    if maximum is not None and earliest is not None and earliest >= maximum:
        return Forecast(SeriesStatus.AGED_OUT)
    if rule.season_end is not None:
        season_end = course.in_season_of(rule.season_end)
        if season_end is not None and as_of > season_end:
            return Forecast(SeriesStatus.NOT_RECOMMENDED)
    unadjusted = person.reached[ages.earliest_recommended] if ages is not None else None
    unadjusted = unadjusted or _latest_interval(course, rule, as_of, "earliest_recommended") or earliest
    overdue = person.reached[ages.latest_recommended] if ages is not None else None
    overdue = overdue or _latest_interval(course, rule, as_of, "latest_recommended")
    recommended = max(filter(None, (earliest, unadjusted)), default=None)
    return Forecast(
        SeriesStatus.NOT_COMPLETE,
        dose_number=_dose_number(course, rule),
        earliest=earliest,
        recommended=recommended,
        past_due=max(filter(None, (earliest, overdue - DAY))) if overdue is not None else None,
        latest=maximum - DAY if maximum is not None else None,
        vaccines=_recommended_vaccines(person, rule, forbidden, {earliest, recommended}),
        priority=rule.has_priority,
    )


def _earliest(
    course: Course, rule: SeriesDose, ages: Ages | None, forbidden: Iterable[str], as_of: date
) -> date | None:
    """Return the first day on which the dose would count (FORECASTDTCAN-1); None where no rule gives a day.

    It is never before the last dose given, an inadvertent one among them.
    """
    days = [course.person.reached[ages.minimum]] if ages is not None else []
    days.append(_latest_interval(course, rule, as_of, "minimum"))
    if course.conflicts:
        days.append(_end_of_conflicts(course, rule, forbidden))
    if rule.season_start is not None:
        days.append(course.in_season_of(rule.season_start))
    if course.evaluations:
        days.append(max(item.dose.given for item in course.evaluations))
    return max(filter(None, days), default=None)


def _latest_interval(course: Course, rule: SeriesDose, as_of: date, which: str) -> date | None:
    """Return the latest day that any interval of the dose gives."""
    if not rule.intervals:
        return None
    days: list[date] = []
    for interval in rule.intervals:
        period = getattr(interval, which) if interval.effective <= as_of <= interval.cessation else None
        if period is not None and (start := reference_date(course, interval, None)) is not None:
            days.append(period.after(start))
    return max(days, default=None)


def _end_of_conflicts(course: Course, rule: SeriesDose, forbidden: Iterable[str]) -> date | None:
    """When the last live-virus conflict with a vaccine of this dose is over."""
    wanted = rule.preferable_cvx - set(forbidden)
    ends = [conflict_end(course, conflict) for conflict in course.conflicts if wanted & conflict.current]
    return max(filter(None, ends), default=None)


def _dose_number(course: Course, rule: SeriesDose) -> int:
    """Return the number of the next dose: doses that count and one more, within the season of a seasonal vaccine."""
    start = course.in_season_of(rule.season_start) if course.valid else None
    return 1 + (len(course.valid) if start is None else sum(dose.given >= start for dose in course.valid))


def _recommended_vaccines(
    person: Person, rule: SeriesDose, forbidden: Container[str], days: set[date | None]
) -> tuple[str, ...]:
    """Return the vaccines to recommend: forecast by CDC, not forbidden, right for the age (FORECASTRECVAC-1)."""
    return tuple(
        code
        for entry in rule.recommendable
        if any(day is not None and person.within_ages(day, entry.begin_age, entry.end_age) for day in days)
        for code in entry.cvx
        if code not in forbidden
    )
