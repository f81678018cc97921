"""Which series of a group fits a person best: CDSi 4.5, table 5-5, rules SELECTB and tables 8-7 to 8-14, by hand."""

from datetime import date
from typing import Any

import pytest

from cards.vaccines.course import Course, DoseStatus, Evaluation, TargetDose
from cards.vaccines.doses_by_day import GivenDose
from cards.vaccines.forecasting import Forecast, SeriesStatus
from cards.vaccines.knowledge import Ages, Indication, Interval, Period, Series, SeriesDose, load_knowledge
from cards.vaccines.patient import PatientObservation, Person
from cards.vaccines.selection import Candidate, best_candidates, first_doses, is_relevant

Json = dict[str, Any]
BORN = date(2000, 1, 1)
COMPLETE, NOT_COMPLETE = SeriesStatus.COMPLETE, SeriesStatus.NOT_COMPLETE
CONTRAINDICATED = SeriesStatus.CONTRAINDICATED
FIRST, SECOND, THIRD = date(2010, 1, 1), date(2010, 3, 1), date(2010, 9, 1)
EARLIEST = date(2011, 1, 1)


def _series(name: str = "a", **fields: Any) -> Series:
    doses = fields.pop("doses", (SeriesDose(),))
    return Series(**{"name": name, "type": "Standard", "vaccine_group": "X", "group": "1", "doses": doses} | fields)


def _candidate(
    name: str = "a",
    *,
    given: tuple[date, ...] = (),
    rejected: tuple[date, ...] = (),
    left: tuple[SeriesDose, ...] = (SeriesDose(),),
    skipped: int = 0,
    status: SeriesStatus = NOT_COMPLETE,
    earliest: date | None = EARLIEST,
    **fields: Any,
) -> Candidate:
    """A series with the valid doses `given`, the not valid ones `rejected`, and the doses `left`, the next first."""
    rules = (*(SeriesDose() for _ in given), *(SeriesDose() for _ in range(skipped)), *left)
    series = _series(name, doses=rules, **fields)
    doses = tuple(GivenDose(day, "10") for day in given)
    course = Course(series, Person(BORN), doses, (), lambda _group: False)
    course.targets.extend(TargetDose(rule, number) for number, rule in enumerate(rules, start=1))
    for dose in doses:
        course.add(Evaluation(dose, DoseStatus.VALID))
        course.satisfy_current(dose)
    for day in rejected:
        course.add(Evaluation(GivenDose(day, "10"), DoseStatus.NOT_VALID))
    for _ in range(skipped):
        course.skip_current()
    return Candidate(series, course, Forecast(status, earliest=earliest))


def _best(*candidates: Candidate) -> list[str]:
    return [item.series.name for item in best_candidates(candidates)]


def _after(days: int) -> SeriesDose:
    """A dose that many days after the one before."""
    intervals = (Interval(from_previous=True, minimum=Period(days=days)),)
    return SeriesDose(intervals=intervals)


def _until(years: int) -> SeriesDose:
    return SeriesDose(ages=(Ages(maximum=Period(years=years)),))


# Rules SELECTB-2 to SELECTB-16


@pytest.mark.parametrize("status", SeriesStatus)
def test_a_series_is_complete_by_its_status_alone(status: SeriesStatus) -> None:
    assert _candidate(status=status).is_complete is (status is COMPLETE)
    assert _candidate(status=status, given=(FIRST,)).is_complete is (status is COMPLETE)


@pytest.mark.parametrize("status", SeriesStatus)
def test_a_series_is_in_process_with_a_valid_dose_when_it_is_not_complete(status: SeriesStatus) -> None:
    assert _candidate(status=status, given=(FIRST,)).is_in_process is (status is NOT_COMPLETE)
    assert _candidate(status=status).is_in_process is False
    assert _candidate(status=status, rejected=(FIRST,)).is_in_process is False


def test_a_series_without_an_earliest_date_has_no_finish_and_cannot_be_completed() -> None:
    candidate = _candidate(earliest=None, left=(SeriesDose(), _after(30)))
    assert candidate.finish is None
    assert candidate.is_completable is False


