"""The next dose of a series with its days, and why there is none: CDSi 4.5, chapter 7, small cases by hand."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from cards.vaccines.course import years_back_to_season
from cards.vaccines.doses_by_day import GivenDose
from cards.vaccines.forecasting import Forecast, SeriesStatus
from cards.vaccines.forecasting import _is_immune as is_immune
from cards.vaccines.forecasting import forecast as forecast_of_series
from cards.vaccines.groups import GroupForecast, assess, judge
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
from cards.vaccines.patient import PatientObservation, Person
from cards.vaccines.selection import best_candidates, is_relevant
from maintenance.vaccine_cases import leading_forecast
from tests.cards.vaccines.small_series import course_of, given, rule

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


def test_a_newborn_is_due_for_hepatitis_b_on_the_day_of_birth() -> None:
    found = forecast(person("2025-11-20"), "HepB")
    assert (found.status, found.dose_number) == (SeriesStatus.NOT_COMPLETE, 1)
    assert found.earliest == found.recommended == date(2025, 11, 20)


def test_a_second_hpv_dose_is_recommended_six_months_after_a_first_before_fifteen() -> None:
    found = forecast(person("2012-01-10", (HPV, "2025-10-01")), "HPV")
    assert (found.dose_number, found.earliest, found.recommended) == (2, date(2026, 3, 1), date(2026, 4, 1))


def test_a_first_hpv_dose_at_fifteen_needs_two_more() -> None:
    found = forecast(person("2010-01-10", (HPV, "2025-10-01"), (HPV, "2025-11-01")), "HPV")
    assert (found.dose_number, found.recommended) == (3, date(2026, 4, 1))


def test_a_dose_more_than_four_days_too_young_does_not_count() -> None:
    early = forecast(person("2024-05-01", (MMR, "2025-04-26")), "MMR")
    within = forecast(person("2024-05-01", (MMR, "2025-04-27")), "MMR")
    assert statuses(early) == [("Not Valid", "Age: Too Young")]
    assert statuses(within) == [("Valid", "")]
    assert (early.dose_number, within.dose_number) == (1, 2)


def test_a_live_vaccine_three_weeks_after_another_does_not_count() -> None:
    born = "2024-05-01"
    late = forecast(person(born, (MMR, "2025-06-01"), (VARICELLA, "2025-06-22")), "Varicella")
    together = forecast(person(born, (MMR, "2025-06-01"), (VARICELLA, "2025-06-01")), "Varicella")
    assert statuses(late) == [("Not Valid", "Live Virus Conflict")]
    assert statuses(together) == [("Valid", "")]


def test_a_conflict_with_another_live_vaccine_moves_the_earliest_date() -> None:
    found = forecast(person("2024-05-01", (MMR, "2025-11-10")), "Varicella")
    assert found.earliest == date(2025, 11, 10) + timedelta(days=28)


def test_a_substandard_dose_is_not_evaluated() -> None:
    dose = GivenDose(date(2025, 6, 1), MMR, substandard=True)
    found = forecast(Person(date(2024, 5, 1), "Female", (dose,)), "MMR")
    assert statuses(found) == [("Sub-standard", "")]
    assert found.dose_number == 1


def test_who_was_born_before_1957_is_immune_to_measles_unless_in_health_care() -> None:
    assert forecast(person("1950-01-01"), "MMR").status is SeriesStatus.IMMUNE
    assert forecast(person("1950-01-01", observed=("055",)), "MMR").status is not SeriesStatus.IMMUNE


@pytest.mark.parametrize("group", ["MMR", "Varicella"])
def test_a_live_vaccine_is_contraindicated_in_pregnancy(group: str) -> None:
    found = forecast(person("1990-01-01", observed=("007",)), group)
    assert found.status is SeriesStatus.CONTRAINDICATED
    assert {item.observation for best in found.best for item in best.forecast.contraindicated_by} == {"007"}


def test_a_pregnancy_calls_for_tdap_beside_the_adult_series() -> None:
    onset = PatientObservation("170", date(2025, 5, 20))
    who = Person(date(1990, 1, 1), "Female", (), (PatientObservation("007"), onset))
    types = {found.series_type for found in assess(who, TODAY, KNOWLEDGE, ("Pertussis",))}
    assert types == {"Standard", "Risk"}


def test_zoster_is_due_at_fifty_and_not_before() -> None:
    assert forecast(person("1975-11-20"), "Zoster").recommended == date(2025, 11, 20)
    young = forecast(person("1985-11-20"), "Zoster")
    assert young.recommended == date(2035, 11, 20)


def test_rotavirus_is_not_started_at_nine_months() -> None:
    assert forecast(person("2025-02-01"), "Rotavirus").status is SeriesStatus.AGED_OUT


def test_who_had_measles_mumps_and_rubella_twice_is_complete() -> None:
    found = forecast(person("2015-05-01", (MMR, "2016-06-01"), (MMR, "2019-06-01")), "MMR")
    assert found.status is SeriesStatus.COMPLETE
    assert found.earliest is None


def test_a_third_dose_after_a_complete_series_is_extraneous() -> None:
    found = forecast(person("2015-05-01", (MMR, "2016-06-01"), (MMR, "2019-06-01"), (MMR, "2022-06-01")), "MMR")
    assert statuses(found)[-1] == ("Extraneous", "Series Already Complete")


def test_an_early_assessment_uses_the_days_of_its_own_season() -> None:
    found = forecast(person("2023-11-03"), "RSV", date(2023, 11, 8))
    assert (found.status, found.recommended) == (SeriesStatus.NOT_COMPLETE, date(2023, 11, 3))


def test_the_order_of_the_doses_does_not_matter() -> None:
    doses = ((IPV, "2015-07-01"), (IPV, "2015-09-01"), (IPV, "2016-06-01"), (MMRV, "2019-07-01"), (MMR, "2016-06-01"))
    forward = assess(person("2015-05-01", *doses), TODAY, KNOWLEDGE)
    backward = assess(person("2015-05-01", *reversed(doses)), TODAY, KNOWLEDGE)
    assert [(item.group, item.status, item.recommended) for item in forward] == [
        (item.group, item.status, item.recommended) for item in backward
    ]


def test_every_forecast_date_is_in_order_for_people_of_every_age() -> None:
    for years in range(0, 100, 3):
        born = date(2025 - years, 2, 28)
        for found in assess(Person(born), TODAY, KNOWLEDGE):
            if found.earliest is not None:
                assert found.recommended is not None
                assert found.earliest <= found.recommended
                assert found.past_due is None or found.earliest <= found.past_due


def test_a_vaccine_that_nobody_knows_changes_nothing() -> None:
    with_unknown = assess(person("1990-01-01", ("9999", "2020-01-01"), (TDAP, "2020-01-01")), TODAY, KNOWLEDGE)
    without = assess(person("1990-01-01", (TDAP, "2020-01-01")), TODAY, KNOWLEDGE)
    assert [(item.group, item.status, item.earliest) for item in with_unknown] == [
        (item.group, item.status, item.earliest) for item in without
    ]


@pytest.mark.parametrize("gender", ["Female", "Male", "Unknown"])
@pytest.mark.parametrize("born", ["2025-09-01", "2021-03-05", "2012-01-10", "1994-06-30", "1958-12-31"])
def test_with_what_a_person_without_a_dose_begins_is_what_the_comparison_of_all_series_chooses(
    born: str, gender: str
) -> None:
    who = person(born, gender=gender)
    for antigen in KNOWLEDGE.antigens.values():
        judged = [
            judge(antigen, series, who, (), (), lambda _: False, TODAY)
            for series in antigen.series
            if is_relevant(series, who, TODAY)
        ]
        chosen = tuple(candidate.series for candidate in best_candidates(judged))
        begun = antigen.series_to_begin.get(gender, antigen.series_to_begin[""])
        assert begun is None or begun == chosen, antigen.antigen


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
