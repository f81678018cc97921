"""The page of coverage rules with rules that were made by hand: its rows, its counts, its changes and a trial."""

from datetime import date
from typing import Any

import pytest
from msgspec.structs import replace

from cards.coverage.determination import Determination, Judged
from cards.coverage.policy import CriteriaSet, Criterion, Payer, Policies, Policy, load_policies
from cards.coverage.seen import Seen
from cds_hooks.pages.payers.views import RuleRow, Trial, _changes, _counts, _day, _judged, _parts, _rows, _trial

DAY = date(2026, 11, 20)
NOBODY: frozenset[str] = frozenset()
PLAN = Payer("plan", "A Plan", NOBODY, NOBODY, NOBODY, NOBODY, "", "")
OTHER = replace(PLAN, id="other", name="Other Plan")
LISTED = Policy(
    "p1", "plan", "HCPCS", "A1", "Beds", "listed", "auth-needed", NOBODY, NOBODY, NOBODY, None, "", False,
    date(2026, 1, 1), None, "", "a ; b", "",
)  # fmt: skip
SETS = {"c": CriteriaSet("c", {"g": "all"}, (Criterion("1", "g", "It hurts.", {}, "", ""),))}


def policies(*rows: Policy) -> Policies:
    by_code: dict[tuple[str, str], tuple[Policy, ...]] = {}
    for row in rows:
        by_code[row.payer, row.code] = (*by_code.get((row.payer, row.code), ()), row)
    return Policies({"plan": PLAN, "other": OTHER}, by_code, SETS, NOBODY, NOBODY, "1")


def test_codes_with_the_same_rule_are_one_row() -> None:
    rules = policies(
        replace(LISTED, code="A2"),
        LISTED,
        replace(LISTED, code="B1", category="Chairs", criteria="c", reviewed="2026-10-01", effective_to=DAY),
        replace(LISTED, payer="other", code="A3", pa_needed="performpa", places=frozenset({"22", "11"})),
        replace(LISTED, code="A4", pa_needed="", states=frozenset({"TX", "FL"})),
        replace(LISTED, code="A5", pa_needed="no-auth", effective_from=date(2025, 1, 1)),
    )
    first, earlier, other = "2026-01-01 on", "2025-01-01 on", ("a", "b")
    assert list(_rows(rules, "", "")) == [
        RuleRow("Other Plan", "Beds", ("A3",), "prior authorization, by the supplier (place 11, place 22)", first, (),
                other, "not said"),
        RuleRow("A Plan", "Beds", ("A5",), "no prior authorization", earlier, (), other, "not said"),
        RuleRow("A Plan", "Beds", ("A1", "A2"), "prior authorization", first, (), other, "not said"),
        RuleRow("A Plan", "Beds", ("A4",), "no benefit (FL, TX)", first, (), other, "not said"),
        RuleRow("A Plan", "Chairs", ("B1",), "prior authorization", "2026-01-01 to 2026-11-20", ("It hurts.",), other,
                "2026-10-01"),
    ]  # fmt: skip
    assert [row.codes for row in _rows(rules, "other", "")] == [("A3",)]
    assert [row.codes for row in _rows(rules, "", "chair")] == [("B1",)]
    assert [row.codes for row in _rows(rules, "plan", "a2 beds")] == [("A2",)]


def test_the_counts_of_a_payer_are_of_codes() -> None:
    rules = policies(
        LISTED,
        replace(LISTED, effective_from=date(2027, 1, 1), criteria="c"),
        replace(LISTED, code="A2", pa_needed="performpa", effective_to=DAY),
        replace(LISTED, code="A3", pa_needed="performpa", criteria="c"),
        replace(LISTED, code="A4", pa_needed="", basis="not-covered"),
        replace(LISTED, code="A5", pa_needed="no-auth"),
        replace(LISTED, payer="other", code="A9"),
    )
    assert _counts(rules, PLAN) == (5, 2, 2, 1)
    assert _counts(rules, OTHER) == (1, 1, 0, 0)


@pytest.mark.parametrize(
    ("first", "last", "changes"),
    [
        (date(2025, 12, 31), date(2026, 1, 1), [("joined", "A1", "Beds", "2026-01-01")]),
        (DAY, date(2026, 11, 21), [("left", "A1", "Beds", "2026-11-20")]),
        (date(2026, 1, 1), DAY, []),
        (date(2025, 1, 1), date(2025, 12, 31), []),
        (date(2027, 1, 1), DAY, [("joined", "A1", "Beds", "2026-01-01")]),
    ],
)
def test_a_code_joined_or_left_between_two_days(first: date, last: date, changes: Any) -> None:
    assert list(_changes(policies(replace(LISTED, effective_to=DAY)), first, last)) == changes


def test_a_day_that_cannot_be_read_is_the_one_that_is_meant_otherwise() -> None:
    assert [_day(text, DAY) for text in ("2026-01-02", "", None, "2026-02-30")] == [date(2026, 1, 2), DAY, DAY, DAY]


def test_the_parts_of_an_answer_are_those_that_it_has() -> None:
    bare = Determination(PLAN, "Coverage/1", "ServiceRequest/1", "covered")
    assert list(_parts(bare)) == [("covered", "covered")]
    whole = replace(
        bare, covered="conditional", pa_needed="auth-needed", doc_needed="clinical", info_needed=("a", "b"),
        reason="gold-card", policy=LISTED,
    )  # fmt: skip
    assert list(_parts(whole)) == [
        ("covered", "conditional"),
        ("pa-needed", "auth-needed"),
        ("doc-needed", "clinical"),
        ("info-needed", "a, b"),
        ("reason", "gold-card"),
        ("rule", "p1: a ; b"),
    ]


def test_each_criterion_says_what_the_chart_shows_of_it() -> None:
    criterion = SETS["c"].criteria[0]
    seen = (Seen(True, ("a", "b", "c", "d")), Seen(False), Seen(None))
    answer = replace(Determination(PLAN, "c", "o", "covered"), judged=tuple(Judged(criterion, each) for each in seen))
    assert list(_judged(answer)) == [
        ("It hurts.", "shown by the chart (a, b, c)"),
        ("It hurts.", "not shown"),
        ("It hurts.", "not known"),
    ]


def test_an_order_is_tried_at_its_place_and_day_on_the_chart_that_is_named() -> None:
    rules = load_policies()
    name = next(iter(rules.payers.values())).name

    def tried(**fields: str) -> Trial | str:
        return _trial(rules, fields, DAY)

    assert (
        tried(code=" 99999 ") == f"There is no rule of {name} here for 99999 on 2026-11-20: nothing would be answered."
    )
    assert tried(code="99999", day="2026-01-02") == (
        f"There is no rule of {name} here for 99999 on 2026-01-02: nothing would be answered."
    )
    asked = tried(code="64493", place="22")
    assert isinstance(asked, Trial)
    parts = dict(asked.parts)
    assert (parts["covered"], parts["pa-needed"]) == ("conditional", "auth-needed")
    lung = tried(code="71271")
    assert isinstance(lung, Trial)
    assert "not known" in {held for _, held in lung.criteria}
    elsewhere = tried(code="64493", place="11")
    assert elsewhere != asked
    assert tried(code="64493", place="22", chart="nobody") == asked
    assert tried(code="64493", place="22", trial_payer="nobody") == asked
