"""Two orders of one drug or class: what counts as the same, how long they overlap, sums of acetaminophen, the words."""

from typing import Any

import pytest

from cards.extension import Fact
from cards.rules.families.duplicate.dose_change import dose_change
from cards.rules.families.duplicate.family import FAMILY
from cards.rules.language.rule import OrderChange, RuleError, Sig
from tests.cards.rules.contexts import answer, beside_of, context_of, predicate_of, told
from tests.each import for_rows

Json = dict[str, Any]
TYLENOL: Json = {"drug": "acetaminophen 500 MG Oral Tablet", "dose": "2 tablet", "times": 4}
PERCOCET: Json = {"drug": "acetaminophen 325 MG / oxycodone 5 MG Oral Tablet", "dose": "1 tablet", "times": 4}
VICODIN: Json = {"drug": "acetaminophen 325 MG / hydrocodone 5 MG Oral Tablet", "dose": "1 tablet", "times": 4}
IBUPROFEN: Json = {"drug": "ibuprofen 400 MG Oral Tablet", "dose": "1 tablet", "times": 3}
NAPROXEN: Json = {"drug": "naproxen 500 MG Oral Tablet", "dose": "1 tablet", "times": 2}
SERTRALINE: Json = {"drug": "sertraline 50 MG Oral Tablet", "dose": "1 tablet", "times": 1}


def _drug(words: str, **more: Any) -> Json:
    return {"drug": words, **more}


VICOPROFEN = _drug("hydrocodone 5 MG / ibuprofen 200 MG Oral Tablet")
TWO_NSAIDS = _drug("ibuprofen 200 MG / naproxen 250 MG Oral Tablet")


@for_rows(
    ("draft", "taken", "shared"),
    [
        (IBUPROFEN, NAPROXEN, ("NSAIDs", "naproxen")),
        (NAPROXEN, IBUPROFEN, ("NSAIDs", "ibuprofen")),
        (IBUPROFEN, IBUPROFEN, None),
        (IBUPROFEN, SERTRALINE, None),
        (SERTRALINE, _drug("citalopram 20 MG Oral Tablet"), ("SSRIs", "citalopram")),
        (IBUPROFEN, _drug("diclofenac 1 % Topical Gel"), None),
        (VICOPROFEN, IBUPROFEN, None),
        (VICOPROFEN, NAPROXEN, ("NSAIDs", "naproxen")),
        (VICOPROFEN, VICODIN, None),
        (NAPROXEN, VICOPROFEN, ("NSAIDs", "ibuprofen")),
        (_drug("oxycodone 5 MG Oral Tablet"), _drug("morphine 15 MG Oral Tablet"),
         ("short-acting opioids by mouth", "morphine")),
        (_drug("oxycodone 10 MG Extended Release Oral Tablet"), _drug("morphine 15 MG Extended Release Oral Tablet"),
         ("long-acting opioids", "morphine")),
        (_drug("oxycodone 10 MG Extended Release Oral Tablet"), _drug("morphine 15 MG Oral Tablet"), None),
        (_drug("oxycodone 5 MG Oral Tablet"), _drug("morphine 15 MG Extended Release Oral Tablet"), None),
        (_drug("levorphanol 2 MG Oral Tablet"), _drug("morphine 15 MG Extended Release Oral Tablet"),
         ("long-acting opioids", "morphine")),
        (_drug("morphine 10 MG/ML Injection"), _drug("oxycodone 5 MG Oral Tablet"), None),
        (_drug("oxycodone 5 MG Oral Tablet"), _drug("morphine 10 MG/ML Injection"), None),
        # What both hold is no second drug of the class, on either side.
        (TWO_NSAIDS, VICOPROFEN, None),
        (_drug("hydrocodone 5 MG / oxycodone 5 MG Oral Tablet"), VICODIN, None),
        (VICOPROFEN, TWO_NSAIDS, None),
        (VICODIN, _drug("hydrocodone 5 MG / oxycodone 5 MG Oral Tablet"), None),
    ],
)  # fmt: skip
def test_what_is_of_one_class(draft: Json, taken: Json, shared: tuple[str, str] | None) -> None:
    context = beside_of(draft, taken)
    assert answer({"duplicate": {"level": "class"}}, context, FAMILY) is (shared is not None)
    words = (FAMILY.placeholders["class"](context), FAMILY.placeholders["other_drug"](context))
    assert words == (shared or (None, None))


