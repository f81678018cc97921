"""Words about the patient: what a draft is for, problems of late, groups of conditions, allergies."""

from typing import Any

import pytest

from cards.extension import Fact
from cards.rules.conditions.condition import common_vocabulary, needs
from cards.rules.language.rule import RuleError
from tests.cards.rules.contexts import answer, context_of, predicate_of, told
from tests.each import for_rows
from tests.fhir.builders import problem

Json = dict[str, Any]
ICD10, SNOMED = "http://hl7.org/fhir/sid/icd-10-cm", "http://snomed.info/sct"
DRAFT: Json = {"drug": "amitriptyline 25 MG Oral Tablet"}


def _concept(words: str = "", code: str = "", system: str = ICD10) -> Json:
    return {"text": words, "coding": [{"system": system, "code": code}] if code else []}


def _problem(concept: Json, name: str = "p", onset: str | None = "2026-11-10", status: str = "active") -> Json:
    dated = {"onsetDateTime": onset} if onset else {}
    return problem(concept, status=status, patient="case", id=name) | dated


def _for(concept: Json) -> Json:
    return {**DRAFT, "more": {"reasonCode": [concept]}}


MIGRAINE: Json = {"indication": {"icd10": ["g43.9"], "snomed": ["37796009"], "words": ["migrain"]}}
OF_DRAFT: Json = {"indication": {**MIGRAINE["indication"], "of_draft_only": True}}
CONCEPTS = [
    (_concept("Migraine without aura"), True),
    (_concept("for migraines"), True),
    (_concept("No migraine"), False),
    (_concept("antimigraine"), False),
    (_concept("Mother had migraine"), False),
    (_concept("x", "G43.909"), True),
    (_concept("x", "g43909"), True),
    (_concept("x", " G43.9 "), True),
    (_concept("x", "G43"), False),
    (_concept("x", "37796009", SNOMED), True),
    (_concept("x", "377960090", SNOMED), False),
    (_concept("x", "37796009"), False),
    (_concept("x", "G43.909", SNOMED), False),
    (_concept("x", "G43.909", "urn:other"), False),
    ({"text": "x", "coding": [{"system": ICD10}, {"system": ICD10, "code": "G43.909"}]}, True),
]


@for_rows(("concept", "is_meant"), CONCEPTS)
def test_an_indication_is_the_reason_of_the_draft_or_a_problem_of_the_list(concept: Json, is_meant: bool) -> None:
    by_draft = context_of(_for(concept))
    assert (answer(MIGRAINE, by_draft), answer(OF_DRAFT, by_draft)) == (is_meant, is_meant)
    assert told(MIGRAINE, by_draft) == []
    listed = context_of(DRAFT, more=[_problem(concept)])
    assert (answer(MIGRAINE, listed), answer(OF_DRAFT, listed)) == (is_meant, False)
    fact = Fact("condition", concept["text"], effective="2026-11-10", source="Condition/p")
    assert told(MIGRAINE, listed) == ([fact] if is_meant else [])
    assert told(OF_DRAFT, listed) == []


@for_rows("words", ["Family history of migraine", "Migraine ruled out", "? migraine", "Mother had migraine"])
def test_words_of_the_list_take_back_the_code_beside_them(words: str) -> None:
    recent = {"recent_problem": {"icd10": ["G43"], "within_days": 30}}
    listed = context_of(DRAFT, more=[_problem(_concept(words, "G43.909"))])
    assert (answer(MIGRAINE, listed), answer(recent, listed)) == (False, False)
    assert (told(MIGRAINE, listed), told(recent, listed)) == ([], [])


def test_an_indication_may_stand_in_the_instruction() -> None:
    said = {**DRAFT, "more": {"dosageInstruction": [{"text": "1 tablet at night for migraine"}]}}
    assert answer(MIGRAINE, context_of(said)) is True
    # The reason is read by itself, too: what stands before it denies nothing of it.
    reasoned = {
        **DRAFT,
        "more": {"dosageInstruction": [{"text": "daily without food"}], "reasonCode": [{"text": "migraine"}]},
    }
    assert answer(MIGRAINE, context_of(reasoned)) is True
    nameless = {name: part for name, part in _problem({"text": "x"}).items() if name != "code"}
    assert (
        answer(MIGRAINE, context_of(DRAFT, more=[nameless])),
        told(MIGRAINE, context_of(DRAFT, more=[nameless])),
    ) == (False, [])
    only_codes = {"indication": {"icd10": ["G43"]}}
    assert answer(only_codes, context_of(said)) is False


