"""Three-valued conditions by their truth tables: all, any, none, counts, comparisons at their limits."""

from datetime import datetime
from itertools import product
from typing import Any

import pytest

from cards.extension import Fact
from cards.rules.conditions.condition import (
    ANY_MEDICATION,
    BOOLEAN,
    NO_NEEDS,
    DataNeeds,
    Predicate,
    all_of,
    any_of,
    at_least,
    common_vocabulary,
    comparison,
    flag,
    floor_comparison,
    less_than,
    medications_beside,
    members,
    needs,
    no_facts,
    none_of,
    side_comparison,
)
from cards.rules.language.rule import RuleError, typed
from cards.rules.language.trigger import Selector
from cards.rules.patient.context import WITHOUT_DRUG, RuleContext
from tests.cards.rules.conditions.test_words import context
from tests.cards.rules.contexts import context_of
from tests.each import for_rows
from tests.fhir import builders
from tests.fhir.builders import medication_order, observation

Json = dict[str, Any]
CONTEXT: RuleContext = context_of({"drug": "aspirin"})
TRUTHS = (True, False, None)


def _part(truth: bool | None, name: str = "a", **more: Any) -> Predicate:
    return Predicate(lambda _: truth, lambda _: [Fact("fact", name)], **more)


def _names(predicate: Predicate) -> list[str]:
    return [fact.text for fact in predicate.facts(CONTEXT)]


@for_rows("truths", list(product(TRUTHS, repeat=3)))
def test_combinations_of_three_parts(truths: tuple[bool | None, ...]) -> None:
    parts = tuple(map(_part, truths))
    true, unknown = truths.count(True), truths.count(None)
    assert all_of(parts).test(CONTEXT) is (False if False in truths else None if unknown else True)
    assert any_of(parts).test(CONTEXT) is (True if true else None if unknown else False)
    for least in (1, 2, 3):
        enough = True if true >= least else None if true + unknown >= least else False
        assert at_least(least, parts).test(CONTEXT) is enough
        assert less_than(least, parts).test(CONTEXT) is (None if enough is None else not enough)


def test_no_parts_are_all_true_and_none_of_them_is() -> None:
    assert all_of(()).test(CONTEXT) is True
    assert any_of(()).test(CONTEXT) is False


def test_the_facts_are_those_of_all_parts_or_of_the_true_ones() -> None:
    parts = (_part(True, "a"), _part(False, "b"), _part(None, "c"), _part(True, "d"))
    assert _names(all_of(parts)) == ["a", "b", "c", "d"]
    assert _names(less_than(3, parts)) == ["a", "b", "c", "d"]
    assert _names(any_of(parts)) == ["a", "d"]
    assert _names(at_least(1, parts)) == ["a", "d"]
    assert _names(none_of(_part(False))) == []
    assert no_facts(CONTEXT) == []


def test_a_combination_uses_what_its_parts_use() -> None:
    first = _part(True, uses=frozenset({"age"}), limits=frozenset({1.0}), needs=needs("Condition"))
    second = _part(True, uses=frozenset({"sex"}), limits=frozenset({2.0}), needs=needs(analytes=["inr"]))
    for both in (all_of((first, second)), any_of((first, second)), at_least(1, (first, second))):
        assert both.uses == {"age", "sex"}
        assert both.limits == {1.0, 2.0}
        assert both.needs == DataNeeds(frozenset({"inr"}), frozenset({"Condition"}))


@pytest.mark.parametrize("truth", TRUTHS)
def test_none_is_the_opposite_and_rests_on_a_drug_not_being_taken(truth: bool | None) -> None:
    part = _part(truth, uses=frozenset({"active"}), limits=frozenset({3.0}), needs=needs("Condition"))
    opposite = none_of(part)
    assert opposite.test(CONTEXT) is (None if truth is None else not truth)
    assert opposite.uses == {"active", WITHOUT_DRUG}
    assert (opposite.limits, opposite.needs) == (part.limits, part.needs)
    assert none_of(_part(truth, uses=frozenset({"age"}))).uses == {"age"}