@pytest.mark.parametrize(
    ("left", "finish"),
    [
        ((SeriesDose(),), date(2011, 1, 1)),
        ((_after(60),), date(2011, 1, 1)),
        ((_after(60), _after(28)), date(2011, 1, 29)),
        ((_after(60), _after(28), _after(14)), date(2011, 1, 29)),
        ((_after(60), _after(14), _after(28)), date(2011, 1, 29)),
        ((SeriesDose(), SeriesDose(intervals=(Interval(from_previous=True),))), date(2011, 1, 1)),
        ((SeriesDose(),
          SeriesDose(intervals=(Interval(from_previous=True), Interval(from_target_dose=1, minimum=Period(days=31)),
                                Interval(from_previous=True, minimum=Period(days=10),
                                         earliest_recommended=Period(days=90))))), date(2011, 2, 1)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("given", [(), (FIRST,)])
def test_the_finish_is_the_earliest_date_and_the_longest_minimum_interval_of_the_doses_after_the_next(
    left: tuple[SeriesDose, ...], finish: date, given: tuple[date, ...]
) -> None:
    assert _candidate(given=given, left=left).finish == finish


def test_the_maximum_age_of_another_dose_than_the_last_does_not_hinder_the_completion() -> None:
    assert _candidate(left=(_until(5), SeriesDose())).is_completable is True
    assert _candidate(left=(SeriesDose(), _until(5))).is_completable is False


def test_a_series_has_only_valid_doses_when_no_dose_was_rejected() -> None:
    assert _candidate().has_only_valid_doses is True
    assert _candidate(given=(FIRST, SECOND)).has_only_valid_doses is True
    assert _candidate(given=(FIRST,), rejected=(SECOND,)).has_only_valid_doses is False


@pytest.mark.parametrize("status", [item for item in DoseStatus if item is not DoseStatus.VALID])
def test_an_extraneous_or_sub_standard_dose_is_not_a_valid_one(status: DoseStatus) -> None:
    candidate = _candidate(given=(FIRST,))
    candidate.course.add(Evaluation(GivenDose(SECOND, "10"), status))
    assert candidate.has_only_valid_doses is False


def test_open_doses_are_those_neither_given_nor_skipped() -> None:
    assert _candidate(given=(FIRST, SECOND), skipped=1, left=(SeriesDose(),) * 3).open_doses == 3
    assert _candidate(left=(SeriesDose(),)).open_doses == 1
    assert _candidate(given=(FIRST,), skipped=2, left=()).open_doses == 0


# Table 5-5: relevant series

AS_OF = date(2018, 1, 1)


@pytest.mark.parametrize("kind", ["Standard", "Evaluation Only"])
def test_a_series_that_is_not_for_a_risk_concerns_everybody_of_its_genders(kind: str) -> None:
    everybody, women = _series(type=kind), _series(type=kind, genders=frozenset({"Female", "Unknown"}))
    for gender in ("Male", "Female", "Unknown"):
        assert is_relevant(everybody, Person(BORN, gender), AS_OF) is True
        assert is_relevant(women, Person(BORN, gender), AS_OF) is (gender != "Male")


@pytest.mark.parametrize(
    ("years", "expected"), [(17, False), (18, True), (29, True), (30, False)], ids=["before", "at", "last", "end"]
)
def test_a_risk_series_concerns_people_with_its_observation_at_its_ages(years: int, expected: bool) -> None:
    indication = Indication("007", begin_age=Period(years=18), end_age=Period(years=30))
    series = _series(type="Risk", indications=(indication,))
    with_risk = Person(BORN, observations=(PatientObservation("007"),))
    assert is_relevant(series, with_risk, date(2000 + years, 6, 1)) is expected
    assert is_relevant(series, Person(BORN), date(2000 + years, 6, 1)) is False
    other = Person(BORN, observations=(PatientObservation("008"),))
    assert is_relevant(series, other, date(2000 + years, 6, 1)) is False


def test_a_risk_series_of_several_indications_needs_one_that_holds_with_its_own_ages() -> None:
    indications = (Indication("007", end_age=Period(years=2)), Indication("008", begin_age=Period(years=2)))
    series = _series(type="Risk", indications=indications)

    def relevant(*codes: str) -> bool:
        observations = tuple(PatientObservation(code) for code in codes)
        return is_relevant(series, Person(BORN, observations=observations), AS_OF)

    assert relevant("007") is False
    assert relevant("008") is True
    assert relevant("007", "008") is True


def test_a_risk_series_of_another_gender_is_not_relevant() -> None:
    series = _series(type="Risk", genders=frozenset({"Female"}), indications=(Indication("007"),))
    observations = (PatientObservation("007"),)
    assert is_relevant(series, Person(BORN, "Female", observations=observations), AS_OF) is True
    assert is_relevant(series, Person(BORN, "Male", observations=observations), AS_OF) is False


# Without any dose of the antigen


def test_without_a_dose_a_group_with_a_default_and_no_risk_is_its_default_alone() -> None:
    series = [
        _series("a"),
        _series("b", default=True),
        _series("c", group="2"),
        _series("d", group="2"),
        _series("e", group="3", default=True),
        _series("f", group="3", type="Risk"),
        _series("g", default=True),
        _series("h", type="Evaluation Only"),
    ]
    assert [item.name for item in first_doses(series)] == ["b", "c", "d", "e", "f"]
    assert first_doses([]) == []


def test_a_person_without_a_dose_begins_with_the_default_of_each_group() -> None:
    antigens = load_knowledge().antigens
    begun = {name: antigens[name].series_to_begin for name in ("Measles", "HPV", "HepA")}
    named = {name: {who: series and [one.name for one in series] for who, series in each.items()}
             for name, each in begun.items()}  # fmt: skip
    assert named == {
        "Measles": {"": ["Measles 2-dose series"]}, "HepA": {"": None},
        "HPV": {"": (), "Male": ["HPV male 2-dose series"],
                "Female": ["HPV 2-dose series"], "Unknown": ["HPV 2-dose series"]},
    }  # fmt: skip


# Section 8.1: the default, the only scorable series


def test_the_only_series_of_a_group_is_chosen_if_it_is_the_default() -> None:
    aged: Json = {"given": (date(2010, 1, 1),), "max_age_to_start": Period(years=5)}
    assert _best(_candidate("a", default=True, **aged)) == ["a"]
    assert _best(_candidate("a", **aged)) == []


def test_a_group_without_a_scorable_series_falls_back_to_its_default() -> None:
    aged: Json = {"given": (date(2010, 1, 1),), "max_age_to_start": Period(years=5)}
    assert _best(_candidate("a", **aged), _candidate("b", default=True, **aged)) == ["b"]
    assert _best(_candidate("a", **aged), _candidate("b", **aged)) == []


def test_the_only_scorable_series_is_chosen_before_the_default() -> None:
    assert _best(_candidate("a", default=True), _candidate("b", given=(FIRST,))) == ["b"]


# SELECTB-24: which series are scorable


def test_a_series_without_a_valid_dose_is_scorable_only_where_no_dose_counts_and_there_is_no_default() -> None:
    slow, quick = date(2012, 1, 1), date(2011, 1, 1)
    # No default: both are scorable and the earliest start wins.
    assert _best(_candidate("a", earliest=slow), _candidate("b", earliest=quick)) == ["b"]
    # A default: no other is scorable.
    assert _best(_candidate("a", earliest=slow, default=True), _candidate("b", earliest=quick)) == ["a"]
    # A dose counts in one series: the other is not scorable, though it could be completed and the first cannot.
    blocked = _candidate("a", given=(FIRST,), earliest=None)
    assert _best(blocked, _candidate("b", earliest=quick)) == ["a"]


def test_a_series_that_only_evaluates_is_scorable_when_it_is_complete() -> None:
    fields: Json = {"given": (FIRST, SECOND), "type": "Evaluation Only"}
    assert _best(_candidate("a", given=(FIRST,)), _candidate("b", status=COMPLETE, **fields)) == ["b"]
    assert _best(_candidate("a", given=(FIRST,)), _candidate("b", **fields)) == ["a"]
    assert _best(_candidate("b", **fields), _candidate("c", **fields)) == []


def test_of_the_risk_series_those_of_the_best_priority_are_scorable() -> None:
    slow, quick = date(2012, 1, 1), date(2011, 1, 1)
    first = _candidate("a", type="Risk", priority="A", earliest=slow)
    second = _candidate("b", type="Risk", priority="B", earliest=quick)
    third = _candidate("c", type="Risk", priority="A", earliest=quick)
    assert _best(second, first) == ["a"]
    assert _best(first, second, third) == ["c"]
    # A risk series needs no valid dose, also beside a default; the priority of another kind of series counts nothing.
    assert _best(_candidate("d", default=True, priority="A"), second) == ["b"]


def test_a_contraindicated_series_is_left_out_unless_all_of_the_group_are() -> None:
    most = _candidate("a", given=(FIRST, SECOND), status=CONTRAINDICATED)
    assert _best(most, _candidate("b", given=(FIRST,))) == ["b"]
    assert _best(most, _candidate("b", given=(FIRST,), status=CONTRAINDICATED)) == ["a"]


def test_a_contraindicated_series_still_says_what_the_best_priority_is() -> None:
    forbidden = _candidate("a", type="Risk", priority="A", status=CONTRAINDICATED)
    assert _best(forbidden, _candidate("b", type="Risk", priority="B"), _candidate("c", given=(FIRST,))) == ["c"]


# Table 8-7: complete series


def test_among_complete_series_the_one_with_the_most_valid_doses_is_best() -> None:
    two = _candidate("a", status=COMPLETE, given=(FIRST, SECOND), left=(), preference=2)
    three = _candidate("b", status=COMPLETE, given=(FIRST, SECOND, THIRD), left=(), preference=9)
    assert _best(two, three) == ["b"]
    assert _best(three, two) == ["b"]


def test_among_complete_series_with_as_many_valid_doses_the_preferred_one_is_best() -> None:
    fields: Json = {"status": COMPLETE, "given": (FIRST, SECOND), "left": ()}
    first, second = _candidate("a", preference=2, **fields), _candidate("b", preference=1, **fields)
    assert _best(first, second) == ["b"]
    assert _best(second, first) == ["b"]
    fewer = _candidate("c", status=COMPLETE, given=(FIRST,), left=(), preference=0)
    assert _best(first, fewer, second) == ["b"]


def test_a_complete_series_goes_before_one_in_process_with_more_doses() -> None:
    complete = _candidate("b", status=COMPLETE, given=(FIRST,), left=(), preference=9)
    assert _best(_candidate("a", given=(FIRST, SECOND), preference=1), complete) == ["b"]


# Table 8-9: series in process, no one complete. Preference 9 for the winner: by its points it wins, not by a tie.


def _in_process(name: str, preference: int, **fields: Any) -> Candidate:
    return _candidate(name, preference=preference, **{"given": (FIRST, SECOND), "left": (SeriesDose(),)} | fields)


def test_among_equals_in_process_the_preferred_one_is_best() -> None:
    assert _best(_in_process("a", 2), _in_process("b", 1)) == ["b"]
    assert _best(_in_process("b", 1), _in_process("a", 2)) == ["b"]


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ({"product": True}, {}),
        ({"product": True}, {"product": True, "rejected": (THIRD,)}),
        ({"given": (FIRST, SECOND, THIRD)}, {}),
        ({}, {"left": (SeriesDose(), SeriesDose())}),
        ({}, {"earliest": date(2011, 1, 2)}),
        ({"left": (_until(12),)}, {"left": (_until(11),)}),
    ],
)  # fmt: skip
def test_each_condition_of_a_series_in_process_gives_points(better: Json, worse: Json) -> None:
    assert _best(_in_process("a", 1, **worse), _in_process("b", 9, **better)) == ["b"]
    assert _best(_in_process("b", 9, **better), _in_process("a", 1, **worse)) == ["b"]


@pytest.mark.parametrize(
    ("first", "second", "best"),
    [
        ({}, {"product": True, "left": (_until(11),)}, "a"),
        ({"given": (FIRST,)}, {"left": (SeriesDose(),) * 2, "earliest": date(2011, 2, 1)}, "a"),
        ({"product": True, "earliest": date(2011, 2, 1)}, {}, "a"),
        ({"given": (FIRST, SECOND, THIRD), "earliest": date(2011, 2, 1)}, {}, "a"),
        ({"earliest": date(2011, 2, 1)}, {"left": (SeriesDose(),) * 2}, "a"),
        ({"product": True}, {"given": (FIRST, SECOND, THIRD)}, "b"),
        ({"product": True, "left": (SeriesDose(),) * 2}, {}, "b"),
        ({"product": True, "given": (FIRST, SECOND, THIRD), "left": (_until(11),)}, {}, "b"),
        ({"product": True, "given": (FIRST, SECOND, THIRD), "left": (_until(11),)}, {"left": (SeriesDose(),) * 2}, "a"),
        ({"product": True, "rejected": (THIRD,), "preference": 1}, {"preference": 0}, "b"),
        ({"left": (_until(9),)}, {"left": (_until(9),), "earliest": date(2011, 2, 1)}, "b"),
        ({"earliest": None}, {"left": (_until(9),)}, "b"),
    ],
)  # fmt: skip
def test_the_points_of_series_in_process_are_summed(first: Json, second: Json, best: str) -> None:
    assert _best(*(_in_process(name, **{"preference": number} | fields) for name, number, fields in
                   (("a", 9, first), ("b", 1, second)))) == [best]  # fmt: skip


def test_what_two_series_share_gives_neither_points() -> None:
    # `a` and `b` share the most doses: 0 each, and -2 as no product. `c` has 2 as a product and -2 for fewer doses:
    # it is best though it is least preferred. Were shared doses worth 2, all three would be equal.
    three = (FIRST, SECOND, THIRD)
    chosen = _best(
        _in_process("a", 1, given=three), _in_process("b", 2, given=three), _in_process("c", 9, product=True)
    )
    assert chosen == ["c"]


def test_a_shared_nearness_to_completion_gives_no_points() -> None:
    two_left = (SeriesDose(), SeriesDose())
    chosen = _best(_in_process("a", 1), _in_process("b", 2), _in_process("c", 9, product=True, left=two_left))
    assert chosen == ["c"]


def test_a_shared_finish_gives_no_points() -> None:
    # `a` and `b` finish first together: 0. `c` has two doses left (-2) and finishes alone, but later (-1): as a product
    # (2 against -2) it has 1 more than they. Were a shared finish worth 1, all three would be equal.
    last: Json = {"left": (SeriesDose(), SeriesDose()), "earliest": date(2011, 6, 1)}
    chosen = _best(_in_process("a", 1), _in_process("b", 2), _in_process("c", 9, product=True, **last))
    assert chosen == ["c"]


def test_a_series_in_process_goes_before_a_risk_series_without_doses() -> None:
    assert _best(_candidate("a", type="Risk", preference=1), _candidate("b", given=(FIRST,), preference=9)) == ["b"]


# Table 8-11: no series complete or in process


def _fresh(name: str, preference: int, **fields: Any) -> Candidate:
    return _candidate(name, preference=preference, type="Risk", **fields)


def test_a_shared_start_gives_no_points() -> None:
    # `a` and `b` start first together: 0, and with a product -1, completable 1: 0. `c` starts later: -1, and is
    # completable and not of a product: 1 + 1, in all 1.
    chosen = _best(
        _fresh("a", 1, product=True), _fresh("b", 2, product=True), _fresh("c", 9, earliest=date(2011, 2, 1))
    )
    assert chosen == ["c"]


def test_without_any_dose_the_scorable_default_goes_before_the_points() -> None:
    default = _fresh("a", 9, default=True, earliest=None)
    assert _best(_fresh("b", 1), default, _fresh("c", 2)) == ["a"]
    assert _best(_fresh("b", 1), default, _fresh("c", 2, default=True)) == ["a"]


# Table 8-14: which groups are needed beside each other


def _of_group(name: str, *equivalent: str, **fields: Any) -> Candidate:
    return _candidate(name, group=name, equivalent_groups=frozenset(equivalent), **{"default": True} | fields)


def test_groups_that_are_not_equivalent_are_all_needed_but_for_those_that_only_evaluate() -> None:
    assert _best(_of_group("1"), _of_group("2", type="Risk"), _of_group("3", type="Evaluation Only")) == ["1", "2"]
    complete = _of_group("3", type="Evaluation Only", status=COMPLETE)
    assert _best(_of_group("1"), complete) == ["1", "3"]


def test_a_complete_group_makes_its_equivalents_needless() -> None:
    complete = _of_group("1", "2", status=COMPLETE)
    assert _best(complete, _of_group("2", "1")) == ["1"]
    assert _best(complete, _of_group("2", "1", type="Risk")) == ["1"]
    assert _best(complete, _of_group("2", "1", type="Evaluation Only")) == ["1"]
    assert _best(complete, _of_group("2", "1", status=COMPLETE)) == ["1", "2"]
    assert _best(complete, _of_group("3", "4"), _of_group("4", "3", type="Risk")) == ["1", "4"]


def test_of_equivalent_groups_that_are_not_complete_a_risk_series_goes_before_the_others() -> None:
    assert _best(_of_group("1", "2"), _of_group("2", "1", type="Risk")) == ["2"]
    assert _best(_of_group("1", "2", type="Risk"), _of_group("2", "1", type="Risk")) == ["1", "2"]
    assert _best(_of_group("1", "2"), _of_group("2", "1")) == ["1", "2"]
    assert _best(_of_group("1", "2"), _of_group("2", "1", type="Evaluation Only")) == ["1"]
    assert _best(_of_group("1", "2", "3"), _of_group("2", "1"), _of_group("3", "1", type="Risk")) == ["2", "3"]


def test_an_equivalent_group_without_a_chosen_series_counts_nothing() -> None:
    aged: Json = {"given": (FIRST,), "max_age_to_start": Period(years=5), "default": False, "status": COMPLETE}
    assert _best(_of_group("1", "2", "9"), _of_group("2", "1", **aged)) == ["1"]


def test_of_no_candidates_none_is_best() -> None:
    assert best_candidates([]) == []
