"""Small cases of our own: doses given and what is due next, without CDC's case file."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from cards.vaccines.course import years_back_to_season
from cards.vaccines.doses_by_day import GivenDose
from cards.vaccines.forecasting import SeriesStatus
from cards.vaccines.forecasting import _is_immune as is_immune
from cards.vaccines.groups import GroupForecast, assess, judge
from cards.vaccines.knowledge import load_knowledge
from cards.vaccines.patient import PatientObservation, Person
from cards.vaccines.selection import best_candidates, is_relevant
from maintenance.vaccine_cases import leading_forecast

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