@for_rows(
    ("draft", "taken", "days"),
    [
        # Written on the 10th of November for 30 days, asked at 9 o'clock on the 20th: 19 days and 15 hours are left.
        ({**SERTRALINE, "days": 30}, {**SERTRALINE, "days_ago": 10, "days": 30}, 19.625),
        ({**SERTRALINE, "days": 7}, {**SERTRALINE, "days_ago": 10, "days": 30}, 7),
        ({**SERTRALINE, "days": 7}, SERTRALINE, 7),
        (SERTRALINE, {**SERTRALINE, "days_ago": 10, "days": 30}, 19.625),
        (_drug(SERTRALINE["drug"], dose="1 tablet", single=True, days=7), SERTRALINE, 1),
    ],
)
def test_the_days_that_two_orders_run_together(draft: Json, taken: Json, days: float) -> None:
    context = beside_of(draft, taken)

    def at_least(limit: float) -> bool | None:
        return answer({"duplicate": {"level": "ingredient", "overlap_days_ge": limit}}, context, FAMILY)

    assert (at_least(days), at_least(days + 0.001)) == (True, False)


def test_two_orders_without_an_end_run_together_for_ever() -> None:
    context = beside_of(SERTRALINE, SERTRALINE)
    assert answer({"duplicate": {"level": "ingredient", "overlap_days_ge": 9999}}, context, FAMILY) is True
    assert answer({"duplicate": {"level": "ingredient"}}, beside_of(SERTRALINE, IBUPROFEN), FAMILY) is False
    alone = context_of(SERTRALINE)
    for spec in ({"level": "ingredient"}, {"level": "class"}):
        assert answer({"duplicate": spec}, alone, FAMILY) is False
    with pytest.raises(RuleError) as refused:
        predicate_of({"duplicate": {"level": "family"}}, FAMILY)
    assert str(refused.value) == "Expected `str` matching regex '^(ingredient|class)$', not 'family'"


XR = "metoprolol succinate 50 MG Extended Release Oral Tablet"
SWALLOWED = _drug("metoprolol 50 MG Oral Tablet")
WORDS = ("same_product", "dose_change", "other_release", "other_way", "topical_and_swallowed", "both_local")


@for_rows(
    ("draft", "taken", "true"),
    [
        (SERTRALINE, SERTRALINE, {"same_product", "dose_change"}),
        (SERTRALINE, _drug("sertraline 100 MG Oral Tablet"), {"dose_change"}),
        (SERTRALINE, _drug("sertraline"), {"same_product", "dose_change"}),
        (_drug("sertraline"), SERTRALINE, {"same_product", "dose_change"}),
        (SERTRALINE, IBUPROFEN, set()),
        (_drug("warfarin 5 MG Oral Tablet"), _drug("warfarin 2 MG Oral Tablet"), set()),
        (_drug("oxycodone 5 MG Oral Tablet"), _drug("oxycodone 10 MG Oral Tablet"), set()),
        (SWALLOWED, _drug(XR), {"other_release"}),
        (_drug(XR), SWALLOWED, {"other_release"}),
        (SWALLOWED, _drug("metoprolol 1 MG/ML Injection"), {"other_way"}),
        (_drug("hydrocortisone 10 MG Oral Tablet"), _drug("hydrocortisone 1 % Topical Cream"),
         {"other_way", "topical_and_swallowed"}),
        (_drug("hydrocortisone 1 % Topical Cream"), _drug("hydrocortisone 10 MG Oral Tablet"),
         {"other_way", "topical_and_swallowed"}),
        (_drug("hydrocortisone 1 % Topical Cream"), _drug("hydrocortisone 100 MG Injection"), {"other_way"}),
        (_drug("hydrocortisone 1 % Topical Cream"), _drug("hydrocortisone 2.5 % Topical Cream"),
         {"dose_change", "both_local"}),
        (_drug("timolol 0.5 % Ophthalmic Solution"), _drug("timolol 0.25 % Ophthalmic Solution"), {"dose_change"}),
        (_drug("fluticasone nasal spray"), _drug("fluticasone HFA inhaler"),
         {"same_product", "dose_change", "both_local"}),
        (_drug("fluticasone HFA inhaler"), _drug("fluticasone Diskus inhaler"), {"same_product", "dose_change"}),
        (_drug("albuterol HFA inhaler"), _drug("albuterol nebulizer solution"),
         {"same_product", "dose_change", "both_local"}),
        (_drug("albuterol HFA inhaler"), _drug("fluticasone HFA inhaler"), set()),
        # A brand that is inhaled, whether or not its words say so.
        (_drug("salmeterol"), _drug("Serevent Diskus"), {"same_product", "dose_change"}),
        (_drug("Symbicort"), _drug("Symbicort"), {"same_product", "dose_change"}),
        (_drug("vancomycin catheter lock solution"), _drug("vancomycin 125 MG Oral Capsule"), {"other_way"}),
        # A drug without an ATC code is swallowed all the same.
        (_drug("hydrocortisone 1 % Topical Cream"), _drug("levorphanol 2 MG Oral Tablet"),
         {"other_way", "topical_and_swallowed"}),
        (_drug("sodium chloride 0.9 % Injection"), _drug("glucose 5 % Injection"), set()),
    ],
)  # fmt: skip
def test_how_two_orders_are_alike(draft: Json, taken: Json, true: set[str]) -> None:
    context = beside_of(draft, taken)
    assert {word for word in WORDS if answer({word: True}, context, FAMILY)} == true
    assert {word for word in WORDS if not answer({word: False}, context, FAMILY)} == true
    alone = context_of(draft)
    assert not any(answer({word: truth}, alone, FAMILY) for word in WORDS for truth in (True, False))