def test_needs_are_added_up() -> None:
    first = needs("Condition", analytes=["inr"], beside=["1191"])
    assert first == DataNeeds(frozenset({"inr"}), frozenset({"Condition"}), frozenset({"1191"}))
    assert first | NO_NEEDS is first
    assert first | needs("Condition") is first
    assert NO_NEEDS | first == first
    for more in (needs("Procedure"), needs(analytes=["alt"]), needs(beside=["2"])):
        both = first | more
        assert both.resources == first.resources | more.resources
        assert both.analytes == first.analytes | more.analytes
        assert both.beside == first.beside | more.beside
    assert medications_beside(["1191"]) == needs("MedicationRequest", "MedicationStatement", beside=["1191"])
    assert needs("MedicationRequest", "MedicationStatement", beside=["*"]) == ANY_MEDICATION


@for_rows(
    ("spec", "below", "at", "above"),
    [
        ({"lt": 5}, True, False, False),
        ({"le": 5}, True, True, False),
        ({"gt": 5}, False, False, True),
        ({"ge": 5}, False, True, True),
    ],
)
def test_a_limit_is_compared(spec: Json, below: bool, at: bool, above: bool) -> None:
    compare, limits = comparison(spec)
    assert [compare(value) for value in (4.9, 5.0, 5.1, None)] == [below, at, above, None]
    assert limits == {5.0}
    # of a sum of which only a part is known, only that it is over a limit
    of_sum, limits = floor_comparison(spec)
    assert [of_sum(value, True) for value in (4.9, 5.0, 5.1)] == [below, at, above]
    over = [answer if answer and not {"lt", "le"} & set(spec) else None for answer in (below, at, above)]
    assert [of_sum(value, False) for value in (4.9, 5.0, 5.1)] == over
    assert limits == {5.0}


def test_two_limits_are_a_range() -> None:
    compare, limits = comparison({"ge": 2, "lt": 5, "unit": "mg"})
    assert [compare(value) for value in (1.9, 2.0, 4.9, 5.0, None)] == [False, True, True, False, None]
    assert limits == {2.0, 5.0}
    assert [floor_comparison({"ge": 2, "lt": 5})[0](value, False) for value in (1.9, 2.0, 5.0)] == [None] * 3


@pytest.mark.parametrize("spec", [{}, {"unit": "mg"}, None])
def test_a_comparison_with_nothing_is_an_error(spec: Any) -> None:
    with pytest.raises((RuleError, TypeError)):
        comparison(spec)


@for_rows(
    ("spec", "number", "side", "expected"),
    [
        ({"ge": 60}, 60, ">", True),
        ({"gt": 60}, 60, ">", True),
        ({"ge": 60}, 60, ">=", True),
        ({"gt": 60}, 60, ">=", None),
        ({"ge": 60}, 61, ">", True),
        ({"ge": 60}, 59, ">", None),
        ({"lt": 60}, 60, ">", False),
        ({"le": 60}, 60, ">", False),
        ({"le": 60}, 60, ">=", None),
        ({"lt": 60}, 60, ">=", False),
        ({"lt": 60}, 59, ">", None),
        ({"lt": 60}, 60, "<", True),
        ({"le": 60}, 60, "<", True),
        ({"lt": 60}, 60, "<=", None),
        ({"le": 60}, 60, "<=", True),
        ({"lt": 60}, 61, "<", None),
        ({"ge": 60}, 60, "<", False),
        ({"gt": 60}, 60, "<", False),
        ({"ge": 60}, 60, "<=", None),
        ({"gt": 60}, 60, "<=", False),
        ({"ge": 60}, 61, "<", None),
        ({"ge": 60}, 59, "<", False),
        ({"ge": 30, "lt": 60}, 60, ">", False),
        ({"ge": 30, "lt": 60}, 30, ">", None),
        ({"ge": 30, "lt": 60}, 30, "<", False),
        ({"ge": 30, "gt": 20}, 30, ">", True),
    ],
)
def test_a_value_of_which_only_the_side_is_known(spec: Json, number: float, side: str, expected: bool | None) -> None:
    assert side_comparison(spec)(number, side) is expected


