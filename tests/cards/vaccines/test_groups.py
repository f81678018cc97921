"""One forecast for a vaccine group out of those of its antigens, by CDC's tables 9-2 to 9-5, worked out by hand."""

from collections.abc import Sequence
from datetime import date
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cards.vaccines.course import Course, DoseStatus, Evaluation, TargetDose
from cards.vaccines.forecasting import Forecast, SeriesStatus
from cards.vaccines.groups import (
    Candidate,
    GroupForecast,
    _blend,
    _earliest,
    _numbered,
    _status,
    best_candidates,
    first_doses,
    is_relevant,
)
from cards.vaccines.knowledge import (
    Ages,
    Indication,
    Interval,
    Period,
    Series,
    SeriesDose,
    VaccineGroup,
    load_knowledge,
)
from cards.vaccines.patient import GivenDose, PatientObservation, Person
from tests.each import for_rows

OPEN, COMPLETE, IMMUNE = SeriesStatus.NOT_COMPLETE, SeriesStatus.COMPLETE, SeriesStatus.IMMUNE
AGED_OUT, AGAINST, NOT_WANTED = SeriesStatus.AGED_OUT, SeriesStatus.CONTRAINDICATED, SeriesStatus.NOT_RECOMMENDED
PERSON = Person(date(2000, 1, 1))


def _day(number: int) -> date:
    return date(2026, 1, number)


def _group(*antigens: str, full: bool = False) -> VaccineGroup:
    return cast(VaccineGroup, SimpleNamespace(antigens=antigens, full=full))


class _Doses:
    """What these functions ask a course for."""

    def __init__(self, valid: Sequence[object], *, seasonal: bool) -> None:
        self.valid, self.valid_doses = valid, len(valid)
        self.current = SimpleNamespace(rule=SimpleNamespace(season_start=_day(1) if seasonal else None))


def _candidate(
    forecast: Forecast, kind: str = "Standard", group: str = "1", valid: Sequence[object] = (), **more: Any
) -> Candidate:
    series = SimpleNamespace(type=kind, group=group, min_age_to_start=more.get("from_age"))
    course = _Doses(valid, seasonal=more.get("seasonal", False))
    return Candidate(cast(Any, series), cast(Any, course), forecast)


def _open(number: int = 1, earliest: date | None = None, **more: Any) -> Forecast:
    return Forecast(OPEN, dose_number=number, earliest=earliest, **more)


@for_rows(
    ("statuses", "expected"),
    [
        ((OPEN, COMPLETE), OPEN), ((COMPLETE, COMPLETE), COMPLETE), ((IMMUNE, IMMUNE), IMMUNE),
        ((IMMUNE, COMPLETE), COMPLETE), ((AGAINST, OPEN), AGAINST), ((AGED_OUT, OPEN), AGED_OUT),
        ((NOT_WANTED, OPEN), NOT_WANTED), ((AGED_OUT, AGAINST), AGAINST), ((NOT_WANTED, AGED_OUT), AGED_OUT),
        ((IMMUNE, OPEN), OPEN),
    ],
)  # fmt: skip
def test_the_status_of_a_group(statuses: tuple[SeriesStatus, ...], expected: SeriesStatus) -> None:
    assert _status([Forecast(status) for status in statuses]) is expected


@for_rows(
    ("forecasts", "latest", "antigens", "expected"),
    [
        ([_open()], None, "A", None),
        ([_open(earliest=_day(5)), _open(earliest=_day(9))], None, "A", _day(5)),
        ([_open(earliest=_day(5)), _open(earliest=_day(9)), _open()], _day(7), "AB", _day(9)),
        ([_open(earliest=_day(5), priority=True), _open(earliest=_day(9))], None, "AB", _day(5)),
        ([_open(earliest=_day(5), priority=True), _open(earliest=_day(9))], _day(7), "AB", _day(7)),
        ([_open(earliest=_day(5), priority=True), _open(earliest=_day(9))], _day(2), "AB", _day(5)),
    ],
)
def test_the_earliest_day_of_a_group(
    forecasts: list[Forecast], latest: date | None, antigens: str, expected: date | None
) -> None:
    assert _earliest(forecasts, latest, _group(*antigens)) == expected