@for_rows(
    ("word", "draft", "taken", "truth"),
    [
        ("left_out", _drug("potassium chloride 20 MEQ Oral Tablet"), SERTRALINE, True),
        ("left_out", SERTRALINE, _drug("potassium chloride 20 MEQ Oral Tablet"), False),
        ("single_drug", PERCOCET, TYLENOL, True),
        ("single_drug", TYLENOL, PERCOCET, False),
        ("both_drafted", TYLENOL, PERCOCET, False),
        ("in_mixtures", PERCOCET, VICODIN, True),
        ("in_mixtures", PERCOCET, TYLENOL, True),
        ("in_mixtures", PERCOCET, PERCOCET, False),
        ("in_mixtures", PERCOCET, _drug("oxycodone 5 MG Oral Tablet"), False),
        # 4 × 325 mg twice are 2,600 mg; with 4,000 mg more the sum is over 4,000.
        ("in_the_sum", PERCOCET, VICODIN, True),
        ("in_the_sum", PERCOCET, TYLENOL, False),
        ("in_the_sum", PERCOCET, {**TYLENOL, "dose": "1 tablet"}, True),
        ("in_the_sum", PERCOCET, _drug(VICODIN["drug"]), False),
        ("in_the_sum", PERCOCET, PERCOCET, False),
        # 1,300 mg and 2,700 mg are 4,000: within the limit.
        ("in_the_sum", PERCOCET, {**TYLENOL, "dose": "675 mg"}, True),
        ("in_the_sum", PERCOCET, {**TYLENOL, "dose": "676 mg"}, False),
        ("in_the_sum", PERCOCET, _drug(TYLENOL["drug"], dose="8 tablet", single=True, days_ago=0), True),
        ("switch_in_progress", SERTRALINE, {**SERTRALINE, "ended": -14}, True),
        ("switch_in_progress", SERTRALINE, {**SERTRALINE, "ended": -15}, False),
        ("switch_in_progress", SERTRALINE, SERTRALINE, False),
    ],
)
def test_what_is_asked_of_the_other_order(word: str, draft: Json, taken: Json, truth: bool) -> None:
    assert answer({word: True}, beside_of(draft, taken), FAMILY) is truth


def test_the_other_order_is_a_draft_too() -> None:
    context = context_of(PERCOCET, TYLENOL)
    assert answer({"both_drafted": True}, context, FAMILY) is True
    assert FAMILY.placeholders["order"](context) == "acetaminophen 500 MG Oral Tablet, drafted too"


SUM: Json = {"daily_total_mg": {"ingredient": {"rxcui": "161", "name": "acetaminophen"}, "gt": 4000}}


def test_two_drafts_of_one_product_add_up() -> None:
    context = context_of(TYLENOL, TYLENOL)
    assert (answer(SUM, context, FAMILY), FAMILY.placeholders["total"](context)) == (True, "8,000")