def test_a_problem_that_is_over_is_no_indication() -> None:
    over = context_of(DRAFT, more=[_problem(_concept("Migraine", "G43.909"), status="resolved")])
    assert answer(MIGRAINE, over) is False
    assert told(MIGRAINE, over) == []
    undated = context_of(DRAFT, more=[_problem(_concept("Migraine", "G43.909"), onset=None)])
    assert told(MIGRAINE, undated) == [Fact("condition", "Migraine", source="Condition/p")]


def test_without_a_problem_list_only_the_draft_settles_what_it_is_for() -> None:
    unknown = context_of(DRAFT, not_sent=["Condition"])
    assert (answer(MIGRAINE, unknown), answer(OF_DRAFT, unknown)) == (None, False)
    assert answer(MIGRAINE, context_of(_for(_concept("Migraine")), not_sent=["Condition"])) is True
    assert predicate_of(MIGRAINE).uses == {"conditions"}
    assert predicate_of(OF_DRAFT).uses == frozenset()
    assert predicate_of(MIGRAINE).needs == needs("Condition")
    assert predicate_of(OF_DRAFT).needs == needs()


RECENT: Json = {"recent_problem": {"groups": ["gout"], "icd10": ["K92.2"], "snomed": ["74474003"], "within_days": 30}}


@for_rows(
    ("concept", "onset", "truth", "value"),
    [
        (_concept("Gout", "M10.9"), "2026-10-21", True, "M10.9"),
        (_concept("Gout", "M10.9"), "2026-10-20", False, "M10.9"),
        # Words that mean a group stand for its code.
        (_concept("Gout"), "2026-11-01", True, "M10.9"),
        (_concept("Bleeding", "K92.2"), "2026-10-21", True, "K92.2"),
        (_concept("Bleeding", "K92.2"), "2026-10-20", False, "K92.2"),
        (_concept("Bleeding", "74474003", SNOMED), "2026-11-01", True, "74474003"),
        (_concept("Bleeding", "K92.2"), None, None, "K92.2"),
        (_concept("Cough", "R05.9"), "2026-11-01", False, "R05.9"),
    ],
)
def test_a_problem_of_the_last_thirty_days(concept: Json, onset: str | None, truth: bool | None, value: str) -> None:
    context = context_of(DRAFT, more=[_problem(concept, onset=onset)])
    assert answer(RECENT, context) is truth
    fact = Fact("problem", concept["text"], value, effective=onset, source="Condition/p")
    assert told(RECENT, context) == ([fact] if truth else [])


def test_a_problem_that_is_over_or_of_a_list_that_did_not_come_is_not_recent() -> None:
    over = [_problem(_concept("Bleeding", "K92.2"), status="resolved")]
    assert answer(RECENT, context_of(DRAFT, more=over)) is False
    assert answer(RECENT, context_of(DRAFT, not_sent=["Condition"])) is None


def test_one_that_is_recent_settles_it_beside_one_without_a_date() -> None:
    undated, dated = _problem(_concept("Gout", "M10.9"), "a", None), _problem(_concept("Bleeding", "K92.2"), "b")
    context = context_of(DRAFT, more=[undated, dated])
    assert answer(RECENT, context) is True
    assert [fact.source for fact in told(RECENT, context)] == ["Condition/b"]


def test_a_problem_that_is_meant_by_group_and_by_code_is_told_once() -> None:
    both: Json = {"recent_problem": {"groups": ["gout"], "icd10": ["M10"], "within_days": 30}}
    context = context_of(DRAFT, more=[_problem(_concept("Gout", "M10.9"))])
    assert told(both, context) == [Fact("problem", "Gout", "M10.9", effective="2026-11-10", source="Condition/p")]
    by_group: Json = {"recent_problem": {"groups": ["gout"], "within_days": 30}}
    bleeding = context_of(DRAFT, more=[_problem(_concept("Bleeding", "K92.2"))])
    assert answer(by_group, bleeding) is False
    by_snomed: Json = {"recent_problem": {"snomed": ["74474003"], "within_days": 30}}
    assert answer(by_snomed, context_of(DRAFT, more=[_problem(_concept("Bleeding", "74474003", SNOMED))])) is True


