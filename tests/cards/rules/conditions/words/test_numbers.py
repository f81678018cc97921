"""Words that compare numbers: what they name, what they rest on, values with a side only, and what is missing."""

from typing import Any

import pytest

from cards.extension import Fact
from cards.rules.conditions.condition import DataNeeds, common_vocabulary, needs
from cards.rules.language.rule import RuleError
from tests.cards.rules.contexts import answer, context_of, predicate_of, told
from tests.each import for_rows

Json = dict[str, Any]
METFORMIN: Json = {"drug": "metformin hydrochloride 500 MG Oral Tablet", "dose": "2 tablet", "times": 2, "days": 7}
DRAFT_NAME = "MedicationRequest/draft-0"


@for_rows(
    ("patient", "truth"),
    [
        ({}, True),
        ({"labs": [["potassium", 4.0, 31]]}, True),
        ({"labs": [["potassium", 4.0, 30]]}, False),
        ({"not_sent": ["potassium", "Observation"]}, None),
    ],
)
def test_a_value_is_missing_only_where_it_was_asked_for(patient: Json, truth: bool | None) -> None:
    spec = {"lab_missing": "potassium", "max_age_days": 30}
    assert answer(spec, context_of(METFORMIN, **patient)) is truth
    assert predicate_of(spec).uses == {"lab:potassium"}
    assert predicate_of(spec).needs == needs("Observation", analytes=["potassium"])


_WORDS = [
    ("age_years", "age", 60, {"age"}, needs()),
    ("age_months", "age in months", 723, {"age"}, needs()),
    ("weight_kg", "weight in kg", 80, {"weight"}, needs("Observation", analytes=["body_weight"])),
    ("daily_dose_mg", "mg a day", 2000, {"dose"}, needs()),
    ("weekly_dose_mg", "mg a week", 14000, {"dose"}, needs()),
    ("dose_mg", "mg in one dose", 1000, {"each_dose"}, needs()),
    ("dose_mg_per_kg", "mg/kg in one dose", 12.5, {"each_dose", "weight"},
     needs("Observation", analytes=["body_weight"])),
    ("dose_mg_per_kg_per_day", "mg/kg a day", 25, {"dose", "weight"}, needs("Observation", analytes=["body_weight"])),
    ("times_per_day", "doses a day", 2, {"frequency"}, needs()),
    ("times_per_week", "doses a week", 14, {"frequency"}, needs()),
    ("duration_days", "days", 7, {"duration"}, needs()),
    ("gestation_weeks", "week of pregnancy", None, {"gestation"},
     needs("Condition", "Procedure", "Encounter", "Observation", analytes=["pregnancy_signs", "sex_at_birth"])),
]  # fmt: skip


@for_rows(("word", "name", "value", "uses", "needed"), _WORDS)
def test_a_number_is_compared_and_named(
    word: str, name: str, value: float | None, uses: set[str], needed: DataNeeds
) -> None:
    # Born 100 days before the 20th of November 60 years ago.
    context = context_of(METFORMIN, labs=[["body_weight", 80, 3]])
    truths = [answer({word: {sign: value or 0}}, context) for sign in ("ge", "gt", "le", "lt")]
    assert truths == ([True, False, True, False] if value is not None else [None] * 4)
    assert answer({"unknown": word}, context) is (value is None)
    assert common_vocabulary().say({word: {"ge": 3}}) == f"{name} ≥ 3"
    assert common_vocabulary().say({"unknown": word}) == f"{name} not known"
    for spec in ({word: {"ge": 3}}, {"unknown": word}):
        predicate = predicate_of(spec)
        assert predicate.uses == uses
        assert predicate.needs == needed
    assert predicate_of({word: {"ge": 3, "lt": 5}}).limits == {3, 5}


