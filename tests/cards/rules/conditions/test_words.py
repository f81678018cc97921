"""Three answers: unknown never fires, and is only as contagious as it must be."""

from datetime import datetime
from typing import Any

import pytest
from msgspec.structs import fields

from cards.rules.conditions.condition import common_vocabulary, compared, flag, selected
from cards.rules.engine.family import rule_families
from cards.rules.language.rule import RuleError
from cards.rules.patient.context import RuleContext
from cards.rules.patient.session import PatientSession
from tests.cards.rules.patients import draft_of, drafts_of, record_of
from tests.each import for_rows

Json = dict[str, Any]

TRUE: Json = {"always": True}


def context(patient: Json, draft: Json, as_of: datetime) -> RuleContext:
    session = PatientSession(record_of(patient, as_of), drafts_of(draft_of(draft)))
    drafted = session.drafted[0]
    return RuleContext(session, drafted, drafted.medication.ingredients[0])


@pytest.fixture
def nobody(as_of: datetime) -> RuleContext:
    """A patient of whom nothing is known, and a draft without a dose."""
    return context({"age": None, "sex": None}, {"drug": "861007"}, as_of)


ASKED: list[Json] = [
    {"age_years": {"ge": 1}},
    {"weight_kg": {"ge": 1}},
    {"daily_dose_mg": {"gt": 0}},
    {"times_per_day": {"gt": 0}},
    {"duration_days": {"gt": 0}},
    {"gestation_weeks": {"ge": 0}},
    {"sex": "female"},
    {"lab": "creatinine", "ge": 0},
    {"derived": "egfr_best", "ge": 0},
    {"derived": "crcl_cockcroft_gault", "weight": "actual", "lt": 1000},
]


@pytest.mark.parametrize("spec", ASKED)
def test_what_is_not_known_is_neither_true_nor_false(spec: Json, nobody: RuleContext) -> None:
    predicate = common_vocabulary().compile(spec)
    assert predicate.test(nobody) is None
    assert common_vocabulary().compile({"not": spec}).test(nobody) is None
    assert predicate.facts(nobody) == []


KNOWN: list[tuple[Json, Json, bool]] = [
    ({"age_years": {"ge": 60}}, {}, True),
    ({"age_years": {"gt": 60}}, {}, False),
    ({"sex": "male"}, {}, True),
    ({"weight_kg": {"le": 60}}, {"labs": [["body_weight", 60]]}, True),
    ({"weight_kg": {"le": 60}}, {"labs": [["body_weight", 60, 5000]]}, True),
    ({"weight_kg": {"le": 60}}, {"age": 10, "labs": [["body_weight", 30, 90]]}, True),
    ({"condition_any": ["hf", "afib"]}, {"conditions": ["afib"]}, True),
    ({"condition_any": ["hf"]}, {"conditions": ["afib"]}, False),
    ({"lab_missing": "creatinine", "max_age_days": 30}, {"labs": [["creatinine", 1, 31]]}, True),
    ({"lab_missing": "creatinine", "max_age_days": 30}, {"labs": [["creatinine", 1, 30]]}, False),
    ({"active": {"classes": ["nsaid"]}}, {"active": ["198014"]}, True),
    ({"active": {"classes": ["nsaid"], "systemic": True}}, {"active": ["855633"]}, False),
    ({"active": {"classes": ["nsaid"], "exclude_classes": ["beers_avoid_75_nsaid"]}}, {"active": ["198014"]}, False),
    ({"draft": {"ingredients": [{"rxcui": "6809", "name": "metformin"}], "dose_form_any": ["tablet"]}}, {}, True),
    ({"draft": {"ingredients": [{"rxcui": "6809", "name": "metformin"}], "dose_form_any": ["capsule"]}}, {}, False),
    ({"new_start": True}, {}, True),
    ({"new_start": False}, {"active": ["861007"]}, True),
    ({"daily_dose_mg": {"gt": 999, "lt": 1001}}, {}, True),
    ({"times_per_day": {"ge": 2}}, {}, True),
    ({"duration_days": {"gt": 7}}, {}, False),
    ({"single_dose": True}, {}, False),
    ({"allergy": {"match": "class", "class": "penicillin"}}, {"allergies": ["amoxicillin"]}, True),
    ({"allergy": {"match": "class", "class": "penicillin"}}, {"allergies": ["peanut"]}, False),
    ({"kidney_value_wanted": True}, {}, True),
    ({"kidney_value_wanted": True}, {"age": 12}, False),
]


@for_rows(("spec", "patient", "answer"), KNOWN)
def test_a_known_fact_is_true_or_false(spec: Json, patient: Json, answer: bool, as_of: datetime) -> None:
    draft = {"drug": "861007", "dose": "1 tablet", "times": 2, "days": 7}
    assert common_vocabulary().compile(spec).test(context(patient, draft, as_of)) is answer


def test_a_childs_weight_of_the_year_before_is_not_known(as_of: datetime) -> None:
    child = context({"age": 10, "labs": [["body_weight", 30, 91]]}, {"drug": "861007"}, as_of)
    assert common_vocabulary().compile({"weight_kg": {"gt": 0}}).test(child) is None


BROKEN: list[Any] = [
    {},
    [],
    {"sometimes": True},
    {"all": []},
    {"all": {}},
    {"all": [TRUE], "any": [TRUE]},
    {"age_years": {}},
    {"age_years": {"equals": 4}},
    {"derived": "egfr_best"},
    {"derived": "egfr_worst", "lt": 30},
    {"derived": "crcl_cockcroft_gault", "lt": 30},
    {"derived": "crcl_cockcroft_gault", "weight": "ideal", "lt": 30},
    {"unknown": "shoe_size"},
    {"allergy": {"match": "colour"}},
    {"count_at_least": {"n": 2}},
]


@for_rows("spec", BROKEN)
def test_a_condition_that_is_none_stops_the_start(spec: Any) -> None:
    with pytest.raises((RuleError, ValueError, KeyError)):
        common_vocabulary().compile(spec)


def test_two_words_of_one_name_are_refused() -> None:
    own = flag("signing", lambda _context: True, "a second one")
    with pytest.raises(RuleError, match="two words of conditions are called 'signing'"):
        common_vocabulary().extended([own])


def test_a_condition_needs_the_data_of_every_condition_in_it() -> None:
    spec = {"all": [{"lab": "potassium", "gt": 5}, {"not": {"condition_any": ["pregnancy"]}}, {"always": True}]}
    needed = common_vocabulary().compile(spec).needs
    assert needed.analytes == {"potassium", "pregnancy_signs", "sex_at_birth"}
    assert needed.resources == {"Observation", "Condition", "Procedure", "Encounter"}


def test_every_word_has_a_meaning_and_a_form() -> None:
    words = [*common_vocabulary(), *(word for family in rule_families() for word in family.conditions)]
    assert len(words) > 50
    for one in words:
        assert one.meaning
        assert fields(one.form)[0].encode_name == one.word


# The vocabulary: combinations and selectors in words, what is wrong with a condition, and its schema.
NEW: Json = {"new_start": True}
EITHER: Json = {"any": [NEW, {"as_needed": True}]}


@for_rows(
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


@for_rows(
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


@for_rows(
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


@for_rows(
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
