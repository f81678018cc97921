"""Series of made-up doses for the tests of evaluation and forecast: born on 1 January 2000, vaccine "10"."""

from collections.abc import Callable
from datetime import date
from typing import Any

from cards.vaccines.course import Course, evaluate
from cards.vaccines.due import DueVaccine
from cards.vaccines.forecasting import Forecast, SeriesStatus
from cards.vaccines.groups import Candidate, GroupForecast
from cards.vaccines.knowledge import Conflict, Series, SeriesDose, Vaccines
from cards.vaccines.patient import GivenDose, PatientObservation, Person

BORN = date(2000, 1, 1)
TEN = (Vaccines(("10",), forecast=True),)


def rule(**fields: Any) -> SeriesDose:
    """A dose for which vaccine 10 is right, with these requirements."""
    return SeriesDose(**{"preferable": TEN} | fields)


def given(day: str, cvx: str = "10", **fields: Any) -> GivenDose:
    """A dose given on a day."""
    return GivenDose(date.fromisoformat(day), cvx, **fields)


def course_of(
    rules: tuple[SeriesDose, ...],
    *doses: GivenDose,
    others: tuple[GivenDose, ...] = (),
    observed: tuple[tuple[str, str], ...] = (),
    conflicts: tuple[Conflict, ...] = (),
    is_complete: Callable[[str], bool] = lambda _group: False,
    years_back: int = 0,
    country: str = "",
) -> Course:
    """The evaluated course: `doses` are of the antigen, `others` of another one, `observed` codes with their days."""
    series = Series(name="s", type="Standard", vaccine_group="X", group="1", doses=rules)
    observations = tuple(
        PatientObservation(code, date.fromisoformat(since) if since else None, "", "") for code, since in observed
    )
    person = Person(BORN, "Female", (*doses, *others), observations, country)
    course = Course(series, person, doses, conflicts, is_complete, years_back)
    evaluate(course)
    return course


def due(
    *forecasts: Forecast,
    doses: tuple[GivenDose, ...] = (),
    reasons: tuple[PatientObservation, ...] = (),
    group: str = "A",
    label: str = "label",
    vaccines: tuple[str, ...] = (),
    rules: tuple[SeriesDose, ...] = (),
    **fields: Any,
) -> DueVaccine:
    """A group that is due, whose series have these forecasts; without `rules` every dose given counts."""
    course = course_of(rules or tuple(rule() for _ in (*doses, 1)), *doses)
    status = SeriesStatus.NOT_COMPLETE
    best = tuple(Candidate(course.series, course, one) for one in forecasts or (Forecast(status),))
    return DueVaccine(GroupForecast(group, "Standard", status, best, **fields), label, vaccines, reasons)
