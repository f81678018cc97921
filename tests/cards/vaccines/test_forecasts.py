"""The next dose of a series with its days, and why there is none: CDSi 4.5, chapter 7, small cases by hand."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from cards.vaccines.course import years_back_to_season
from cards.vaccines.forecasting import Forecast, SeriesStatus
from cards.vaccines.forecasting import _is_immune as is_immune
from cards.vaccines.forecasting import forecast as forecast_of_series
from cards.vaccines.groups import GroupForecast, assess
from cards.vaccines.knowledge import (
    Ages,
    Antigen,
    BirthCohort,
    Conflict,
    Contraindication,
    Interval,
    Period,
    SeriesDose,
    Skip,
    SkipCondition,
    SkipSet,
    Vaccines,
    load_knowledge,
)
from cards.vaccines.patient import GivenDose, PatientObservation, Person
from maintenance.vaccine_cases import leading_forecast
from tests.cards.vaccines.small_series import course_of, given, rule
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


def test_a_birth_before_1957_counts_as_immunity_in_the_united_states_alone_where_the_cohort_names_them() -> None:
    cohorts = [cohort for antigen in KNOWLEDGE.antigens.values() for cohort in antigen.immune_births]
    assert {bool(cohort.country) for cohort in cohorts} == {True, False}
    for antigen in KNOWLEDGE.antigens.values():
        for cohort in antigen.immune_births:
            born = (cohort.born_before - timedelta(days=1)).isoformat()
            at_home = replace(person(born), country=cohort.country or "none")
            elsewhere = replace(at_home, country="elsewhere")
            assert is_immune(at_home, antigen)
            assert is_immune(elsewhere, antigen) is not bool(cohort.country)
            assert not is_immune(person(cohort.born_before.isoformat()), antigen)


NOT_COMPLETE, AGED_OUT = SeriesStatus.NOT_COMPLETE, SeriesStatus.AGED_OUT
YEAR, FOUR_WEEKS = Period(years=1), Period(days=28)
FIRST = given("2010-01-01")
TEN_AND_ELEVEN = (Vaccines(("10", "11"), forecast=True),)
LIVE = Conflict(frozenset({"20"}), frozenset({"10"}), Period(days=1), Period(days=24), Period(days=28))


def forecast_of(
    rules: tuple[SeriesDose, ...], as_of: str, *doses: GivenDose, antigen: dict[str, Any] | None = None, **more: Any
) -> Forecast:
    """The forecast of a series on a day; `antigen` are the fields of the antigen beside its series."""
    course = course_of(rules, *doses, **more)
    known = Antigen("X", "source", "1", date(2026, 1, 1), (course.series,), **(antigen or {}))
    return forecast_of_series(course, known, date.fromisoformat(as_of))


def test_a_first_dose_is_due_by_its_ages() -> None:
    ages = Ages(
        absolute_minimum=Period(months=11), minimum=YEAR, earliest_recommended=Period(years=2),
        latest_recommended=Period(years=3), maximum=Period(years=10),
    )  # fmt: skip
    assert forecast_of((rule(ages=(ages,)),), "2000-06-01") == Forecast(
        NOT_COMPLETE,
        dose_number=1,
        earliest=date(2001, 1, 1),
        unadjusted_recommended=date(2002, 1, 1),
        recommended=date(2002, 1, 1),
        past_due=date(2002, 12, 31),
        latest=date(2009, 12, 31),
        vaccines=("10",),
    )


BY_INTERVAL = Interval(
    from_previous=True, minimum=FOUR_WEEKS, earliest_recommended=Period(days=56), latest_recommended=Period(days=84)
)
LONG = Interval(from_previous=True, minimum=Period(days=60), cessation=date(2010, 1, 15))
SHORT = Interval(from_previous=True, minimum=FOUR_WEEKS)
FIRM, USUAL = (Interval(from_previous=True, minimum=YEAR, priority=priority) for priority in (True, False))
AT_TWO = Ages(earliest_recommended=Period(years=2), latest_recommended=Period(years=3))
FROM_ONE = (Ages(minimum=YEAR),)
FROM_TWELVE = (Ages(minimum=Period(years=12)),)
IN_SEASON = rule(season_start=date(2025, 7, 1), season_end=date(2026, 6, 30))
ELEVEN = (Vaccines(("11",), forecast=True),)
BESIDE_LIVE: dict[str, Any] = {"conflicts": (LIVE,), "others": (given("2010-01-01", "20"),)}
PREGNANT = {"observed": (("007", ""),)}


def _skipped_from(age: Period) -> tuple[Skip, ...]:
    return (Skip("Forecast", (SkipSet(conditions=(SkipCondition("age", begin_age=age),)),)),)


def _against(*codes: str, **fields: Any) -> Contraindication:
    return Contraindication("007", codes[0], vaccines=(Vaccines(codes, **fields),))


def _forbidden(**fields: Any) -> dict[str, Any]:
    """A pregnancy that forbids vaccine 10."""
    return {"antigen": {"vaccine_contraindications": (_against("10", **fields),)}, **PREGNANT}


NEEDLESS = rule(skips=_skipped_from(YEAR))
LATE = rule(ages=FROM_TWELVE, skips=_skipped_from(Period(years=12)))
NEEDED = rule(ages=FROM_TWELVE, skips=_skipped_from(Period(years=12, days=1)))
INADVERTENT = rule(ages=FROM_ONE, inadvertent=frozenset({"66"}))
NOT_RECOMMENDED, FORBIDDEN = SeriesStatus.NOT_RECOMMENDED, SeriesStatus.CONTRAINDICATED
OF_SERIES: list[tuple[tuple[SeriesDose, ...], str, tuple[GivenDose, ...], dict[str, Any], dict[str, Any]]] = [
    # A second dose is due by its interval, and no day of a forecast is before the earliest.
    ((rule(), rule(intervals=(BY_INTERVAL,))), "2010-01-15", (FIRST,), {}, {
        "status": NOT_COMPLETE, "dose_number": 2, "earliest": date(2010, 1, 29), "vaccines": ("10",), "latest": None,
        "unadjusted_recommended": date(2010, 2, 26), "recommended": date(2010, 2, 26), "past_due": date(2010, 3, 25)}),
    ((rule(), rule(ages=(AT_TWO,))), "2010-02-01", (FIRST,), {}, {
        "earliest": date(2010, 1, 1), "unadjusted_recommended": date(2002, 1, 1), "recommended": date(2010, 1, 1),
        "past_due": date(2010, 1, 1)}),
    # A dose without any rule about its day has none.
    ((rule(),), "2010-01-01", (), {}, {
        "status": NOT_COMPLETE, "dose_number": 1, "earliest": None, "recommended": None, "past_due": None,
        "vaccines": ()}),
    # Of several intervals the latest counts, and one that is not in force does not.
    ((rule(), rule(intervals=(LONG, SHORT))), "2010-01-15", (FIRST,), {}, {"earliest": date(2010, 3, 2)}),
    ((rule(), rule(intervals=(LONG, SHORT))), "2010-01-16", (FIRST,), {}, {"earliest": date(2010, 1, 29)}),
    ((rule(), rule(intervals=(SHORT, LONG))), "2010-01-15", (FIRST,), {}, {"earliest": date(2010, 3, 2)}),
    # The intervals of a dose have priority where each has.
    *(((rule(), rule(intervals=intervals)), "2010-02-01", (FIRST,), {}, {"priority": has})
      for intervals, has in (((FIRM,), True), ((FIRM, USUAL), False), ((), False))),
    # A dose of a season is earliest at its start, not recommended after its end, and counted within it.
    ((IN_SEASON,), "2026-06-30", (), {}, {"status": NOT_COMPLETE, "earliest": date(2025, 7, 1)}),
    ((IN_SEASON,), "2026-07-01", (), {}, {"status": NOT_RECOMMENDED, "earliest": None}),
    ((IN_SEASON,), "2025-07-01", (), {"years_back": 1}, {"status": NOT_RECOMMENDED, "earliest": None}),
    ((IN_SEASON,), "2025-06-30", (), {"years_back": 1}, {"earliest": date(2024, 7, 1)}),
    ((rule(), IN_SEASON), "2025-09-01", (given("2025-06-30"),), {}, {"dose_number": 1}),
    ((rule(), IN_SEASON), "2025-09-01", (given("2025-07-01"),), {}, {"dose_number": 2}),
    # A series with every dose is complete, also before immunity, and one that needs none is not recommended.
    ((rule(),), "2010-02-01", (FIRST,), {}, {"status": SeriesStatus.COMPLETE, "dose_number": None}),
    ((rule(),), "2010-02-01", (FIRST,), {"antigen": {"immune_births": (BirthCohort(date(2001, 1, 1)),)}}, {
        "status": SeriesStatus.COMPLETE}),
    ((NEEDLESS,), "2010-02-01", (), {}, {"status": NOT_RECOMMENDED, "dose_number": None}),
    # A dose that is needless today or on its earliest day (born in 2000, from 2012 on) is passed over.
    ((rule(), NEEDLESS, rule()), "2010-02-01", (FIRST,), {}, {"status": NOT_COMPLETE, "dose_number": 2}),
    ((rule(), NEEDLESS), "2010-02-01", (FIRST,), {}, {"status": SeriesStatus.COMPLETE}),
    ((rule(), LATE), "2010-02-01", (FIRST,), {}, {"status": SeriesStatus.COMPLETE}),
    ((LATE,), "2010-02-01", (), {}, {"status": NOT_RECOMMENDED}),
    ((NEEDED,), "2010-02-01", (), {}, {"status": NOT_COMPLETE}),
    # A vaccine is forbidden at its ages, and a dose without a preferable vaccine is not.
    ((rule(),), "2010-01-01", (), _forbidden(begin_age=Period(years=10)), {"status": FORBIDDEN}),
    ((rule(),), "2010-01-01", (), _forbidden(begin_age=Period(years=10, days=1)), {"status": NOT_COMPLETE}),
    ((rule(),), "2010-01-01", (), _forbidden(end_age=Period(years=10)), {"status": NOT_COMPLETE}),
    ((rule(),), "2010-01-01", (), _forbidden(end_age=Period(years=10, days=1)), {"status": FORBIDDEN}),
    ((rule(preferable=()),), "2010-01-01", (), _forbidden(), {"status": NOT_COMPLETE}),
    # What forbids the series does so at its ages.
    *(((rule(),), "2010-01-01", (), {"antigen": {"contraindications": (Contraindication("007", begin_age=age),)},
                                     **PREGNANT}, {"status": status})
      for age, status in ((Period(years=10), FORBIDDEN), (Period(years=10, days=1), NOT_COMPLETE))),
    # A dose whose earliest day is its last age is too late, one without an earliest day is not.
    *(((rule(), rule(ages=(Ages(maximum=age),), intervals=(SHORT,))), "2010-01-15", (FIRST,), {}, {"status": status})
      for age, status in ((Period(years=10, days=28), AGED_OUT), (Period(years=10, days=29), NOT_COMPLETE))),
    ((rule(ages=(Ages(maximum=Period(years=11)),)),), "2010-01-15", (), {}, {"status": NOT_COMPLETE}),
    # The end of a conflict is the earliest day; where the vaccine that conflicts is forbidden another one is given.
    ((rule(ages=FROM_ONE),), "2010-01-10", (), BESIDE_LIVE, {"earliest": date(2010, 1, 25)}),
    ((rule(ages=FROM_ONE, preferable=ELEVEN),), "2010-01-10", (), BESIDE_LIVE, {"earliest": date(2001, 1, 1)}),
    ((rule(ages=FROM_ONE, preferable=TEN_AND_ELEVEN),), "2010-01-10", (), {**BESIDE_LIVE, **_forbidden()}, {
        "earliest": date(2001, 1, 1)}),
    # No dose is due before the last one given.
    ((INADVERTENT,), "2010-02-01", (given("2010-01-20", "66"),), {}, {"earliest": date(2010, 1, 20)}),
]  # fmt: skip


@for_rows(("rules", "as_of", "doses", "more", "expected"), OF_SERIES)
def test_what_is_due_in_a_series(
    rules: tuple[SeriesDose, ...], as_of: str, doses: tuple[GivenDose, ...], more: dict[str, Any],
    expected: dict[str, Any],
) -> None:  # fmt: skip
    found = forecast_of(rules, as_of, *doses, **more)
    assert {name: getattr(found, name) for name in expected} == expected


def test_a_series_is_forbidden_where_each_of_its_vaccines_is() -> None:
    both = rule(preferable=TEN_AND_ELEVEN, ages=(Ages(minimum=YEAR),))
    ten, eleven = _against("10"), _against("11")
    found = forecast_of((both,), "2010-01-01", antigen={"vaccine_contraindications": (eleven, ten)}, **PREGNANT)
    assert found == Forecast(SeriesStatus.CONTRAINDICATED, contraindicated_by=(ten, eleven))
    one = _against("10", "11")
    found = forecast_of((both,), "2010-01-01", antigen={"vaccine_contraindications": (one,)}, **PREGNANT)
    assert found == Forecast(SeriesStatus.CONTRAINDICATED, contraindicated_by=(one,))
    left = forecast_of((both,), "2010-01-01", antigen={"vaccine_contraindications": (ten,)}, **PREGNANT)
    assert (left.status, left.vaccines) == (NOT_COMPLETE, ("11",))
    nobody = forecast_of((both,), "2010-01-01", antigen={"vaccine_contraindications": (ten,)})
    assert nobody.vaccines == ("10", "11")