def test_the_orders_of_the_sum_are_told() -> None:
    context = context_of(TYLENOL, active=[{**PERCOCET, "days_ago": 10}, _drug(VICODIN["drug"], days_ago=10)])
    words, name = "acetaminophen 325 MG / oxycodone 5 MG Oral Tablet", "acetaminophen/oxycodone"
    assert told(SUM, context, FAMILY) == [
        Fact("daily_dose", "4,000 mg/day", 4000.0, "mg/d", source="MedicationRequest/draft-0"),
        Fact("medication", f"{words}, 1,300 mg/day", name, None, "2026-11-10", "MedicationRequest/active-0"),
        Fact("medication", VICODIN["drug"], "acetaminophen/hydrocodone", None, "2026-11-10",
             "MedicationRequest/active-1"),
    ]  # fmt: skip
    # The dose of another drug of the draft is not that of the sum.
    other = context_of(_drug("oxycodone 5 MG / acetaminophen 325 MG Oral Tablet", dose="1 tablet", times=4))
    assert [fact.name for fact in told(SUM, other, FAMILY)] == (
        ["daily_dose"] if other.ingredient.rxcui == "161" else [])  # fmt: skip
    predicate = predicate_of(SUM, FAMILY)
    assert predicate.uses == {"active", "dose", "drug_dose"}
    assert predicate.limits == {4000}
    assert predicate.needs.beside == {"161"}


@for_rows(
    ("draft", "taken", "sig"),
    [
        ({**TYLENOL, "times": 5}, [], Sig("1,000 mg 3 times a day", 1000.0, times_per_day=3)),
        (TYLENOL, [PERCOCET], Sig("500 mg 3 times a day", 500.0, times_per_day=3)),
        (TYLENOL, [{**PERCOCET, "times": 6}], Sig("500 mg twice a day", 500.0, times_per_day=2)),
        (TYLENOL, [{**PERCOCET, "dose": "2 tablet", "times": 3}], Sig("500 mg twice a day", 500.0, times_per_day=2)),
        (TYLENOL, [{**PERCOCET, "dose": "2 tablet"}], None),
        (TYLENOL, [_drug(PERCOCET["drug"])], None),
        (_drug(TYLENOL["drug"]), [], None),
        (PERCOCET, [], None),
        (_drug("acetaminophen 650 MG Oral Tablet", dose="2 tablet", times=4), [],
         Sig("650 mg 4 times a day", 650.0, times_per_day=4)),
        (_drug("acetaminophen 32 MG/ML Oral Solution", dose="1000 mg", times=5), [],
         Sig("1,000 mg 3 times a day", 1000.0, times_per_day=3)),
        (_drug("acetaminophen", dose="1000 mg", times=5), [], Sig("1,000 mg 3 times a day", 1000.0, times_per_day=3)),
        (_drug("acetaminophen 325 MG Oral Tablet", dose="2 tablet", times=8), [],
         Sig("650 mg 4 times a day", 650.0, times_per_day=4)),
    ],
)  # fmt: skip
def test_the_sum_is_brought_back_to_three_grams(draft: Json, taken: list[Json], sig: Sig | None) -> None:
    change = FAMILY.changes["to_three_grams"](context_of(draft, active=taken))
    assert change == (OrderChange(sig=sig) if sig is not None else None)


def test_the_words_about_the_other_order() -> None:
    words = FAMILY.placeholders
    alone = context_of(SERTRALINE)
    assert [words[name](alone) for name in ("shared", "order", "class", "other_drug")] == [None] * 4
    context = beside_of(PERCOCET, {**VICODIN, "days_ago": 10})
    assert words["shared"](context) == "Acetaminophen"
    assert words["order"](context) == "acetaminophen 325 MG / hydrocodone 5 MG Oral Tabl…, since 2026-11-10"
    assert words["shared"](beside_of(SERTRALINE, IBUPROFEN)) is None
    assert words["order"](beside_of(SERTRALINE, {**SERTRALINE, "undated": True})) == (
        "sertraline 50 MG Oral Tablet, active")  # fmt: skip


ONE_OR_TWO = _drug(SERTRALINE["drug"], more={"dosageInstruction": [{"text": "1-2 tablets once daily"}]})
ONE, FORTY = {"dose": "1 tablet", "times": 1}, {"dose": "40 mg", "times": 1}
GLARGINE = "insulin glargine 100 UNT/ML Injection"