@for_rows("truth", TRUTHS)
@for_rows("wanted", [True, False])
def test_a_flag_is_true_where_it_is_as_wanted(truth: bool | None, wanted: bool) -> None:
    condition = flag("word", lambda _: truth, "phrase", frozenset({"age"}), needs=needs("Condition"))
    predicate = condition.compile({"word": wanted}, lambda _part: pytest.fail("no part"))
    assert predicate.test(CONTEXT) is (None if truth is None else truth is wanted)
    assert (predicate.uses, predicate.needs) == (frozenset({"age"}), needs("Condition"))


def test_a_flag_is_put_into_words() -> None:
    plain = flag("word", lambda _: True, "phrase")
    assert (plain.meaning, plain.kind) == ("phrase", BOOLEAN)
    assert plain.say({"word": True}, lambda _part: "") == "phrase"
    assert plain.say({"word": False}, lambda _part: "") == "not (phrase)"
    full = flag("word", lambda _: True, "phrase", meaning="meaning", said_not="no phrase")
    assert full.meaning == "meaning"
    assert full.say({"word": False}, lambda _part: "") == "no phrase"


def test_an_object_has_no_other_members() -> None:
    kind = members(("a",), a=str, b=int)
    assert (typed({"a": "x"}, kind).a, typed({"a": "x", "b": 1}, kind).b) == ("x", 1)
    for value in ({}, {"a": 1}, {"a": "x", "b": "1"}, {"a": "x", "c": 1}):
        with pytest.raises(RuleError):
            typed(value, kind)


# Windows of days at their border: to the second, across midnight and a change of the clocks, with dates and months.
CALL = "2026-11-20T09:00:00+00:00"
# Clocks went back on 25 October (Europe) and 1 November 2026 (US), between these times and the call.
WINDOW_OF_30_DAYS = [
    ("2026-11-20T09:00:00Z", True),
    ("2026-10-21T09:00:00Z", True),
    ("2026-10-20T09:00:01Z", True),
    ("2026-10-20T09:00:00Z", False),
    ("2026-10-20T11:00:01+02:00", True),
    ("2026-10-20T11:00:00+02:00", False),
    ("2026-10-20T05:00:01-04:00", True),
    ("2026-10-20T05:00:00-04:00", False),
    ("2026-10-22", True),
    ("2026-10-21", True),
    ("2026-10-20", False),
    ("2026-11", True),
    ("2026-10", False),
    ("2026", False),
]


def _potassium(when: str) -> dict[str, Any]:
    return observation("2823-3", 4.0, "mmol/L", when, patient="case", id="potassium")


def _bleeding(when: str) -> dict[str, Any]:
    return builders.problem(
        code="K92.2",
        patient="case",
        id="bleeding",
        clinicalStatus={
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]
        },
        onsetDateTime=when,
    )


def _order(when: str, *, ended: str | None = None) -> dict[str, Any]:
    """Metformin, written then; over since `ended` where that is given."""
    return medication_order(
        {"coding": [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "861007"}]},
        status="active" if ended is None else "completed",
        patient="case",
        id="metformin",
        authoredOn=when,
        dosageInstruction=[
            {"timing": {"repeat": {"boundsPeriod": {"start": when, **({} if ended is None else {"end": ended})}}}}
        ],
    )


def _holds(condition: dict[str, Any], resource: dict[str, Any], call: str = CALL) -> bool | None:
    patient = {"age": 60, "sex": "male", "more": [resource]}
    drafted = context(patient, {"drug": "861007"}, datetime.fromisoformat(call))
    return common_vocabulary().compile(condition).test(drafted)


