"""The vocabulary: combinations and selectors in words, what is wrong with a condition, and its schema."""

from typing import Any

import pytest

from cards.rules.conditions.condition import common_vocabulary, compared, selected
from cards.rules.language.rule import RuleError

Json = dict[str, Any]
NEW: Json = {"new_start": True}
EITHER: Json = {"any": [NEW, {"as_needed": True}]}


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"all": [NEW, {"as_needed": True}]}, "a new start, and as needed"),
        (EITHER, "a new start or as needed"),
        ({"all": [EITHER, {"sex": "female"}]}, "(a new start or as needed), and female"),
        ({"any": [EITHER, {"sex": "female"}]}, "a new start or as needed or female"),
        ({"not": EITHER}, "not (a new start or as needed)"),
        ({"count_at_least": {"n": 2, "of": [EITHER, NEW]}}, "at least 2 of ((a new start or as needed); a new start)"),
        ({"count_less_than": {"n": 2, "of": [NEW, NEW]}}, "fewer than 2 of (a new start; a new start)"),
        ({"always": True}, "always"),
        ({"never": True}, "never"),
    ],
)
def test_a_combination_in_words(spec: Json, words: str) -> None:
    assert common_vocabulary().say(spec) == words


@pytest.mark.parametrize(
    ("selector", "words"),
    [
        ({"ingredients": [{"rxcui": "1", "name": "a"}, {"rxcui": "2", "name": "b"}]}, "a or b"),
        ({"ingredients": [{"rxcui": "1", "name": "a"}], "classes": ["c", "d"]}, "a or class c or class d"),
        ({"any_drug": True}, "any drug"),
        ({"classes": ["c"], "exclude_classes": ["d", "e"]}, "class c but not class d or e"),
        ({"classes": ["c"], "systemic": True}, "class c (systemic)"),
        ({"classes": ["c"], "systemic": False}, "class c (local forms)"),
        ({"classes": ["c"], "systemic": True, "route": "oral", "dose_form_any": ["tablet", "film"], "washout_days": 14},
         "class c (systemic, oral, tablet or film, until 14 days after its end)"),
        ({"classes": ["c"], "washout_days": 0}, "class c"),
    ],
)  # fmt: skip
def test_a_selector_in_words(selector: Json, words: str) -> None:
    assert selected(selector) == words


def test_limits_stand_in_one_order() -> None:
    assert compared("x", {"lt": 4, "gt": 1}) == "x > 1 and < 4"
    assert compared("x", {"le": 4.25, "ge": 1000}) == "x ≥ 1,000 and ≤ 4.25"


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ([], "[] is no condition"),
        ({}, "{} is no condition"),
        ("always", "'always' is no condition"),
        ({"alway": True}, "no word of conditions is called 'alway'; did you mean 'always'?"),
        ({"zzzzzz": True, "qqq": 1}, "no word of conditions is called 'zzzzzz' or 'qqq'"),
        ({"all": [NEW], "any": [NEW]}, "all and any cannot stand in one condition: use `all`"),
    ],
)
def test_why_a_condition_is_none(spec: Any, why: str) -> None:
    with pytest.raises(RuleError) as refused:
        common_vocabulary().compile(spec)
    assert str(refused.value) == why


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"all": []}, "Expected `array` of length >= 1"),
        ({"any": NEW}, "Expected `array`, got `object`"),
        ({"count_at_least": {"n": 2, "of": [], "x": 1}}, "Expected `array` of length >= 1"),
    ],
)
def test_a_combination_of_nothing_is_refused(spec: Json, message: str) -> None:
    with pytest.raises(RuleError) as refused:
        common_vocabulary().compile(spec)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"new_start": 1}, ("new_start",)),
        ({"lab": "", "lt": 3}, ("lab",)),
        ({"lab": "potassium", "lt": "3"}, ("lt",)),
        ({"lab": "potassium", "lt": 3, "colour": 1}, ()),
        ({"sex": "woman"}, ("sex",)),
        ({"long_term": {"days": 0}}, ("long_term", "days")),
        (
            {"drug_daily_mg": {"ingredient": {"rxcui": "x", "name": "y"}, "gt": 1}},
            ("drug_daily_mg", "ingredient", "rxcui"),
        ),
    ],
)
def test_a_value_of_another_type_is_told_with_its_path(spec: Json, path: tuple[str, ...]) -> None:
    with pytest.raises(RuleError) as refused:
        common_vocabulary().compile(spec)
    assert refused.value.path == path


def test_constants_hold_only_when_they_are_asked_for() -> None:
    asked = {(word, value): common_vocabulary().compile({word: value}) for word in ("always", "never") for value in (
        True, False)}  # fmt: skip
    answers = {key: predicate.test(None) for key, predicate in asked.items()}  # type: ignore[arg-type]
    assert answers == {("always", True): True, ("always", False): False, ("never", True): False, ("never", False): True}