@for_rows(
    ("word", "fact"),
    [
        ("age_years", Fact("age", "", 60, "a", source="Patient/case")),
        ("age_months", Fact("age", "", 60, "a", source="Patient/case")),
        ("weight_kg",
         Fact("body_weight", "weight 80 kg on 2026-11-17", 80.0, "kg", "2026-11-17T09:00:00+00:00",
              "Observation/lab-0")),
        ("daily_dose_mg", Fact("daily_dose", "2,000 mg/day", 2000.0, "mg/d", source=DRAFT_NAME)),
        ("weekly_dose_mg", Fact("weekly_dose", "14,000 mg/week", 14000.0, "mg/wk", source=DRAFT_NAME)),
        ("dose_mg_per_kg",
         Fact("dose_mg_per_kg", "12.5 mg/kg at weight 80 kg on 2026-11-17", 12.5, "mg/kg", source="Observation/lab-0")),
        ("dose_mg_per_kg_per_day",
         Fact("dose_mg_per_kg_per_day", "25 mg/kg/day at weight 80 kg on 2026-11-17", 25.0, "mg/kg/day",
              source="Observation/lab-0")),
        ("times_per_day", Fact("times_per_day", "2 doses a day", 2.0, "/d", source=DRAFT_NAME)),
        ("times_per_week", Fact("times_per_week", "14 doses a week", 14.0, "/wk", source=DRAFT_NAME)),
        ("duration_days", Fact("duration", "7 days", 7.0, "d", source=DRAFT_NAME)),
        ("dose_mg", None),
        ("gestation_weeks", None),
    ],
)  # fmt: skip
def test_a_number_is_told_with_its_unit_and_source(word: str, fact: Fact | None) -> None:
    context = context_of(METFORMIN, labs=[["body_weight", 80, 3]])
    assert told({word: {"ge": 0}}, context) == ([] if fact is None else [fact])


def test_one_dose_and_one_day_are_singular() -> None:
    context = context_of({**METFORMIN, "times": 1, "days": 1})
    for word, text in (("times_per_day", "1 dose a day"), ("duration_days", "1 day")):
        assert [fact.text for fact in told({word: {"ge": 0}}, context)] == [text]


def test_what_is_not_known_of_the_patient_is_not_told() -> None:
    nobody = context_of({"drug": METFORMIN["drug"]}, age=None)
    for word, *_ in _WORDS:
        assert told({word: {"ge": 0}}, nobody) == []
        assert answer({"unknown": word}, nobody) is True


def test_a_number_without_a_name_is_refused() -> None:
    with pytest.raises(RuleError) as refused:
        common_vocabulary().compile({"unknown": "shoe_size"})
    assert "age_years|age_months|weight_kg" in str(refused.value)


def test_an_estimate_that_is_there_is_compared_and_not_missing() -> None:
    known = context_of(METFORMIN, labs=[["egfr", 29, 3]])
    assert answer({"derived": "egfr_best", "lt": 30}, known) is True
    assert answer({"derived": "egfr_best", "lt": 29}, known) is False
    assert answer({"derived_missing": "egfr_best"}, known) is False
    assert answer({"kidney_value_wanted": True}, known) is False
    assert answer({"kidney_value_wanted": False}, known) is True
    unknown = context_of(METFORMIN)
    assert answer({"derived": "egfr_best", "lt": 30}, unknown) is None
    assert answer({"derived_missing": "egfr_best"}, unknown) is True
    assert answer({"kidney_value_wanted": True}, unknown) is True
    assert told({"derived": "egfr_best", "lt": 30}, unknown) == []
    child = context_of(METFORMIN, age=17)
    assert answer({"derived_missing": "egfr_best"}, child) is False
    assert answer({"kidney_value_wanted": True}, child) is False


@pytest.mark.parametrize(
    "spec",
    [
        {"derived": "egfr_best", "weight": "actual", "lt": 30},
        {"derived": "crcl_cockcroft_gault", "lt": 30},
        {"derived_missing": "crcl_cockcroft_gault"},
    ],
)
def test_an_estimate_without_its_weight_is_refused(spec: Json) -> None:
    with pytest.raises(RuleError) as refused:
        common_vocabulary().compile(spec)
    assert str(refused.value) == f"{spec!r}: egfr_best, or crcl_cockcroft_gault with weight actual or adjusted"


@for_rows(
    ("spec", "words"),
    [
        ({"lab": "potassium", "gt": 5.5, "max_age_days": 30}, "potassium > 5.5 in the last 30 days"),
        ({"lab": "potassium", "le": 5.5}, "potassium ≤ 5.5"),
        ({"lab_missing": "potassium", "max_age_days": 30}, "no potassium in 30 days"),
        ({"lab_missing": "potassium"}, "no potassium in any number of days"),
        ({"kidney_value_wanted": True}, "a new value would help"),
    ],
)
def test_the_words_of_a_page(spec: Json, words: str) -> None:
    assert common_vocabulary().say(spec) == words
