"""A sentence of a language model stays where it says what its entries say, and goes where one thing is changed."""

from datetime import date

import pytest

from cds_hooks.text.chart import read_chart
from cds_hooks.text.rephrasing import check_sentence, entries_of
from tests.cds_hooks.text.charts import CHART, condition, result

_MORE = [
    result("o3", "Creatinine", 162, "umol/L", "2026-10-02"),
    condition("c3", "Left hip fracture"),
    condition("c4", "Right knee pain"),
    condition("c5", "Type 2 diabetes mellitus"),
    {"resourceType": "ServiceRequest", "id": "s1", "status": "active", "code": {"text": "Chest X-ray"}},
]
ENTRIES = entries_of(read_chart([*CHART, *_MORE], date(2026, 11, 2)))
_IDS = {
    "o": "Observation", "c": "Condition", "m": "MedicationRequest", "a": "AllergyIntolerance",
    "f": "FamilyMemberHistory", "d": "DocumentReference", "s": "ServiceRequest",
}  # fmt: skip


def _fault(text: str, cites: str) -> str:
    return check_sentence(text, [f"{_IDS[cite[0]]}/{cite}" for cite in cites.split()], ENTRIES).fault


@pytest.mark.parametrize(
    ("text", "cites"),
    [
        ("Potassium rose from 4.2 mmol/L on 2026-04-01 to 5.1 mmol/L on 2026-10-01.", "o2 o1"),
        ("Potassium 5.1 mmol/L on 1 October 2026, earlier 4.2 mmol/L on 2026-04-01.", "o1 o2"),
        ("The latest potassium is 5.1 mmol/L.", "o1"),
        ("Potassium 5.1 mmol/L and creatinine 162 µmol/L.", "o1 o3"),
        ("The patient has atrial fibrillation and type 2 diabetes mellitus.", "c1 c5"),
        ("Atrial fibrillation since 2020.", "c1"),
        ("Past pneumonia, resolved in 2022.", "c2"),
        ("Left hip fracture and right knee pain.", "c3 c4"),
        ("Her sister has deep vein thrombosis.", "f1"),
        ("Said in the clinic letter of 2026-11-01: wheeze.", "d1"),
        ("The clinic letter says no fever.", "d1"),
        ("Apixaban 5 mg tablet, 5 mg twice daily.", "m1"),
        ("Lisinopril 10 mg tablet was stopped: cough.", "m2"),
        ("Allergy to penicillin with rash.", "a1"),
        ("A chest X-ray is ordered.", "s1"),
    ],
)
def test_what_the_entries_say_is_confirmed(text: str, cites: str) -> None:
    assert not _fault(text, cites)


@pytest.mark.parametrize(
    ("text", "cites"),
    [
        ("Potassium 5.7 mmol/L.", "o1"),  # a wrong number
        ("Potassium 5.1 mg/dL.", "o1"),  # another unit
        ("Potassium 5.1 mmol/mol.", "o1"),
        ("Potassium <5.1 mmol/L.", "o1"),
        ("Potassium 162 and creatinine 5.1.", "o1 o3"),  # each with the other's number
        ("Potassium 162 umol/L.", "o1 o3"),
        ("Potassium 5.1 mmol/L on 2026-10-02.", "o1"),  # another day
        ("Potassium 4.2 mmol/L on 2026-10-01, earlier 5.1 mmol/L on 2026-04-01.", "o1 o2"),
        ("Potassium fell from 4.2 mmol/L on 2026-04-01 to 5.1 mmol/L on 2026-10-01.", "o2 o1"),
        ("Potassium 4.2 mmol/L.", "o2"),  # an older one as if it were the last
        ("The latest potassium is 4.2 mmol/L on 2026-04-01.", "o2"),
        ("The patient has pneumonia.", "c2"),  # past, as if present
        ("Past atrial fibrillation.", "c1"),
        ("No atrial fibrillation.", "c1"),
        ("Possible atrial fibrillation.", "c1"),
        ("Left knee pain and right hip fracture.", "c3 c4"),
        ("Fracture.", "c3"),
        ("Deep vein thrombosis.", "f1"),  # of the sister
        ("Her mother has deep vein thrombosis.", "f1"),
        ("The clinic letter says fever and wheeze.", "d1"),  # fever is denied
        ("Wheeze.", "d1"),  # nobody said who says it
        ("Apixaban 5 mg tablet was stopped.", "m1"),
        ("Takes lisinopril 10 mg tablet.", "m2"),
        ("Apixaban 10 mg tablet.", "m1 m2"),
        ("No allergy to penicillin.", "a1"),
        ("A chest X-ray is normal.", "s1"),
        ("A chest X-ray.", "s1"),
        ("Potassium 5.1 mmol/L: reduce apixaban.", "o1"),  # advice
        ("Potassium 5.1 mmol/L because of lisinopril.", "o1"),  # a cause
        ("Potassium 5.1 mmol/L is high.", "o1"),  # a judgement
        ("Potassium 5.1 mmol/L.", "o1 o3"),  # cites what it does not tell
        ("Potassium 5.1 mmol/L.", "o9"),  # a forged citation
        ("Potassium 5.1 mmol/L.", ""),
        ("Potassium 5.1 mmol/L [more](http://collect.example.net)", "o1"),
        ("Potassium 5.1 mmol/L <b>", "o1"),
        ("Potassium 5.1 mmol/L?", "o1"),
    ],
)
def test_a_sentence_with_one_thing_changed_is_not(text: str, cites: str) -> None:
    assert _fault(text, cites)


def test_a_resource_is_told_only_with_its_value() -> None:
    verdict = check_sentence("Potassium.", ["Observation/o1"], ENTRIES)
    assert not verdict.complete
    assert check_sentence("Potassium 5.1 mmol/L.", ["Observation/o1"], ENTRIES).complete == {"Observation/o1"}
