"""Conditions that are charted in words alone."""

import pytest

from fhir.terminology.assertions import is_of_patient
from fhir.terminology.condition_words import code_of_words
from tests.each import for_rows
from tests.fhir.builders import ICD10, problem, record_of


@for_rows(
    ("words", "is_so"),
    [
        ("Esophagitis", True),
        ("Esophagitis - ruled out", False),
        ("Esophagitis, ruled out by endoscopy", False),
        ("Esophagitis was excluded", False),
        ("Esophagitis (suspected)", False),
        ("Esophagitis?", False),
        ("Esophagitis in brother", False),
        ("Esophagitis (family history)", False),
        ("Esophagitis screening", False),
        ("Esophagitis risk", False),
        ("Esophagitis with high bleeding risk", True),
        ("Esophagitis, embolism ruled out", True),
        ("Esophagitis in a patient with a family history of cancer", True),
        ("Esophagitis without bleeding", True),
    ],
)
def test_what_stands_behind_a_name_can_take_it_back(words: str, is_so: bool) -> None:
    assert is_of_patient(words, 0) is is_so


@for_rows("before", ["Family history of", "Fear of", "Partner with", "Grandmother had", "No"])
def test_what_stands_before_a_name_can_be_of_somebody_else(before: str) -> None:
    assert not is_of_patient(f"{before} esophagitis", len(before) + 1)


@pytest.mark.parametrize("words", ["Type 2 diabetes with CKD - ruled out", "Cirrhosis, excluded", "Stroke in mother"])
def test_what_is_taken_back_has_no_code(words: str) -> None:
    assert code_of_words(words) is None


def test_words_count_only_where_no_code_is_understood() -> None:
    told = record_of({"resourceType": "Condition", "id": "c1", "code": {"text": "CHF"}})
    assert [coding.code for coding in told.conditions[0].code.coding] == ["I50.9"]  # type: ignore[union-attr] # is there
    coded = {"text": "CHF", "coding": [{"system": ICD10, "code": "R06.0"}]}
    told = record_of({"resourceType": "Condition", "id": "c1", "code": coded})
    assert [coding.code for coding in told.conditions[0].code.coding] == ["R06.0"]  # type: ignore[union-attr] # is there


def test_words_count_beside_a_code_of_snomed_that_no_table_has() -> None:
    snomed = "http://snomed.info/sct"
    told = record_of(problem("CHF", "1", snomed, status=None, patient=None, id="c1"))
    assert [coding.code for coding in told.conditions[0].code.coding] == ["1", "I50.9"]  # type: ignore[union-attr] # is there
    known = {"text": "CHF", "coding": [{"system": snomed, "code": "271594007"}]}
    told = record_of({"resourceType": "Condition", "id": "c1", "code": known})
    assert [coding.code for coding in told.conditions[0].code.coding] == ["271594007"]  # type: ignore[union-attr] # is there
