"""Pregnancy: a woman of childbearing age, a negative test of late, the week in words."""

from datetime import timedelta
from typing import Any

from cards.extension import Fact
from cards.rules.families.pregnancy.family import FAMILY
from tests.cards.rules.contexts import AS_OF, answer, context_of, predicate_of, told
from tests.each import for_rows
from tests.fhir.builders import observation

Json = dict[str, Any]
METHOTREXATE: Json = {"drug": "methotrexate 2.5 MG Oral Tablet"}
PILL: Json = {"drug": "ethinyl estradiol 0.03 MG / levonorgestrel 0.15 MG Oral Tablet"}
WOMAN: Json = {"sex": "female", "age": 30}
BEARING: Json = {"childbearing_no_contraception": True}


def _result(loinc: str, days_ago: int, **value: Any) -> Json:
    return observation(
        loinc, when=(AS_OF - timedelta(days=days_ago)).date().isoformat(), patient="case", id="r", **value
    )


@for_rows(
    ("patient", "others", "truth"),
    [
        (WOMAN, [], True),
        ({**WOMAN, "sex": "male"}, [], False),
        ({**WOMAN, "age": 12}, [], True),
        ({**WOMAN, "age": 11}, [], False),
        ({**WOMAN, "age": 50}, [], True),
        ({**WOMAN, "age": 51}, [], False),
        ({**WOMAN, "conditions": ["pregnancy"]}, [], False),
        ({**WOMAN, "active": [PILL]}, [], False),
        # A pill that is drafted beside it counts, too.
        (WOMAN, [PILL], False),
        ({**WOMAN, "sex": None}, [], None),
    ],
)
def test_a_woman_who_can_become_pregnant(patient: Json, others: list[Json], truth: bool | None) -> None:
    context = context_of(METHOTREXATE, *others, **patient)
    assert answer(BEARING, context, FAMILY) is truth
    assert answer({"childbearing_no_contraception": False}, context, FAMILY) is (None if truth is None else not truth)


def test_a_contraceptive_that_is_drafted_does_not_prevent_before_it_is_taken() -> None:
    assert answer(BEARING, context_of(PILL, **WOMAN), FAMILY) is True
    assert told(BEARING, context_of(METHOTREXATE, **WOMAN), FAMILY) == [
        Fact("age", "", 30, "a", source="Patient/case")]  # fmt: skip
    assert predicate_of(BEARING, FAMILY).uses == {
        "childbearing", "sex", "age", "conditions", "condition:pregnancy", "active"}  # fmt: skip


@for_rows(
    ("more", "truth"),
    [
        ([_result("2106-3", 7, valueCodeableConcept={"text": "Negative"})], True),
        ([_result("2106-3", 8, valueCodeableConcept={"text": "Negative"})], False),
        ([_result("2106-3", 7, valueCodeableConcept={"text": "Positive"})], False),
        ([], False),
    ],
)
def test_a_negative_test_of_late(more: list[Json], truth: bool) -> None:
    spec: Json = {"pregnancy_test_negative": {"max_age_days": 7}}
    assert answer(spec, context_of(METHOTREXATE, **WOMAN, more=more), FAMILY) is truth
    assert FAMILY.vocabulary.say(spec) == "a negative pregnancy test in 7 days"
