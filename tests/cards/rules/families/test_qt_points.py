"""Tisdale's points for QT prolongation, each of them at its limit, and the parts that are not known, by hand."""

from typing import Any

import pytest

from cards.rules.families.ddi.family import FAMILY
from cards.rules.families.ddi.qt_points import TISDALE_POINTS, Points, points, risks
from tests.cards.rules.contexts import context_of, told
from tests.each import for_rows
from tests.fhir.builders import observation

Json = dict[str, Any]
AMIODARONE = {"drug": "amiodarone 200 mg tablet", "dose": "1 tablet", "times": 1}
WHOLE: Json = {"age": 50, "labs": [["potassium", 4.2, 5], ["qtc", 420, 5]]}


@for_rows(
    ("patient", "expected", "words"),
    [
        ({}, 3, []),
        ({"age": 67}, 3, []),
        ({"age": 68}, 4, ["age 68"]),
        ({"sex": "female"}, 4, ["female"]),
        ({"active": ["furosemide 40 mg tablet"]}, 4, ["a loop diuretic"]),
        ({"conditions": ["hf"]}, 6, ["heart failure"]),
        ({"active": ["haloperidol 5 mg tablet"]}, 6, []),
        ({"active": ["haloperidol 5 mg tablet", "methadone 10 mg tablet"]}, 6, []),
        ({"active": ["amiodarone 100 mg tablet"]}, 3, []),
        ({"labs": [["potassium", 3.5, 90], ["qtc", 420, 5]]}, 5, ["potassium 3.5"]),
        ({"labs": [["potassium", 3.51, 5], ["qtc", 420, 5]]}, 3, []),
        ({"labs": [["potassium", 3.4, 5], ["potassium", 4.5, 5], ["qtc", 420, 5]]}, 5, ["potassium 3.4"]),
        ({"labs": [["potassium", 4.2, 5], ["qtc", 450, 90]]}, 5, ["QTc 450 ms"]),
        ({"labs": [["potassium", 4.2, 5], ["qtc", 449, 5]]}, 3, []),
        (
            {
                "age": 80,
                "sex": "female",
                "active": ["furosemide 40 mg tablet", "haloperidol 5 mg tablet"],
                "conditions": ["hf"],
                "labs": [["potassium", 3.0, 5], ["qtc", 510, 5]],
            },
            16,
            ["age 80", "female", "a loop diuretic", "heart failure", "potassium 3", "QTc 510 ms"],
        ),
    ],
)
def test_the_points_are_summed_and_said(patient: Json, expected: int, words: list[str]) -> None:
    context = context_of(AMIODARONE, **(WHOLE | patient))
    assert points(context) == Points(expected, is_whole=True)
    assert risks(context) == words
    assert FAMILY.placeholders["qt_points"](context) == str(expected)
    assert FAMILY.placeholders["qt_risks"](context) == (", ".join(words) or None)


def test_what_lies_on_the_normal_side_of_a_limit_gives_no_points() -> None:
    def measured(loinc: str, comparator: str, value: float, unit: str) -> Json:
        amount = {"comparator": comparator, "value": value, "unit": unit, "code": unit}
        return observation(loinc, when="2026-11-18", patient="case", id=loinc, valueQuantity=amount)

    over, under = measured("2823-3", ">", 3.0, "mmol/L"), measured("8636-3", "<", 500, "ms")
    for entry in (over, under):
        assert points(context_of(AMIODARONE, **WHOLE, more=[entry])).sure == 3


def test_the_age_is_told_from_68_years_on() -> None:
    told_at = {
        age: told({"tisdale_points": {"ge": 3}}, context_of(AMIODARONE, **WHOLE | {"age": age}), FAMILY)
        for age in (67, 68)
    }
    assert [[fact.name for fact in facts] for facts in told_at.values()] == [[], ["age"]]


@for_rows(
    "lacking",
    [
        {"age": None},
        {"sex": None},
        {"not_sent": ["Condition"]},
        {"not_sent": ["MedicationRequest", "MedicationStatement"]},
        {"labs": [["potassium", 4.2, 91], ["qtc", 420, 5]]},
        {"labs": [["potassium", 4.2, 5], ["qtc", 420, 91]]},
    ],
)
def test_what_is_not_known_could_add_points(lacking: Json) -> None:
    context = context_of(AMIODARONE, **(WHOLE | lacking))
    assert (points(context), risks(context)) == (Points(3, is_whole=False), [])
    assert told({"tisdale_points": {"ge": 3}}, context, FAMILY) == []
    assert FAMILY.placeholders["qt_points"](context) == "at least 3"
    for limit, expected in (({"ge": 3}, True), ({"ge": 4}, None), ({"lt": 4}, None)):
        predicate = TISDALE_POINTS.compile({"tisdale_points": limit}, lambda _part: pytest.fail("no part"))
        assert predicate.test(context) is expected


@for_rows(
    ("labs", "expected"),
    [
        ([["potassium", 4.2, 5], ["qtc", 420, 5]], ""),
        ([["qtc", 420, 90]], "No potassium in 90 days; "),
        ([["potassium", 4.2, 90]], "No QTc in 90 days; "),
        ([["potassium", 4.2, 91], ["qtc", 420, 91]], "No potassium and no QTc in 90 days; "),
    ],
)
def test_the_limits_of_the_points_are_said(labs: list[Json], expected: str) -> None:
    sentence = "sepsis and acute myocardial infarction were not looked for."
    words = FAMILY.placeholders["qt_limits"](context_of(AMIODARONE, labs=labs))
    assert words == (expected + sentence if expected else "S" + sentence[1:])


def test_the_facts_are_what_the_points_rest_on() -> None:
    predicate = TISDALE_POINTS.compile({"tisdale_points": {"ge": 1}}, lambda _part: pytest.fail("no part"))
    assert predicate.facts(context_of(AMIODARONE, **WHOLE)) == []
    patient: Json = {
        "age": 70,
        "active": ["furosemide 40 mg tablet"],
        "conditions": ["hf"],
        "labs": [["potassium", 3.2, 5], ["qtc", 470, 5]],
    }
    facts = predicate.facts(context_of(AMIODARONE, **patient))
    assert len(facts) == 5
    assert [(fact.text, fact.value) for fact in facts[3:]] == [
        ("potassium 3.2 mmol/L on 2026-11-15", 3.2),
        ("QTc 470 ms on 2026-11-15", 470.0),
    ]
    assert predicate.limits == {1.0}
