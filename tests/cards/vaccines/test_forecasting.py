"""The next dose of a series with its days, and why there is none: CDSi 4.5, chapter 7, on made-up series, by hand."""

from datetime import date
from typing import Any

import pytest

from cards.vaccines.doses_by_day import GivenDose
from cards.vaccines.forecasting import Forecast, SeriesStatus, forecast
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
)
from tests.cards.vaccines.small_series import course_of, given, rule

NOT_COMPLETE, AGED_OUT = SeriesStatus.NOT_COMPLETE, SeriesStatus.AGED_OUT
YEAR = Period(years=1)
FIRST = given("2010-01-01")
TEN_AND_ELEVEN = (Vaccines(("10", "11"), forecast=True),)
LIVE = Conflict(frozenset({"20"}), frozenset({"10"}), Period(days=1), Period(days=24), Period(days=28))


def forecast_of(
    rules: tuple[SeriesDose, ...], as_of: str, *doses: GivenDose, antigen: dict[str, Any] | None = None, **more: Any
) -> Forecast:
    """The forecast of a series on a day; `antigen` are the fields of the antigen beside its series."""
    course = course_of(rules, *doses, **more)
    known = Antigen("X", "source", "1", date(2026, 1, 1), (course.series,), **(antigen or {}))
    return forecast(course, known, date.fromisoformat(as_of))


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
    from_previous=True, minimum=Period(days=28), earliest_recommended=Period(days=56),
    latest_recommended=Period(days=84),
)  # fmt: skip


def test_a_second_dose_is_due_by_its_interval() -> None:
    assert forecast_of((rule(), rule(intervals=(BY_INTERVAL,))), "2010-01-15", FIRST) == Forecast(
        NOT_COMPLETE,
        dose_number=2,
        earliest=date(2010, 1, 29),
        unadjusted_recommended=date(2010, 2, 26),
        recommended=date(2010, 2, 26),
        past_due=date(2010, 3, 25),
        vaccines=("10",),
    )


def test_no_day_of_a_forecast_is_before_the_earliest() -> None:
    ages = Ages(earliest_recommended=Period(years=2), latest_recommended=Period(years=3))
    found = forecast_of((rule(), rule(ages=(ages,))), "2010-02-01", FIRST)
    assert (found.earliest, found.unadjusted_recommended, found.recommended, found.past_due) == (
        date(2010, 1, 1),
        date(2002, 1, 1),
        date(2010, 1, 1),
        date(2010, 1, 1),
    )


def test_a_dose_without_any_rule_about_its_day_has_none() -> None:
    assert forecast_of((rule(),), "2010-01-01") == Forecast(NOT_COMPLETE, dose_number=1)


def test_of_several_intervals_the_latest_counts_and_one_that_is_not_in_force_does_not() -> None:
    long = Interval(from_previous=True, minimum=Period(days=60), cessation=date(2010, 1, 15))
    second = rule(intervals=(long, Interval(from_previous=True, minimum=Period(days=28))))
    assert forecast_of((rule(), second), "2010-01-15", FIRST).earliest == date(2010, 3, 2)
    assert forecast_of((rule(), second), "2010-01-16", FIRST).earliest == date(2010, 1, 29)
    backwards = rule(intervals=tuple(reversed(second.intervals)))
    assert forecast_of((rule(), backwards), "2010-01-15", FIRST).earliest == date(2010, 3, 2)


def test_the_intervals_of_a_dose_have_priority_where_each_has() -> None:
    first, second = (Interval(from_previous=True, minimum=YEAR, priority=priority) for priority in (True, False))
    for intervals, expected in (((first,), True), ((first, second), False), ((), False)):
        assert forecast_of((rule(), rule(intervals=intervals)), "2010-02-01", FIRST).priority is expected


IN_SEASON = rule(season_start=date(2025, 7, 1), season_end=date(2026, 6, 30))


def test_a_dose_of_a_season_is_earliest_at_its_start_and_not_recommended_after_its_end() -> None:
    found = forecast_of((IN_SEASON,), "2026-06-30")
    assert (found.status, found.earliest) == (NOT_COMPLETE, date(2025, 7, 1))
    assert forecast_of((IN_SEASON,), "2026-07-01") == Forecast(SeriesStatus.NOT_RECOMMENDED)
    assert forecast_of((IN_SEASON,), "2025-07-01", years_back=1) == Forecast(SeriesStatus.NOT_RECOMMENDED)
    assert forecast_of((IN_SEASON,), "2025-06-30", years_back=1).earliest == date(2024, 7, 1)


