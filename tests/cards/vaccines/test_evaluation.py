"""Whether a given dose counts, and whether a dose is needed: CDSi 4.5, chapter 6, on made-up series, by hand."""

from datetime import date
from typing import Any

import pytest

from cards.vaccines.course import DoseStatus, can_skip
from cards.vaccines.knowledge import (
    Ages,
    Conflict,
    Interval,
    Period,
    SeriesDose,
    Skip,
    SkipCondition,
    SkipSet,
    Vaccines,
)
from cards.vaccines.patient import GivenDose
from tests.cards.vaccines.small_series import course_of, given, rule
from tests.each import for_rows

VALID, EXTRANEOUS = DoseStatus.VALID, DoseStatus.EXTRANEOUS
TOO_YOUNG, TOO_OLD, TOO_SOON = "Age: Too Young", "Age: Too Old", "Interval: too Soon"
CONFLICT, WRONG = "Live Virus Conflict", "Not a preferable or allowable vaccine"
INADVERTENT, COMPLETE = "Inadvertent Vaccine", "Series Already Complete"
YEAR, TWO_YEARS, FOUR_WEEKS = Period(years=1), Period(years=2), Period(days=28)
FIRST = given("2010-01-01")


def judged(rules: tuple[SeriesDose, ...], *doses: GivenDose, **more: Any) -> list[tuple[str, str]]:
    """Status and reason of every dose."""
    return [(one.status.value, one.reason) for one in course_of(rules, *doses, **more).evaluations]


def last(rules: tuple[SeriesDose, ...], *doses: GivenDose, **more: Any) -> str:
    """The reason why the last dose does not count, else its status."""
    status, reason = judged(rules, *doses, **more)[-1]
    return reason or status


FROM_FIVE_YEARS_IN_2005 = (
    Ages(cessation=date(2004, 12, 31), absolute_minimum=YEAR),
    Ages(effective=date(2005, 1, 1), absolute_minimum=Period(years=10)),
)


@for_rows(
    ("ages", "day", "expected"),
    [
        ((), "2000-01-01", "Valid"),
        ((Ages(),), "2000-01-01", "Valid"),
        ((Ages(absolute_minimum=YEAR, minimum=TWO_YEARS),), "2000-12-31", TOO_YOUNG),
        ((Ages(absolute_minimum=YEAR, minimum=TWO_YEARS),), "2001-01-01", "Valid"),
        ((Ages(maximum=TWO_YEARS),), "2001-12-31", "Valid"),
        ((Ages(maximum=TWO_YEARS),), "2002-01-01", TOO_OLD),
        (FROM_FIVE_YEARS_IN_2005, "2004-12-31", "Valid"),
        (FROM_FIVE_YEARS_IN_2005, "2005-01-01", TOO_YOUNG),
        ((Ages(effective=date(2005, 1, 1), absolute_minimum=Period(years=10)),), "2004-12-31", "Valid"),
    ],
)
def test_a_dose_counts_at_the_ages_that_are_in_force_on_its_day(
    ages: tuple[Ages, ...], day: str, expected: str
) -> None:
    assert last((rule(ages=ages),), given(day)) == expected


PREVIOUS = Interval(from_previous=True, absolute_minimum=FOUR_WEEKS)


@for_rows(
    ("second", "starts"),
    [
        (given("2010-02-01"), True),
        (given("2010-02-01", "99"), True),  # not valid: another vaccine
        (given("2010-02-01", "66"), False),  # inadvertent
        (given("2010-02-01", substandard=True), False),
    ],
)
def test_an_interval_starts_with_a_dose_that_is_valid_or_not_but_not_with_an_inadvertent_or_sub_standard_one(
    second: GivenDose, starts: bool
) -> None:
    later = rule(intervals=(PREVIOUS,), inadvertent=frozenset({"66"}))
    rules = (rule(), later, later)
    assert last(rules, FIRST, second, given("2010-02-28")) == (TOO_SOON if starts else "Valid")


LIVE_ITSELF = Conflict(frozenset({"10"}), frozenset({"10"}), Period(days=1), Period(days=24), FOUR_WEEKS)


@pytest.mark.parametrize(("day", "expected"), [("2000-06-28", CONFLICT), ("2000-06-29", "Valid")])
def test_after_a_dose_that_does_not_count_the_conflict_is_longer(day: str, expected: str) -> None:
    rules = (rule(ages=(Ages(absolute_minimum=Period(months=5, days=1)),)),)
    too_young = given("2000-06-01")
    assert judged(rules, too_young, given(day), conflicts=(LIVE_ITSELF,))[0] == ("Not Valid", TOO_YOUNG)
    assert last(rules, too_young, given(day), conflicts=(LIVE_ITSELF,)) == expected


@for_rows(
    ("entry", "manufacturer", "counts"),
    [
        ({"trade_name": "Brand", "manufacturer": "MSD"}, "MSD", True),
        ({"trade_name": "Brand", "manufacturer": "MSD"}, "SKB", False),
        ({"trade_name": "Brand", "manufacturer": "MSD"}, "", True),
        ({"trade_name": "Brand"}, "SKB", True),
        ({"manufacturer": "MSD"}, "SKB", True),
    ],
)
def test_only_another_manufacturer_of_a_named_product_is_held_against_a_dose(
    entry: dict[str, str], manufacturer: str, *, counts: bool
) -> None:
    rules = (rule(preferable=(Vaccines(("10",), **entry),)),)  # type: ignore[arg-type]  # both are texts
    assert last(rules, given("2010-01-01", manufacturer=manufacturer)) == ("Valid" if counts else WRONG)


