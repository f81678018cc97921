"""The next dose of a series with its days, and why there is none: CDSi 4.5, chapter 7, small cases by hand."""

from datetime import date, timedelta
from typing import Any

from cards.vaccines.course import years_back_to_season
from cards.vaccines.forecasting import SeriesStatus
from cards.vaccines.groups import GroupForecast, assess
from cards.vaccines.knowledge import (
    load_knowledge,
)
from cards.vaccines.patient import GivenDose, PatientObservation, Person
from maintenance.vaccine_cases import leading_forecast
from tests.each import for_rows

KNOWLEDGE = load_knowledge()
TODAY = date(2025, 11, 20)
MMR, VARICELLA, HPV, HEPB_CHILD, ZOSTER, TDAP, IPV, MMRV = "03", "21", "165", "08", "187", "115", "10", "94"


def person(born: str, *doses: tuple[str, str], observed: tuple[str, ...] = (), gender: str = "Female") -> Person:
    given = tuple(GivenDose(date.fromisoformat(day), cvx) for cvx, day in doses)
    return Person(date.fromisoformat(born), gender, given, tuple(PatientObservation(code) for code in observed))


def forecast(who: Person, group: str, as_of: date = TODAY) -> GroupForecast:
    found = assess(who, as_of, KNOWLEDGE, KNOWLEDGE.schedule.groups[group].antigens)
    leading = leading_forecast(found, who, as_of)
    assert leading is not None
    return leading


def statuses(found: GroupForecast) -> list[tuple[str, str]]:
    return [(item.status.value, item.reason) for item in found.best[0].course.evaluations]


VALID, CONFLICT = ("Valid", ""), ("Not Valid", "Live Virus Conflict")
TWICE = ((MMR, "2016-06-01"), (MMR, "2019-06-01"))
OF_PEOPLE: list[tuple[Person, str, date, dict[str, Any]]] = [
    # A newborn is due for hepatitis B on the day of birth.
    (person("2025-11-20"), "HepB", TODAY, {
        "status": SeriesStatus.NOT_COMPLETE, "dose_number": 1, "earliest": TODAY, "recommended": TODAY}),
    # A second HPV dose is recommended six months after a first before fifteen; at fifteen two more are needed.
    (person("2012-01-10", (HPV, "2025-10-01")), "HPV", TODAY, {
        "dose_number": 2, "earliest": date(2026, 3, 1), "recommended": date(2026, 4, 1)}),
    (person("2010-01-10", (HPV, "2025-10-01"), (HPV, "2025-11-01")), "HPV", TODAY, {
        "dose_number": 3, "recommended": date(2026, 4, 1)}),
    # A dose more than four days too young does not count.
    (person("2024-05-01", (MMR, "2025-04-26")), "MMR", TODAY, {
        "statuses": [("Not Valid", "Age: Too Young")], "dose_number": 1}),
    (person("2024-05-01", (MMR, "2025-04-27")), "MMR", TODAY, {"statuses": [VALID], "dose_number": 2}),
    # A live vaccine three weeks after another does not count; the conflict moves the earliest date.
    (person("2024-05-01", (MMR, "2025-06-01"), (VARICELLA, "2025-06-22")), "Varicella", TODAY, {
        "statuses": [CONFLICT]}),
    (person("2024-05-01", (MMR, "2025-06-01"), (VARICELLA, "2025-06-01")), "Varicella", TODAY, {"statuses": [VALID]}),
    (person("2024-05-01", (MMR, "2025-11-10")), "Varicella", TODAY, {"earliest": date(2025, 12, 8)}),
    # A substandard dose is not evaluated.
    (Person(date(2024, 5, 1), "Female", (GivenDose(date(2025, 6, 1), MMR, substandard=True),)), "MMR", TODAY, {
        "statuses": [("Sub-standard", "")], "dose_number": 1}),
    # Who was born before 1957 is immune to measles unless in health care.
    (person("1950-01-01"), "MMR", TODAY, {"status": SeriesStatus.IMMUNE}),
    (person("1950-01-01", observed=("055",)), "MMR", TODAY, {"status": SeriesStatus.NOT_COMPLETE}),
    # Live vaccines are contraindicated in pregnancy.
    *((person("1990-01-01", observed=("007",)), group, TODAY, {
        "status": SeriesStatus.CONTRAINDICATED, "against": {"007"}}) for group in ("MMR", "Varicella")),
    # Zoster is due at fifty and not before, and rotavirus is not started at nine months.
    (person("1975-11-20"), "Zoster", TODAY, {"recommended": TODAY}),
    (person("1985-11-20"), "Zoster", TODAY, {"recommended": date(2035, 11, 20)}),
    (person("2025-02-01"), "Rotavirus", TODAY, {"status": SeriesStatus.AGED_OUT}),
    # Who had measles, mumps and rubella twice is complete, and a third dose is extraneous.
    (person("2015-05-01", *TWICE), "MMR", TODAY, {"status": SeriesStatus.COMPLETE, "earliest": None}),
    (person("2015-05-01", *TWICE, (MMR, "2022-06-01")), "MMR", TODAY, {
        "statuses": [VALID, VALID, ("Extraneous", "Series Already Complete")]}),
    # An early assessment uses the days of its own season.
    (person("2023-11-03"), "RSV", date(2023, 11, 8), {
        "status": SeriesStatus.NOT_COMPLETE, "recommended": date(2023, 11, 3)}),
]  # fmt: skip


@for_rows(("who", "group", "as_of", "expected"), OF_PEOPLE)
def test_what_is_due_for_a_person(who: Person, group: str, as_of: date, expected: dict[str, Any]) -> None:
    found = forecast(who, group, as_of)
    against = {item.observation for best in found.best for item in best.forecast.contraindicated_by}
    beside: dict[str, Any] = {"statuses": statuses(found), "against": against}
    assert {name: beside.get(name, getattr(found, name, None)) for name in expected} == expected


def test_the_order_of_the_doses_does_not_matter() -> None:
    doses = ((IPV, "2015-07-01"), (IPV, "2015-09-01"), (IPV, "2016-06-01"), (MMRV, "2019-07-01"), (MMR, "2016-06-01"))
    forward = assess(person("2015-05-01", *doses), TODAY, KNOWLEDGE)
    backward = assess(person("2015-05-01", *reversed(doses)), TODAY, KNOWLEDGE)
    assert [(item.group, item.status, item.recommended) for item in forward] == [
        (item.group, item.status, item.recommended) for item in backward
    ]


def test_the_last_day_of_a_season_belongs_to_the_season_before_it() -> None:
    series = next(
        series
        for antigen in KNOWLEDGE.antigens.values()
        for series in antigen.series
        if series.last_season_end is not None
    )
    end = series.last_season_end
    assert end is not None
    before = date(end.year - 1, end.month, end.day)
    days = (end, before + timedelta(days=1), before, before - timedelta(days=1))
    assert [years_back_to_season(series, day) for day in days] == [0, 0, 1, 1]


NOT_COMPLETE, AGED_OUT = SeriesStatus.NOT_COMPLETE, SeriesStatus.AGED_OUT