@for_rows(
    ("spec", "message"),
    [
        ({"indication": {}}, "{'indication': {}} names no indication"),
        ({"indication": {"of_draft_only": True}}, "{'indication': {'of_draft_only': True}} names no indication"),
        ({"recent_problem": {"within_days": 3}}, "{'recent_problem': {'within_days': 3}} names no problem"),
        ({"recent_problem": {"within_days": 3, "groups": ["zz", "gout", "yy"]}},
         "recent_problem: no group is called yy, zz"),
        ({"allergy": {"match": "colour"}}, "Expected `str` matching regex '^(ingredient|class)$', not 'colour'"),
    ],
)  # fmt: skip
def test_a_word_about_nothing_is_refused(spec: Json, message: str) -> None:
    with pytest.raises(RuleError) as refused:
        common_vocabulary().compile(spec)
    assert str(refused.value) == message


@pytest.mark.parametrize("kind", ["icd10", "snomed", "words"])
def test_one_kind_of_indication_is_enough(kind: str) -> None:
    predicate_of({"indication": {kind: ["G43"]}})


@pytest.mark.parametrize(("kind", "name"), [("icd10", "G43"), ("snomed", "37796009"), ("groups", "gout")])
def test_one_kind_of_problem_is_enough(kind: str, name: str) -> None:
    predicate_of({"recent_problem": {kind: [name], "within_days": 1}})


def test_one_group_of_several_is_enough_and_its_facts_are_told() -> None:
    spec: Json = {"condition_any": ["gout", "hf"]}
    listed = context_of(DRAFT, conditions=[["hf", 10]])
    assert answer(spec, listed) is True
    assert [(fact.name, fact.effective, fact.source) for fact in told(spec, listed)] == [
        ("hf", "2026-11-10", "Condition/condition-hf")
    ]
    assert answer(spec | {"within_days": 9}, listed) is False
    assert answer(spec, context_of(DRAFT)) is False
    assert answer(spec, context_of(DRAFT, not_sent=["Condition"])) is None
    assert predicate_of(spec).uses == {"conditions", "condition:gout", "condition:hf"}


@pytest.mark.parametrize(
    ("keys", "needed"),
    [
        (["gout"], needs("Condition")),
        (["gout", "transplant"], needs("Condition", "Procedure")),
        (
            ["gout", "pregnancy"],
            needs("Condition", "Procedure", "Encounter", "Observation", analytes=["pregnancy_signs", "sex_at_birth"]),
        ),
    ],
)
def test_what_a_group_is_read_from(keys: list[str], needed: object) -> None:
    assert predicate_of({"condition_any": keys}).needs == needed


@for_rows(("sex", "truth"), [("female", True), ("male", False), ("other", None), (None, None)])
def test_the_sex(sex: str | None, truth: bool | None) -> None:
    assert answer({"sex": "female"}, context_of(DRAFT, sex=sex)) is truth


AMOXICILLIN: Json = {"rxcui": "723", "name": "amoxicillin"}


@pytest.mark.parametrize(
    ("on_list", "to_ingredient", "to_class"),
    [("amoxicillin", True, True), ("penicillin G", False, True), ("peanut", False, False)],
)
def test_an_allergy_to_an_ingredient_and_to_a_class(on_list: str, to_ingredient: bool, to_class: bool) -> None:
    context = context_of(DRAFT, allergies=[on_list])
    assert answer({"allergy": {"match": "ingredient", "ingredient": AMOXICILLIN}}, context) is to_ingredient
    assert answer({"allergy": {"match": "class", "class": "penicillin"}}, context) is to_class


@for_rows(
    ("spec", "words"),
    [
        (
            {"indication": {"words": ["migrain"], "icd10": ["G43"], "snomed": ["1"], "of_draft_only": True}},
            "for migrain, ICD-10 G43, SNOMED CT 1",
        ),
        ({"indication": {"icd10": ["G43"], "of_draft_only": False}}, "for, or on the problem list: ICD-10 G43"),
        (RECENT, "on the problem list since at most 30 days: gout, ICD-10 K92.2, SNOMED CT 74474003"),
        ({"allergy": {"match": "ingredient", "ingredient": AMOXICILLIN}}, "allergy to amoxicillin"),
        ({"allergy": {"match": "class", "class": "penicillin"}}, "allergy to penicillin"),
        ({"condition_any": ["gout", "hf"]}, "gout or hf"),
        ({"sex": "female"}, "female"),
    ],
)
def test_the_words_of_a_page(spec: Json, words: str) -> None:
    assert common_vocabulary().say(spec) == words