def test_a_dose_after_the_last_one_is_extraneous_and_a_sub_standard_one_advances_nothing() -> None:
    weak = given("2010-02-01", substandard=True)
    assert judged((rule(), rule()), FIRST, weak, given("2010-03-01"), given("2010-04-01")) == [
        ("Valid", ""),
        ("Sub-standard", ""),
        ("Valid", ""),
        ("Extraneous", COMPLETE),
    ]
    assert judged((rule(),), FIRST, weak)[-1] == ("Extraneous", COMPLETE)


# Whether a dose is needed


def skip(*conditions: SkipCondition, logic: str = "AND", context: str = "Both") -> Skip:
    return Skip(context, (SkipSet(conditions=conditions, logic=logic),))


def counted(**fields: Any) -> SkipCondition:
    return SkipCondition("vaccine count by age", **fields)


TWO = (FIRST, given("2010-03-01"))
REFERENCE = date(2012, 1, 1)


@for_rows(
    ("condition", "doses", "counts"),
    [
        (counted(), 1, 0),
        (counted(), 2, 1),
        (counted(), 3, 2),
        (counted(cvx=frozenset({"20"})), 3, 1),  # the other vaccine, given on the day of the third dose
        (counted(cvx=frozenset({"20"})), 2, 0),
        (counted(begin_age=Period(years=10, months=2, days=1)), 2, 0),
        (counted(end_age=Period(years=10, months=2)), 2, 1),
    ],
)
def test_the_dose_under_evaluation_and_later_ones_are_not_counted(
    condition: SkipCondition, doses: int, counts: int
) -> None:
    all_doses = (*TWO, given("2010-05-01"), given("2010-06-01"))
    course = course_of((rule(), rule(), rule(), rule()), *all_doses, others=(given("2010-05-01", "20"),))
    dose = all_doses[doses - 1]
    outcomes = []
    for number in range(4):
        exactly = SkipCondition(
            condition.kind, begin_age=condition.begin_age, end_age=condition.end_age, cvx=condition.cvx,
            count=number, count_logic="equal to",
        )  # fmt: skip
        outcomes.append(can_skip(course, rule(skips=(skip(exactly),)), dose.given, dose))
    assert outcomes == [number == counts for number in range(4)]


@pytest.mark.parametrize(
    ("logic", "needless"),
    [("less than", [False, False, True]), ("greater than", [True, False, False]), ("equal to", [False, True, False])],
)
def test_a_count_is_compared_with_the_number_of_its_condition(logic: str, needless: list[bool]) -> None:
    course = course_of((rule(), rule(), rule()), *TWO)
    conditions = (counted(count=number, count_logic=logic) for number in (1, 2, 3))
    assert [can_skip(course, rule(skips=(skip(condition),)), REFERENCE) for condition in conditions] == needless


AT_FIVE = SkipCondition("age", begin_age=Period(years=5), end_age=Period(years=7))
OVER = SkipCondition("interval", interval=FOUR_WEEKS)
OTHER_GROUP = SkipCondition("completed series", series_groups=frozenset({"2", "3"}))
NEVER = SkipCondition("interval")


@for_rows(
    ("condition", "day", "expected"),
    [
        (AT_FIVE, "2004-12-31", False),
        (AT_FIVE, "2005-01-01", True),
        (AT_FIVE, "2006-12-31", True),
        (AT_FIVE, "2007-01-01", False),
        (OVER, "2010-03-28", False),
        (OVER, "2010-03-29", True),
        (NEVER, "2020-01-01", False),
    ],
)
def test_a_dose_may_be_needless_at_an_age_or_after_an_interval(
    condition: SkipCondition, day: str, expected: bool
) -> None:
    course = course_of((rule(), rule(), rule()), *TWO)
    assert can_skip(course, rule(skips=(skip(condition),)), date.fromisoformat(day)) is expected


def test_without_a_dose_no_interval_is_over_and_nothing_is_counted() -> None:
    course = course_of((rule(),))
    assert not can_skip(course, rule(skips=(skip(OVER),)), REFERENCE)
    assert can_skip(course, rule(skips=(skip(counted(count=1, count_logic="less than")),)), REFERENCE)


def test_a_dose_is_needless_where_one_of_the_named_groups_is_complete() -> None:
    needless = rule(skips=(skip(OTHER_GROUP),))
    assert can_skip(course_of((rule(),), is_complete=lambda group: group == "3"), needless, REFERENCE)
    assert not can_skip(course_of((rule(),), is_complete=lambda group: group == "1"), needless, REFERENCE)


YES, NO = SkipCondition("age", begin_age=YEAR), SkipCondition("age", end_age=YEAR)


@for_rows(
    ("logic", "conditions", "expected"),
    [
        ("AND", (YES, YES), True),
        ("AND", (YES, NO), False),
        ("AND", (NO, YES), False),
        ("OR", (YES, NO), True),
        ("OR", (NO, YES), True),
        ("OR", (NO, NO), False),
        ("OR", (YES,), True),
        ("AND", (NO,), False),
    ],
)
def test_a_set_needs_all_conditions_or_one(logic: str, conditions: tuple[SkipCondition, ...], expected: bool) -> None:
    needless = rule(skips=(skip(*conditions, logic=logic),))
    assert can_skip(course_of((rule(),)), needless, REFERENCE) is expected


def test_of_several_skips_one_is_enough() -> None:
    assert can_skip(course_of((rule(),)), rule(skips=(skip(NO), skip(YES))), REFERENCE)


def test_the_season_of_a_count_is_moved_back_with_the_assessment() -> None:
    in_season = rule(skips=(skip(counted(start=date(2011, 1, 1), count=1, count_logic="equal to")),))
    assert not can_skip(course_of((rule(),), FIRST), in_season, REFERENCE)
    assert can_skip(course_of((rule(),), FIRST, years_back=1), in_season, REFERENCE)
