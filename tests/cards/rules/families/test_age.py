"""Older adults: how many drugs act on the brain, and the words of these rules, by hand."""

from typing import Any

import pytest

from cards.extension import Fact
from cards.rules.families.age.family import FAMILY
from tests.cards.rules.contexts import context_of
from tests.each import for_rows

Json = dict[str, Any]
(COUNT,) = FAMILY.conditions
OXYCODONE = {"drug": "oxycodone 5 mg tablet", "dose": "1 tablet", "times": 2}
ACTIVE = ["lorazepam 1 mg tablet", "gabapentin 300 mg capsule"]


def _count(limit: Json, draft: Json, **patient: Any) -> bool | None:
    spec = {"cns_active_count": limit}
    return COUNT.compile(spec, lambda _part: pytest.fail("no part")).test(context_of(draft, **patient))


def _word(name: str, draft: Json = OXYCODONE, *others: Json, **patient: Any) -> str | None:
    return FAMILY.placeholders[name](context_of(draft, *others, **patient))


@for_rows(
    ("active", "expected"),
    [
        ((), "1"),
        (("lorazepam 1 mg tablet",), "2"),
        (("lorazepam 1 mg tablet", "gabapentin 300 mg capsule"), "3"),
        (("lorazepam 1 mg tablet", "lorazepam 2 mg tablet"), "2"),  # one drug
        (("oxycodone 10 mg tablet",), "1"),  # that of the draft
        (("zolpidem 5 mg tablet", "quetiapine 25 mg tablet", "amitriptyline 25 mg tablet"), "4"),
        (("sertraline 50 mg tablet", "venlafaxine 75 mg tablet", "cyclobenzaprine 10 mg tablet"), "4"),
        (("metformin 500 mg tablet", "diclofenac 1 % gel"), "1"),
    ],
)
def test_drugs_that_act_on_the_brain_are_counted_once(active: tuple[str, ...], expected: str) -> None:
    assert _word("n", active=list(active)) == expected


def test_what_is_given_only_today_is_not_counted() -> None:
    single = {"drug": "lorazepam 1 mg tablet", "dose": "1 tablet", "single": True}
    one_day = {"drug": "lorazepam 1 mg tablet", "dose": "1 tablet", "times": 2, "days": 1}
    two_days = one_day | {"days": 2}
    assert _word("n", OXYCODONE, single) == _word("n", OXYCODONE, {**single, "days": 7}) == "1"
    assert _word("n", OXYCODONE, one_day) == "1"
    assert _word("n", OXYCODONE, two_days) == "2"
    assert _word("n", single, OXYCODONE) == "2"  # the draft itself is


def test_the_list_has_the_drafted_drug_first_then_by_class_and_five_names_at_most() -> None:
    assert _word("list", active=ACTIVE) == "oxycodone, lorazepam, gabapentin"
    five = [*ACTIVE, "zolpidem 5 mg tablet", "quetiapine 25 mg tablet"]
    assert _word("list", active=five) == "oxycodone, quetiapine, lorazepam, gabapentin, zolpidem"
    six = [*five, "sertraline 50 mg tablet"]
    assert _word("list", active=six) == "oxycodone, quetiapine, lorazepam, gabapentin, sertraline and 1 more"


@for_rows(
    ("limit", "expected"),
    [({"ge": 3}, True), ({"ge": 4}, False), ({"gt": 3}, False), ({"gt": 2}, True), ({"lt": 4}, True)],
)
def test_the_count_is_compared(limit: Json, expected: bool) -> None:
    assert _count(limit, OXYCODONE, active=ACTIVE) is expected


def test_a_count_of_a_list_that_did_not_come_is_known_only_where_it_is_enough() -> None:
    patient: Json = {"active": ACTIVE, "not_sent": ["MedicationRequest", "MedicationStatement"]}
    assert _count({"ge": 3}, OXYCODONE, **patient) is True
    assert _count({"ge": 4}, OXYCODONE, **patient) is None
    assert _count({"lt": 4}, OXYCODONE, **patient) is None


def test_the_facts_are_what_is_taken_beside_the_draft() -> None:
    spec = {"cns_active_count": {"ge": 2}}
    predicate = COUNT.compile(spec, lambda _part: pytest.fail("no part"))
    assert predicate.facts(context_of(OXYCODONE, active=["lorazepam 1 mg tablet", "metformin"])) == [
        Fact("medication", "lorazepam 1 mg tablet", "lorazepam", effective="2026-09-21",
             source="MedicationRequest/active-0"),
    ]  # fmt: skip
    assert (predicate.uses, predicate.limits) == (frozenset({"active"}), frozenset({2.0}))
    assert COUNT.say(spec, lambda _part: "").startswith("brain-active drugs in all")


IBUPROFEN = {"drug": "ibuprofen 400 mg tablet"}


@for_rows(
    ("patient", "expected"),
    [
        ({}, " (over 75)"),
        ({"conditions": ["gi_bleed_or_ulcer"]}, " with an ulcer or GI bleeding on the list"),
        ({"conditions": ["gi_bleed_or_ulcer"], "active": ["warfarin"]}, " with an ulcer or GI bleeding on the list"),
        ({"active": ["warfarin 5 mg tablet"]}, " with warfarin"),
        ({"active": ["prednisone 5 mg tablet"]}, " with prednisone"),
        ({"active": ["clopidogrel 75 mg tablet"]}, " with clopidogrel"),
        ({"active": ["hydrocortisone 1 % cream"]}, " (over 75)"),
        ({"active": ["metformin"]}, " (over 75)"),
    ],
)
def test_the_strongest_reason_against_an_nsaid_is_said(patient: Json, expected: str) -> None:
    assert _word("risk", IBUPROFEN, **patient) == expected


@for_rows(
    ("conditions", "expected"),
    [
        (["afib"], "atrial fibrillation"),
        (["vte"], "thrombosis"),
        (["afib", "vte"], "atrial fibrillation"),
        (["hypertension"], None),
    ],
)
def test_what_an_anticoagulant_is_for(conditions: list[str], expected: str | None) -> None:
    assert _word("indication", {"drug": "warfarin"}, conditions=conditions) == expected
