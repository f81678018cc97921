"""Conditions that are charted in words alone."""

from fhir.terminology.assertions import is_of_patient
from tests.each import for_rows


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