@pytest.mark.parametrize(("day", "number"), [("2025-06-30", 1), ("2025-07-01", 2)])
def test_the_number_of_a_seasonal_dose_counts_the_doses_of_its_season(day: str, number: int) -> None:
    assert forecast_of((rule(), IN_SEASON), "2025-09-01", given(day)).dose_number == number


def test_a_series_with_every_dose_is_complete_and_one_that_needs_none_is_not_recommended() -> None:
    assert forecast_of((rule(),), "2010-02-01", FIRST) == Forecast(SeriesStatus.COMPLETE)
    assert forecast_of((NEEDLESS,), "2010-02-01") == Forecast(SeriesStatus.NOT_RECOMMENDED)


def _skipped_from(age: Period) -> tuple[Skip, ...]:
    return (Skip("Forecast", (SkipSet(conditions=(SkipCondition("age", begin_age=age),)),)),)


NEEDLESS = rule(skips=_skipped_from(YEAR))


def test_a_dose_that_is_needless_today_or_on_its_earliest_day_is_passed_over() -> None:
    today = forecast_of((rule(), NEEDLESS, rule()), "2010-02-01", FIRST)
    assert (today.status, today.dose_number) == (NOT_COMPLETE, 2)
    assert forecast_of((rule(), NEEDLESS), "2010-02-01", FIRST) == Forecast(SeriesStatus.COMPLETE)
    # Born in 2000, it can be given from 2012 on, when it is no longer needed.
    late = rule(ages=(Ages(minimum=Period(years=12)),), skips=_skipped_from(Period(years=12)))
    assert forecast_of((rule(), late), "2010-02-01", FIRST) == Forecast(SeriesStatus.COMPLETE)
    assert forecast_of((late,), "2010-02-01") == Forecast(SeriesStatus.NOT_RECOMMENDED)
    needed = rule(ages=(Ages(minimum=Period(years=12)),), skips=_skipped_from(Period(years=12, days=1)))
    assert forecast_of((needed,), "2010-02-01").status is NOT_COMPLETE


# Immunity


def test_a_complete_series_goes_before_immunity() -> None:
    fields = {"immune_births": (BirthCohort(date(2001, 1, 1)),)}
    assert forecast_of((rule(),), "2010-02-01", FIRST, antigen=fields).status is SeriesStatus.COMPLETE


# Contraindications

PREGNANT = {"observed": (("007", ""),)}


def _against(*codes: str, **fields: Any) -> Contraindication:
    return Contraindication("007", codes[0], vaccines=(Vaccines(codes, **fields),))


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


@pytest.mark.parametrize(
    ("fields", "forbids"),
    [
        ({"begin_age": Period(years=10)}, True),
        ({"begin_age": Period(years=10, days=1)}, False),
        ({"end_age": Period(years=10)}, False),
        ({"end_age": Period(years=10, days=1)}, True),
    ],
)
def test_a_vaccine_is_forbidden_at_its_ages(fields: dict[str, Any], forbids: bool) -> None:
    antigen = {"vaccine_contraindications": (_against("10", **fields),)}
    found = forecast_of((rule(),), "2010-01-01", antigen=antigen, **PREGNANT)
    assert (found.status is SeriesStatus.CONTRAINDICATED) is forbids


def test_a_dose_without_a_preferable_vaccine_is_not_forbidden_by_a_vaccine() -> None:
    antigen = {"vaccine_contraindications": (_against("10"),)}
    assert forecast_of((rule(preferable=()),), "2010-01-01", antigen=antigen, **PREGNANT).status is NOT_COMPLETE


# Conflicts with other live vaccines


def test_the_end_of_a_conflict_is_the_earliest_day() -> None:
    more: dict[str, Any] = {"conflicts": (LIVE,), "others": (given("2010-01-01", "20"),)}
    ages = (Ages(minimum=YEAR),)
    assert forecast_of((rule(ages=ages),), "2010-01-10", **more).earliest == date(2010, 1, 25)
    eleven = rule(ages=ages, preferable=(Vaccines(("11",), forecast=True),))
    assert forecast_of((eleven,), "2010-01-10", **more).earliest == date(2001, 1, 1)
    # The vaccine that conflicts is forbidden, so that another one is given.
    antigen = {"vaccine_contraindications": (_against("10"),)}
    both = rule(ages=ages, preferable=TEN_AND_ELEVEN)
    assert forecast_of((both,), "2010-01-10", antigen=antigen, **PREGNANT, **more).earliest == date(2001, 1, 1)


def test_no_dose_is_due_before_the_last_one_given() -> None:
    inadvertent = rule(ages=(Ages(minimum=YEAR),), inadvertent=frozenset({"66"}))
    assert forecast_of((inadvertent,), "2010-02-01", given("2010-01-20", "66")).earliest == date(2010, 1, 20)