@for_rows(("when", "is_within"), WINDOW_OF_30_DAYS)
def test_a_window_of_thirty_days_ends_at_the_second(when: str, is_within: bool) -> None:
    """Alike for a value, for a value that is missing, and for a problem."""
    value = {"lab": "potassium", "lt": 9, "max_age_days": 30}
    missing = {"lab_missing": "potassium", "max_age_days": 30}
    problem = {"recent_problem": {"icd10": ["K92"], "within_days": 30}}
    assert (_holds(value, _potassium(when)) is True) is is_within
    assert (_holds(missing, _potassium(when)) is True) is not is_within
    assert (_holds(problem, _bleeding(when)) is True) is is_within


@for_rows(
    ("call", "when", "is_within"),
    [
        ("2026-11-20T00:30:00+00:00", "2026-11-18T00:30:01Z", True),
        ("2026-11-20T00:30:00+00:00", "2026-11-18T00:30:00Z", False),
        ("2026-11-20T00:30:00+00:00", "2026-11-19", True),
        ("2026-11-20T00:00:00+00:00", "2026-11-18", False),
        ("2026-11-19T23:59:59+00:00", "2026-11-18", True),
        ("2026-11-19T19:30:00-05:00", "2026-11-18T00:30:01Z", True),
        ("2026-11-19T19:30:01-05:00", "2026-11-18T00:30:01Z", False),
        ("2026-10-25T12:00:00+01:00", "2026-10-23T13:00:01+02:00", True),
        ("2026-10-25T12:00:01+01:00", "2026-10-23T13:00:01+02:00", False),
    ],
)
def test_a_day_has_24_hours_also_over_midnight_and_a_change_of_the_clocks(
    call: str, when: str, is_within: bool
) -> None:
    condition = {"lab": "potassium", "lt": 9, "max_age_days": 1}
    assert (_holds(condition, _potassium(when), call) is True) is is_within


def test_a_time_after_the_call_counts_as_far_as_clocks_and_zones_differ() -> None:
    condition = {"lab": "potassium", "lt": 9, "max_age_days": 30}
    assert _holds(condition, _potassium("2026-11-20T09:05:00Z")) is True
    assert _holds(condition, _potassium("2026-11-20T09:05:01Z")) is not True
    assert _holds(condition, _potassium("2026-11-20")) is True
    assert _holds(condition, _potassium("2026-11-21")) is not True
    assert _holds(condition, _potassium("2026-11-20"), "2026-11-19T10:00:00+00:00") is True
    assert _holds(condition, _potassium("2026-11-20"), "2026-11-19T09:59:59+00:00") is not True


@for_rows(
    ("since", "is_long"),
    [
        ("2026-08-21T09:00:00Z", True),
        ("2026-08-21T09:00:01Z", False),
        ("2026-08-21", True),
        ("2026-08-22", False),
        ("2026-08", True),
        ("2026-09", False),
    ],
)
def test_a_drug_is_taken_for_longer_than_90_days_on_the_91st(since: str, is_long: bool) -> None:
    assert _holds({"long_term": {"days": 90}}, _order(since)) is is_long


@for_rows(
    ("ended", "still_acts"),
    [("2026-11-05T09:00:01Z", True), ("2026-11-05T09:00:00Z", False), ("2026-11-06", True), ("2026-11-04", False)],
)
def test_a_drug_that_was_stopped_counts_until_the_end_of_its_washout(ended: str, still_acts: bool) -> None:
    """Tranylcypromine and sertraline: 14 days between them."""
    stopped = _order("2026-08-01", ended=ended)
    stopped["medicationCodeableConcept"]["coding"][0]["code"] = "10734"
    patient = {"age": 60, "sex": "male", "more": [stopped]}
    drafted = context(patient, {"drug": "312938"}, datetime.fromisoformat(CALL))
    selector = Selector(frozenset({"10734"}), washout_days=14)
    assert any(drafted.session.partners_of(drafted.drafted, [selector])) is still_acts
