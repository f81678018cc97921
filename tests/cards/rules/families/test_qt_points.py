"""Tisdale's points for QT prolongation, each of them at its limit, and the parts that are not known, by hand."""

from typing import Any

from cards.rules.families.ddi.family import FAMILY
from cards.rules.families.ddi.qt_points import Points, points, risks
from tests.cards.rules.contexts import context_of
from tests.each import for_rows

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