@for_rows(
    ("draft", "taken", "times"),
    [
        ({**SERTRALINE, "dose": "4 tablet"}, SERTRALINE, 4.0),
        # As needed is from none to all: the end counts that makes the change smaller.
        ({**SERTRALINE, "dose": "4 tablet", "as_needed": True}, SERTRALINE, 4.0),
        (SERTRALINE, {**SERTRALINE, "as_needed": True}, 1.0),
        (SERTRALINE, {**SERTRALINE, "dose": "2 tablet", "as_needed": True}, 1.0),
        (
            _drug(SERTRALINE["drug"], more={"dosageInstruction": [{"text": "1-3 tablets once daily"}]}),
            {**SERTRALINE, "dose": "2 tablet"},
            1.0,
        ),
        ({**SERTRALINE, "dose": "0.5 tablet"}, SERTRALINE, 0.5),
        (SERTRALINE, {**SERTRALINE, "dose": "0 tablet"}, None),
        (SERTRALINE, {**SERTRALINE, "single": True}, None),
        ({**SERTRALINE, "dose": "75 mg"}, ONE_OR_TWO, 1.0),
        # Of one drug that both hold, given in the same way.
        (SERTRALINE, IBUPROFEN, None),
        (PERCOCET, TYLENOL, 0.325),
        (PERCOCET, PERCOCET, None),
        (_drug("furosemide 40 MG Oral Tablet", **ONE), _drug("furosemide 10 MG/ML Injection", **FORTY), None),
        (_drug("estradiol 0.1 MG Vaginal Insert", **ONE), _drug("estradiol 1 MG Oral Tablet", **ONE), None),
        (_drug("morphine 15 MG Oral Tablet", **ONE), _drug("fentanyl patch 25 mcg/h", dose="1 patch"), None),
        (_drug(GLARGINE, dose="20 unit", times=1), _drug(GLARGINE, dose="10 unit", times=1), 2.0),
        (_drug(GLARGINE, dose="20 unit", times=1), _drug(GLARGINE, dose="20 unit"), None),
        (_drug(GLARGINE, dose="20 unit"), _drug(GLARGINE, dose="20 unit", times=1), None),
    ],
)
def test_how_many_times_the_dose_of_the_order_before_it_is(draft: Json, taken: Json, times: float | None) -> None:
    change = dose_change(beside_of(draft, taken))
    assert (change.times if change is not None else None) == times


@pytest.mark.parametrize(("words", "given"), [("1 tablet daily", False), ("1 tablet daily, then 2 daily", True)])
def test_a_step_in_the_words_of_an_order_is_a_reason_for_its_dose(words: str, given: bool) -> None:
    context = context_of(_drug(SERTRALINE["drug"], more={"dosageInstruction": [{"text": words}]}))
    assert answer({"reason_given": True}, context, FAMILY) is given


def test_a_change_that_is_not_known_is_one_of_a_dose_that_is_not_known() -> None:
    spec, unknown = {"dose_times_before": {"ge": 2}}, _drug(SERTRALINE["drug"])
    for draft, truth in ((unknown, None), (SERTRALINE, False), ({**SERTRALINE, "dose": "2 tablet"}, True)):
        assert answer(spec, beside_of(draft, SERTRALINE), FAMILY) is truth
    assert answer(spec, beside_of(SERTRALINE, IBUPROFEN), FAMILY) is False
    assert answer(spec, context_of(unknown), FAMILY) is False


def test_the_weight_and_the_dose_for_each_kilogram() -> None:
    words, child = FAMILY.placeholders, context_of({**TYLENOL, "dose": "375 mg"}, age=10, labs=[["body_weight", 20, 3]])
    assert (words["mgkg"](child), words["weight"](child)) == ("75", "20")
    over = context_of({**TYLENOL, "dose": "375.1 mg"}, age=10, labs=[["body_weight", 20, 3]])
    assert words["mgkg"](over) == "75.02"
    nobody = context_of(TYLENOL)
    assert (words["mgkg"](nobody), words["weight"](nobody)) == (None, None)


@for_rows(
    ("spec", "words"),
    [
        ({"duplicate": {"level": "class"}}, "the same class"),
        ({"duplicate": {"level": "ingredient", "overlap_days_ge": 3}}, "the same ingredient, 3 days or more together"),
        ({"same_product": True}, "same product"),
        (SUM, "mg a day of acetaminophen in all > 4,000"),
    ],
)
def test_the_words_of_a_page(spec: Json, words: str) -> None:
    assert FAMILY.vocabulary.say(spec) == words