@pytest.mark.parametrize(("full", "number"), [(True, 2), (False, 4)])
def test_several_antigens_are_put_together(full: bool, number: int) -> None:
    items = (
        _candidate(_open(2, _day(5), recommended=_day(6), past_due=_day(20), vaccines=("1", "2"))),
        _candidate(_open(4, _day(9), recommended=_day(8), past_due=_day(21), vaccines=("2", "3"))),
        _candidate(Forecast(COMPLETE, dose_number=9, recommended=_day(1), vaccines=("9",))),
    )
    assert _blend("G", "Standard", items, None, _group("A", "B", "C", full=full)) == GroupForecast(
        "G", "Standard", OPEN, items, number, _day(9), _day(9), _day(20), ("1", "2", "3")
    )
    plain = (_candidate(_open(2, _day(5))), _candidate(_open(4, _day(9))))
    blended = _blend("G", "Standard", plain, None, _group("A", "B"))
    assert (blended.recommended, blended.past_due) == (_day(9), None)
    undated = _blend("G", "Standard", (_candidate(_open(2, recommended=_day(6))),), None, _group("A"))
    assert (undated.earliest, undated.recommended) == (None, _day(6))


def test_intervals_that_go_before_others_count_from_the_last_dose_of_the_group() -> None:
    item = _candidate(_open(2, _day(5), priority=True))
    assert _blend("G", "Standard", (item,), _day(8), _group("A", "B")).earliest == _day(8)
    assert _blend("G", "Standard", (item,), _day(8), _group("A")).earliest == _day(5)


def test_a_risk_dose_is_numbered_after_every_dose_that_counts() -> None:
    doses = [object(), object(), object()]
    standard = _candidate(_open(9), valid=doses)
    risk = _candidate(_open(1), "Risk", valid=doses[:1])
    assert list(_numbered([standard])) == [standard]
    numbered = list(_numbered([standard, risk]))
    assert (numbered[0], numbered[1].forecast.dose_number) == (standard, 4)
    of_a_season = _candidate(_open(1), "Risk", seasonal=True)
    without_number = _candidate(Forecast(COMPLETE), "Risk")
    assert list(_numbered([standard, of_a_season, without_number])) == [standard, of_a_season, without_number]


# The forecast that stands for a group


def _forecast(
    status: SeriesStatus = OPEN, kind: str = "Standard", group: str = "1", years: int | None = None, given: int = 0
) -> GroupForecast:
    from_age = None if years is None else Period(years=years)
    item = _candidate(Forecast(status), kind, group, [object()] * given, from_age=from_age)
    return GroupForecast("G", kind, status, (item,))


@for_rows(("years", "given", "begins"), [(None, 0, True), (26, 0, True), (27, 0, False), (27, 1, True)])
def test_a_series_begins_at_its_age_or_when_it_was_begun(years: int | None, given: int, begins: bool) -> None:
    assert _forecast(years=years, given=given).begins_by(PERSON, date(2026, 1, 1)) is begins


Json = dict[str, Any]
BORN = date(2000, 1, 1)
COMPLETE, NOT_COMPLETE = SeriesStatus.COMPLETE, SeriesStatus.NOT_COMPLETE
CONTRAINDICATED = SeriesStatus.CONTRAINDICATED
FIRST, SECOND, THIRD = date(2010, 1, 1), date(2010, 3, 1), date(2010, 9, 1)
EARLIEST = date(2011, 1, 1)


def _series(name: str = "a", **fields: Any) -> Series:
    doses = fields.pop("doses", (SeriesDose(),))
    return Series(**{"name": name, "type": "Standard", "vaccine_group": "X", "group": "1", "doses": doses} | fields)


