"""Tests that are repeated or ordered twice: which result counts, to the hour, and which order is the same again."""

from datetime import datetime, timedelta
from time import tzset
from typing import Any

import pytest

from cards.extension import Fact
from cards.rules.families.orders import retesting
from cards.rules.patient.context import RuleContext
from cards.rules.patient.session import PatientSession
from fhir.terminology.medications import INGREDIENTS
from tests.cards.rules.cases import check, reasons
from tests.cards.rules.patients import draft_of, drafts_of, record_of
from tests.each import for_rows
from tests.fhir import builders
from tests.fhir.builders import service_request

Json = dict[str, Any]
FERRITIN = {"drug": "Ferritin", "test": "2276-4"}


def quantity(value: float, unit: str) -> Json:
    return {"valueQuantity": {"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit}}


def result(loinc: str, day: str, **more: Any) -> Json:
    """A final result of this test."""
    return builders.observation(loinc, when=day, patient="case", id=f"o-{loinc}-{day[:10]}") | more


def ordered(loinc: str, day: str | None = "2026-11-20", **more: Any) -> Json:
    """An active order of this test."""
    request: Json = service_request(code=loinc, patient="case", id="earlier")
    return request | ({"authoredOn": day} if day else {}) | more


def summaries(as_of: datetime, draft: Json, *resources: Json, beside: tuple[Json, ...] = (), **chart: Any) -> list[str]:
    """What is said of the draft before this chart; the reason in brackets where the rule is silent for one."""
    others = [draft_of(other, f"beside-{position}") for position, other in enumerate(beside)]
    drafts = drafts_of(*others, draft_of(draft))
    outcome = check(record_of({"more": list(resources), **chart}, as_of), drafts, ["ServiceRequest/draft-1"])
    silent = [f"({reason})" for rule, reason in reasons(outcome) if rule == "lab-repeat" and reason != "within-limits"]
    return [card.summary for card in outcome.cards] or silent


def said_of(test: str, last: str, day: str, interval: str) -> list[str]:
    return [f"{test} was {last} on {day}; the usual minimum interval is {interval}."]


def test_a_whole_card_about_a_repeated_test(as_of: datetime) -> None:
    chart = {"more": [result("2276-4", "2026-11-10", **quantity(80, "ng/mL"))]}
    outcome = check(record_of(chart, as_of), drafts_of(draft_of(FERRITIN)))
    (card,) = outcome.cards
    assert [card.summary] == said_of("Ferritin", "80 ng/mL", "2026-11-10", "21 days")
    assert card.detail == (
        "**Ferritin**: Ferritin 80 ng/mL (2026-11-10).\n"
        "- Leeds Teaching Hospitals NHS Trust, retesting guidance. It is due from 2026-12-01. A changed treatment or "
        "state is a reason to repeat it. (Minimum retest intervals (Leeds; J Clin Pathol))"
    )
    assert [suggestion.label for suggestion in card.suggestions] == ["Do it on 2026-12-01 instead", "Cancel this order"]
    assert card.own_extension.facts == (
        Fact("draft", "Ferritin", "Ferritin", source="ServiceRequest/draft-1"),
        Fact("last_result", "Ferritin 80 ng/mL", "80 ng/mL", effective="2026-11-10",
             source="Observation/o-2276-4-2026-11-10"),
    )  # fmt: skip


# The last result


@for_rows(
    ("test", "day", "value", "last", "interval"),
    [
        ("2276-4", "2026-10-30T09:00:00Z", quantity(80, "ng/mL"), None, ""),
        ("2276-4", "2026-10-30T09:00:01Z", quantity(80, "ng/mL"), "80 ng/mL", "21 days"),
        ("2276-4", "2026-11-20T09:00:00Z", quantity(80, "ng/mL"), "80 ng/mL", "21 days"),
        ("2276-4", "2026-11-20T09:00:01Z", quantity(80, "ng/mL"), None, ""),
        ("58410-2", "2026-11-19T21:00:00Z", {}, None, ""),
        ("58410-2", "2026-11-19T21:00:01Z", {}, "done", "12 hours"),
        ("1988-5", "2026-11-19T10:00:00Z", quantity(4, "mg/L"), "4 mg/L", "1 day"),
        ("17861-6", "2026-11-19T10:00:00Z", quantity(9.4, "mg/dL"), "9.4 mg/dL", "36 hours"),
        ("2276-4", "2026-11-10", {"valueQuantity": {"value": 80}}, None, ""),
        ("4537-7", "2026-11-18", {"valueQuantity": {"value": 12}}, "12", "7 days"),
        ("4537-7", "2026-11-18", {"valueQuantity": {"unit": "mm/h"}}, "done", "7 days"),
    ],
)  # fmt: skip
def test_a_result_counts_until_its_interval_is_over(
    test: str, day: str, value: Json, last: str | None, interval: str, as_of: datetime
) -> None:
    words = {"58410-2": "Full blood count", "1988-5": "C-reactive protein", "17861-6": "Calcium", "4537-7": "ESR"}
    name = words.get(test, "Ferritin")
    expected = said_of(name, last, day[:10], interval) if last is not None else []
    assert summaries(as_of, {"drug": name, "test": test}, result(test, day, **value)) == expected


@for_rows(
    ("more", "counts"),
    [
        ({"status": "amended"}, True), ({"status": "preliminary"}, False), ({"status": "cancelled"}, False),
        ({"code": {"text": "ESR"}}, True),
        ({"code": {"coding": [{"display": "ESR"}]}}, True),
        ({"code": {"text": "Sodium"}}, False),
        ({"code": {"coding": [{"code": "4537-7"}]}}, True),
        ({"code": {"coding": [{"system": "http://snomed.info/sct", "code": "4537-7"}]}}, False),
        ({"code": {"coding": [{"system": "http://loinc.org", "code": "2951-2"}], "text": "ESR"}}, False),
    ],
)  # fmt: skip
def test_a_final_result_counts_that_has_the_code_or_else_the_words_of_the_test(
    more: Json, counts: bool, as_of: datetime
) -> None:
    earlier = result("4537-7", "2026-11-18", **quantity(9, "mm/h")) | more
    expected = said_of("ESR", "9 mm/h", "2026-11-18", "7 days") if counts else []
    assert summaries(as_of, {"drug": "ESR", "test": "4537-7"}, earlier) == expected


@for_rows(
    ("value", "mark", "is_normal"),
    [
        (14.9, None, False), (15, None, True), (400, None, True), (80, "N", True), (80, "H", False), (80, "LL", False),
        (80, "A", False), (80, "POS", False),
    ],
)  # fmt: skip
def test_a_result_outside_the_limits_of_its_row_or_with_a_mark_is_repeated(
    value: float, mark: str | None, is_normal: bool, as_of: datetime
) -> None:
    marks = {"interpretation": [{"coding": [{"code": mark}]}]} if mark else {}
    earlier = result("2276-4", "2026-11-10", **quantity(value, "ng/mL"), **marks)
    expected = said_of("Ferritin", f"{value:g} ng/mL", "2026-11-10", "21 days") if is_normal else []
    assert summaries(as_of, FERRITIN, earlier) == expected


@for_rows(
    ("value", "comparator", "is_normal"),
    [
        (1.6, None, False), (1.7, None, True), (2.4, None, True), (2.5, None, False),
        # What is under or over a normal number may be outside the limits.
        (2.0, "<", False), (2.0, "<=", False), (2.0, ">", False), (2.0, ">=", False),
    ],
)  # fmt: skip
def test_both_limits_of_a_row_are_normal_themselves(
    value: float, comparator: str | None, is_normal: bool, as_of: datetime
) -> None:
    measured = {"value": value, "unit": "mg/dL"} | ({"comparator": comparator} if comparator else {})
    earlier = result("19123-9", "2026-11-20T01:00:00Z", valueQuantity=measured)
    assert bool(summaries(as_of, {"drug": "Magnesium", "test": "19123-9"}, earlier)) is is_normal


def test_a_result_without_a_number_answers_no_order(as_of: datetime) -> None:
    earlier = result("2276-4", "2026-11-10", valueQuantity={"unit": "ng/mL"})
    assert summaries(as_of, FERRITIN, earlier) == []
    under = result("4537-7", "2026-11-18", valueQuantity={"value": 2, "comparator": "<", "unit": "mm/h"})
    said = said_of("ESR", "<2 mm/h", "2026-11-18", "7 days")
    assert summaries(as_of, {"drug": "ESR", "test": "4537-7"}, under) == said


def test_limits_are_those_of_the_units_of_the_row(as_of: datetime) -> None:
    in_other_unit = result("1988-5", "2026-11-20T01:00:00Z", valueQuantity={"value": 11, "unit": "nmol/L"})
    crp = {"drug": "CRP", "test": "1988-5"}
    by_unit = result("1988-5", "2026-11-20T01:00:00Z", valueQuantity={"value": 11, "unit": "mg/L"})
    by_code = result("1988-5", "2026-11-20T01:00:00Z", valueQuantity={"value": 11, "unit": "mg per L", "code": "mg/L"})
    day = "2026-11-20"
    assert summaries(as_of, crp, in_other_unit) == said_of("C-reactive protein", "11 nmol/L", day, "1 day")
    assert summaries(as_of, crp, by_unit) == []
    assert summaries(as_of, crp, by_code) == []


# Another test of the row

LDL_NAME = "Cholesterol in LDL"


# Ordered twice

TWICE = ["Ferritin is already ordered for today."]


@for_rows(
    ("more", "draft", "expected"),
    [
        ({}, {}, TWICE),
        ({"status": "draft"}, {}, []),
        ({"doNotPerform": True}, {}, []),
        ({"doNotPerform": False}, {}, TWICE),
        ({"intent": "proposal"}, {}, []),
        ({"authoredOn": "2026-11-19"}, {}, []),
        ({"authoredOn": "2026-11-19", "occurrenceDateTime": "2026-11-20"}, {}, TWICE),
        ({"occurrenceDateTime": "2026-11-21"}, {}, []),
        ({"authoredOn": "2026-11-19T23:30:00-10:00"}, {}, TWICE),
        ({"authoredOn": "2026-11-20T09:30:00+14:00"}, {}, TWICE),
        ({"authoredOn": "2026-11-20 some day"}, {}, TWICE),
        ({"authoredOn": None}, {}, []),
        ({"code": {"text": "Ferritin"}}, {}, TWICE),
        ({"code": {"coding": [{"code": "2276-4"}]}}, {}, TWICE),
        ({"code": {"coding": [{"code": "1988-5"}]}}, {}, []),
        ({"code": None}, {}, []),
    ],
)
def test_an_active_order_of_the_same_day_is_the_same_again(
    more: Json, draft: Json, expected: list[str], as_of: datetime
) -> None:
    earlier = {name: value for name, value in (ordered("2276-4") | more).items() if value is not None}
    assert summaries(as_of, FERRITIN | draft, earlier) == expected


def test_the_charted_draft_itself_is_not_a_second_order(as_of: datetime) -> None:
    assert summaries(as_of, FERRITIN, ordered("2276-4", id="draft-1")) == []


@for_rows(
    ("first", "second", "is_twice"),
    [
        (None, None, True),
        (None, "2026-11-20", True),
        ("2026-11-20T23:00:00Z", "2026-11-20T01:00:00Z", True),
        (None, "2026-11-21", False),
        ("2026-11-21", "2026-11-21T10:00:00Z", True),
        ("2026-11-21", "2026-11-22", False),
    ],
)
def test_two_drafts_are_the_same_on_one_day(
    first: str | None, second: str | None, is_twice: bool, as_of: datetime
) -> None:
    drafts = [{**FERRITIN, "more": {"occurrenceDateTime": day} if day else {}} for day in (first, second)]
    assert summaries(as_of, drafts[1], beside=(drafts[0],)) == (TWICE if is_twice else [])


def test_only_the_later_draft_is_named(as_of: datetime) -> None:
    drafts = drafts_of(draft_of(FERRITIN, "draft-1"), draft_of(FERRITIN, "draft-2"))
    outcome = check(record_of({}, as_of), drafts)
    assert (outcome.drafts, [card.summary for card in outcome.cards]) == (("ServiceRequest/draft-2",), TWICE)


@for_rows(
    ("first", "second", "words"),
    [
        ("2571-8", "13457-7", None),
        ("57698-3", "13457-7", LDL_NAME),
        ("13457-7", "57698-3", "Lipid profile"),
        ("3016-3", "3024-7", None),
        ("3016-3", "11580-8", "TSH"),
        ("4548-4", "17856-6", "HbA1c"),
    ],
)
def test_two_orders_of_a_row_are_the_same_where_they_are_of_one_test(
    first: str, second: str, words: str | None, as_of: datetime
) -> None:
    expected = [f"{words} is already ordered for today."] if words else []
    assert summaries(as_of, {"drug": LDL_NAME, "test": second}, beside=({"drug": "First", "test": first},)) == expected


def test_a_test_without_an_interval_is_the_same_by_its_code_and_has_no_words_of_a_last_result(as_of: datetime) -> None:
    for second, is_twice in (("83112-3", True), ("71431-1", False)):
        drafts = drafts_of(
            draft_of({"drug": "A", "test": "83112-3"}, "a"), draft_of({"drug": "B", "test": second}, "b")
        )
        session = PatientSession(record_of({}, as_of), drafts)
        context = RuleContext(session, session.studies[1], INGREDIENTS["161"])
        (twice,) = (condition for condition in retesting.WORDS if condition.word == "ordered_twice")
        assert twice.read({"ordered_twice": True}).test(context) is is_twice
        assert retesting.test_words(context) == "B"
        words = (retesting.last_words, retesting.last_date, retesting.due_date, retesting.interval_words)
        assert [word(context) for word in words] == [None] * 4
        assert (retesting.interval_source(context), retesting.later(context)) == (None, None)


@for_rows(
    ("active", "changed"),
    [(["aspirin", 9], True), (["aspirin", 10], False), ({"drug": "aspirin", "undated": True}, False)],
)
def test_a_medication_ordered_since_the_last_result_is_a_changed_treatment(
    active: Json, changed: bool, as_of: datetime
) -> None:
    chart = {"more": [result("2276-4", "2026-11-10")], "active": [active]}
    session = PatientSession(record_of(chart, as_of), drafts_of(draft_of(FERRITIN)))
    (condition,) = (entry for entry in retesting.WORDS if entry.word == "treatment_changed")
    context = RuleContext(session, session.studies[0], INGREDIENTS["161"])
    assert condition.read({"treatment_changed": True}).test(context) is changed


def test_the_day_is_that_of_the_clock_where_the_order_is_due(as_of: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    late = as_of + timedelta(hours=14)  # 23:00 in UTC, and the next day in Tokyo
    in_tokyo = ordered("2276-4", None, occurrenceDateTime="2026-11-21T08:00:00+09:00")
    assert summaries(late, FERRITIN, in_tokyo) == TWICE
    assert summaries(as_of, FERRITIN, in_tokyo) == []
    # A day without a time zone is one of UTC, wherever the server stands.
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    tzset()
    try:
        assert summaries(late, FERRITIN, ordered("2276-4")) == TWICE
    finally:
        monkeypatch.undo()
        tzset()
