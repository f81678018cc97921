"""The index of doses answers as a walk over all doses does, and CDC's conflicts are of the kind that it relies on."""

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from cards.vaccines.doses_by_day import DosesByDay, GivenDose, LatestDose
from cards.vaccines.knowledge import Period, load_knowledge

DAYS = st.dates(date(2020, 1, 1), date(2020, 3, 1))
DOSES = st.lists(st.builds(GivenDose, DAYS, st.sampled_from(["03", "08", "21"])), max_size=25).map(
    lambda doses: sorted(doses, key=lambda dose: dose.given)
)
VACCINES = st.frozensets(st.sampled_from(["03", "08", "21", "94"]))
PERIOD = Period(days=5)


@given(DOSES, VACCINES, DAYS, DAYS)
def test_doses_are_counted_from_a_day_and_before_another(
    doses: list[GivenDose], cvx: frozenset[str], begin: date, end: date
) -> None:
    wanted = [one for one in doses if (not cvx or one.cvx in cvx) and begin <= one.given < end]
    assert DosesByDay(doses).count(cvx, begin, end) == len(wanted)


@given(DOSES, VACCINES, DAYS)
def test_doses_that_are_added_later_are_counted_too(doses: list[GivenDose], cvx: frozenset[str], end: date) -> None:
    growing: list[GivenDose] = []
    index = DosesByDay(growing)
    for dose in doses:
        growing.append(dose)
        assert index.count(cvx, date.min, end) == DosesByDay(list(growing)).count(cvx, date.min, end)


@given(DOSES, VACCINES.filter(bool), DAYS)
def test_the_latest_day_lies_the_period_before(doses: list[GivenDose], cvx: frozenset[str], day: date) -> None:
    days = [one.given for one in doses if one.cvx in cvx and PERIOD.after(one.given) <= day]
    assert DosesByDay(doses).latest_before(cvx, day, PERIOD) == max(days, default=None)


@given(DOSES, st.sets(st.integers(0, 24)))
def test_the_latest_dose_is_neither_itself_nor_one_that_is_left_out(doses: list[GivenDose], numbers: set[int]) -> None:
    latest, left_out = LatestDose(doses), set[int]()
    for number, dose in enumerate(doses):
        before = [one.given for one in doses if one is not dose and id(one) not in left_out and one.given <= dose.given]
        assert latest.up_to(dose, left_out) == max(before, default=None)
        if number in numbers:
            left_out.add(id(dose))
    counted = [one.given for one in doses if id(one) not in left_out]
    assert latest.up_to(None, left_out) == max(counted, default=None)


def test_a_conflict_of_cdc_begins_after_the_day_and_ends_sooner_for_a_dose_that_counts() -> None:
    conflicts = load_knowledge().schedule.conflicts
    assert conflicts
    starts = [date(2024, 1, 1) + timedelta(days=one) for one in range(400)]
    for conflict in conflicts:
        assert all(conflict.begin.after(day) > day for day in starts)
        assert all(conflict.minimum_end.after(day) <= conflict.end.after(day) for day in starts)