def _judged(
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


@for_rows("status", SeriesStatus)
def test_a_series_is_in_process_with_a_valid_dose_when_it_is_not_complete(status: SeriesStatus) -> None:
    assert _judged(status=status, given=(FIRST,)).is_in_process is (status is NOT_COMPLETE)
    assert _judged(status=status).is_in_process is False


@for_rows(
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
@for_rows("given", [(), (FIRST,)])
def test_the_finish_is_the_earliest_date_and_the_longest_minimum_interval_of_the_doses_after_the_next(
    left: tuple[SeriesDose, ...], finish: date, given: tuple[date, ...]
) -> None:
    assert _judged(given=given, left=left).finish == finish


def test_the_maximum_age_of_another_dose_than_the_last_does_not_hinder_the_completion() -> None:
    assert _judged(left=(_until(5), SeriesDose())).is_completable is True
    assert _judged(left=(SeriesDose(), _until(5))).is_completable is False


def test_a_series_has_only_valid_doses_when_no_dose_was_rejected() -> None:
    assert _judged().has_only_valid_doses is True
    assert _judged(given=(FIRST, SECOND)).has_only_valid_doses is True
    assert _judged(given=(FIRST,), rejected=(SECOND,)).has_only_valid_doses is False


def test_open_doses_are_those_neither_given_nor_skipped() -> None:
    assert _judged(given=(FIRST, SECOND), skipped=1, left=(SeriesDose(),) * 3).open_doses == 3
    assert _judged(left=(SeriesDose(),)).open_doses == 1
    assert _judged(given=(FIRST,), skipped=2, left=()).open_doses == 0


# Table 5-5: relevant series

AS_OF = date(2018, 1, 1)


WOMEN = frozenset({"Female", "Unknown"})
AT_AGES = (Indication("007", begin_age=Period(years=18), end_age=Period(years=30)),)
BY_AGE = (Indication("007", end_age=Period(years=2)), Indication("008", begin_age=Period(years=2)))


@for_rows(
    ("fields", "gender", "codes", "as_of", "expected"),
    [
        # A series that is not for a risk concerns everybody of its genders.
        *(({"type": kind}, gender, (), AS_OF, True)
          for kind in ("Standard", "Evaluation Only") for gender in ("Male", "Female", "Unknown")),
        *(({"type": kind, "genders": WOMEN}, gender, (), AS_OF, gender != "Male")
          for kind in ("Standard", "Evaluation Only") for gender in ("Male", "Female", "Unknown")),
        # A risk series concerns people with its observation at its ages.
        *(({"indications": AT_AGES}, "Female", ("007",), date(2000 + years, 6, 1), years in (18, 29))
          for years in (17, 18, 29, 30)),
        *(({"indications": AT_AGES}, "Female", codes, date(2018, 6, 1), False) for codes in ((), ("008",))),
        # Of several indications one must hold, with its own ages.
        ({"indications": BY_AGE}, "Female", ("007",), AS_OF, False),
        ({"indications": BY_AGE}, "Female", ("008",), AS_OF, True),
        ({"indications": BY_AGE}, "Female", ("007", "008"), AS_OF, True),
        ({"indications": (Indication("007"),), "genders": WOMEN}, "Female", ("007",), AS_OF, True),
        ({"indications": (Indication("007"),), "genders": WOMEN}, "Male", ("007",), AS_OF, False),
    ],
)  # fmt: skip
def test_whom_a_series_concerns(fields: Json, gender: str, codes: tuple[str, ...], as_of: date, expected: bool) -> None:
    person = Person(BORN, gender, observations=tuple(map(PatientObservation, codes)))
    assert is_relevant(_series(**{"type": "Risk"} | fields), person, as_of) is expected


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


# Chapter 8: the best series of a group, and the groups that are needed beside each other

SLOW: Json = {"earliest": date(2012, 1, 1)}
QUICK: Json = {"earliest": date(2011, 1, 1)}
AGED: Json = {"given": (FIRST,), "max_age_to_start": Period(years=5)}
ONE: Json = {"given": (FIRST,)}
TWO: Json = {"given": (FIRST, SECOND)}
THREE: Json = {"given": (FIRST, SECOND, THIRD)}
ONLY_EVALUATED: Json = {**TWO, "type": "Evaluation Only"}
EVALUATION: Json = {"type": "Evaluation Only"}
RISK_A: Json = {"type": "Risk", "priority": "A"}
RISK_B: Json = {"type": "Risk", "priority": "B"}
DONE: Json = {"status": COMPLETE, "left": ()}
LEFT_TWO: Json = {"left": (SeriesDose(), SeriesDose())}
PRODUCT: Json = {"product": True}


def _in_process(name: str, preference: int, **fields: Any) -> Candidate:
    return _judged(name, preference=preference, **{**TWO, "left": (SeriesDose(),)} | fields)


def _fresh(name: str, preference: int, **fields: Any) -> Candidate:
    return _judged(name, preference=preference, type="Risk", **fields)


def _of_group(name: str, *equivalent: str, **fields: Any) -> Candidate:
    return _judged(name, group=name, equivalent_groups=frozenset(equivalent), **{"default": True} | fields)


CHOSEN: list[tuple[list[Candidate], list[str]]] = [
    # Section 8.1: the only series of a group if it is the default, the only scorable one, else the default.
    ([_judged("a", default=True, **AGED)], ["a"]),
    ([_judged("a", **AGED)], []),
    ([_judged("a", **AGED), _judged("b", default=True, **AGED)], ["b"]),
    ([_judged("a", **AGED), _judged("b", **AGED)], []),
    ([_judged("a", default=True), _judged("b", **ONE)], ["b"]),
    # SELECTB-24: without a valid dose all are scorable where there is no default, and the earliest start wins.
    ([_judged("a", **SLOW), _judged("b", **QUICK)], ["b"]),
    ([_judged("a", default=True, **SLOW), _judged("b", **QUICK)], ["a"]),
    # Where a dose counts in one series the other is not scorable, though it alone could be completed.
    ([_judged("a", given=(FIRST,), earliest=None), _judged("b", **QUICK)], ["a"]),
    # A series that only evaluates is scorable when it is complete.
    ([_judged("a", **ONE), _judged("b", status=COMPLETE, **ONLY_EVALUATED)], ["b"]),
    ([_judged("a", **ONE), _judged("b", **ONLY_EVALUATED)], ["a"]),
    ([_judged("b", **ONLY_EVALUATED), _judged("c", **ONLY_EVALUATED)], []),
    # Of the risk series those of the best priority; the priority of another kind of series counts nothing.
    ([_judged("b", **RISK_B, **QUICK), _judged("a", **RISK_A, **SLOW)], ["a"]),
    ([_judged("a", **RISK_A, **SLOW), _judged("b", **RISK_B, **QUICK), _judged("c", **RISK_A, **QUICK)],
     ["c"]),
    ([_judged("d", default=True, priority="A"), _judged("b", **RISK_B, **QUICK)], ["b"]),
    # A contraindicated series is left out unless all are, and still says what the best priority is.
    ([_judged("a", **TWO, status=CONTRAINDICATED), _judged("b", **ONE)], ["b"]),
    ([_judged("a", **TWO, status=CONTRAINDICATED), _judged("b", **ONE, status=CONTRAINDICATED)], ["a"]),
    ([_judged("a", **RISK_A, status=CONTRAINDICATED), _judged("b", **RISK_B), _judged("c", **ONE)], ["c"]),
    # Table 8-7: of complete series the one with the most valid doses, then the preferred one; before one in process.
    ([_judged("a", **TWO, **DONE, preference=2), _judged("b", **THREE, **DONE, preference=9)],
     ["b"]),
    ([_judged("b", **THREE, **DONE, preference=9), _judged("a", **TWO, **DONE, preference=2)],
     ["b"]),
    ([_judged("a", **TWO, **DONE, preference=2), _judged("b", **TWO, **DONE, preference=1)], ["b"]),
    ([_judged("b", **TWO, **DONE, preference=1), _judged("a", **TWO, **DONE, preference=2)], ["b"]),
    ([_judged("a", **TWO, **DONE, preference=2), _judged("c", **ONE, **DONE, preference=0),
      _judged("b", **TWO, **DONE, preference=1)], ["b"]),
    ([_judged("a", **TWO, preference=1), _judged("b", **ONE, status=COMPLETE, preference=9)], ["b"]),
    # Table 8-9: in process. Preference 9 for the winner: by its points it wins, not by a tie.
    ([_in_process("a", 2), _in_process("b", 1)], ["b"]),
    ([_in_process("b", 1), _in_process("a", 2)], ["b"]),
    # `a` and `b` share the most doses: 0 each, and -2 as no product. `c` has 2 as a product and -2 for fewer doses.
    ([_in_process("a", 1, **THREE), _in_process("b", 2, **THREE),
      _in_process("c", 9, **PRODUCT)], ["c"]),
    # A nearness to completion that two share gives no points.
    ([_in_process("a", 1), _in_process("b", 2), _in_process("c", 9, **PRODUCT, **LEFT_TWO)], ["c"]),
    # `a` and `b` finish first together: 0. `c` has two doses left (-2) and finishes alone, but later (-1).
    ([_in_process("a", 1), _in_process("b", 2), _in_process("c", 9, **PRODUCT, **LEFT_TWO, earliest=date(2011, 6, 1))],
     ["c"]),
    ([_judged("a", type="Risk", preference=1), _judged("b", **ONE, preference=9)], ["b"]),
    # Table 8-11: `a` and `b` start first together: 0, with a product -1, completable 1. `c` starts later: in all 1.
    ([_fresh("a", 1, **PRODUCT), _fresh("b", 2, **PRODUCT), _fresh("c", 9, earliest=date(2011, 2, 1))], ["c"]),
    # The only one that starts first has 1 and one that starts later -1, which being completable makes up for.
    ([_fresh("a", 1, left=(_until(11),)), _fresh("b", 2, earliest=date(2011, 2, 1))], ["a"]),
    # Without any dose the scorable default goes before the points.
    ([_fresh("b", 1), _fresh("a", 9, default=True, earliest=None), _fresh("c", 2)], ["a"]),
    ([_fresh("b", 1), _fresh("a", 9, default=True, earliest=None), _fresh("c", 2, default=True)], ["a"]),
    # Table 8-14: groups that are not equivalent are all needed but for those that only evaluate and are not complete.
    ([_of_group("1"), _of_group("2", type="Risk"), _of_group("3", **EVALUATION)], ["1", "2"]),
    ([_of_group("1"), _of_group("3", **EVALUATION, status=COMPLETE)], ["1", "3"]),
    # A complete group makes its equivalents needless.
    ([_of_group("1", "2", status=COMPLETE), _of_group("2", "1")], ["1"]),
    ([_of_group("1", "2", status=COMPLETE), _of_group("2", "1", type="Risk")], ["1"]),
    ([_of_group("1", "2", status=COMPLETE), _of_group("2", "1", **EVALUATION)], ["1"]),
    ([_of_group("1", "2", status=COMPLETE), _of_group("2", "1", status=COMPLETE)], ["1", "2"]),
    ([_of_group("1", "2", status=COMPLETE), _of_group("3", "4"), _of_group("4", "3", type="Risk")], ["1", "4"]),
    # Of equivalent groups that are not complete a risk series goes before the others.
    ([_of_group("1", "2"), _of_group("2", "1", type="Risk")], ["2"]),
    ([_of_group("1", "2", type="Risk"), _of_group("2", "1", type="Risk")], ["1", "2"]),
    ([_of_group("1", "2"), _of_group("2", "1")], ["1", "2"]),
    ([_of_group("1", "2"), _of_group("2", "1", **EVALUATION)], ["1"]),
    ([_of_group("1", "2", "3"), _of_group("2", "1"), _of_group("3", "1", type="Risk")], ["2", "3"]),
    # An equivalent group without a chosen series counts nothing, and of no candidates none is best.
    ([_of_group("1", "2", "9"), _of_group("2", "1", **AGED, default=False, status=COMPLETE)], ["1"]),
    ([], []),
]  # fmt: skip


@for_rows(("candidates", "best"), CHOSEN)
def test_the_best_series_of_each_group(candidates: list[Candidate], best: list[str]) -> None:
    assert _best(*candidates) == best


@for_rows(
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


@for_rows(
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
