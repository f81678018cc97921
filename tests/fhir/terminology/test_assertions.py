"""What a text says of what it names: the given sentences, and look-alikes of problem lists."""

import csv
import io
from pathlib import Path

import pytest

from fhir.terminology.assertions import AssertedText, is_of_patient
from tests.each import for_rows

# Accepted otherwise by the table's own word ("either is accepted"), or said of an offer that was declined.
_OPEN = {"a039"}


@pytest.mark.outside_data
def test_the_given_sentences_are_read_as_their_table_says(data_folder: Path) -> None:
    text = (data_folder / "notes" / "assertions.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    wrong = []
    for row in rows:
        read = AssertedText(row["text"]).at(int(row["start"]), int(row["end"]))
        stated = (row["assertion"], row["temporality"], row["experiencer"])
        if (read.polarity, read.temporality, read.person) != stated and row["id"] not in _OPEN:
            wrong.append(row["text"])
    assert rows
    assert wrong == []


@for_rows(
    ("text", "target", "word"),
    [
        ("No DVT, PE or stroke, but atrial fibrillation", "stroke", "negated"),
        ("No DVT, PE or stroke, but atrial fibrillation", "atrial", "affirmed"),
        ("Breast cancer (sister)", "Breast", "family"),
        ("FH: stroke, diabetes", "diabetes", "family"),
        ("FH prostate cancer", "prostate", "family"),
        ("In family: breast cancer", "breast", "family"),
        ("Heterozygous FH, CAD", "CAD", "affirmed"),
        ("FH with CAD", "CAD", "affirmed"),
        ("Screening breast cancer", "breast", "negated"),
        ("Screening positive for depression", "depression", "affirmed"),
        ("Stroke risk discussed", "Stroke", "hypothetical"),
        ("H/O gout", "gout", "historical"),
        ("Asthma?", "Asthma", "possible"),
        ("?new afib", "afib", "possible"),
        ("Triple negative breast cancer", "breast", "affirmed"),
        ("Donor was hepatitis C positive", "hepatitis", "other"),
        ("NSTEMI, embolism ruled out", "NSTEMI", "affirmed"),
        ("[ ] asthma [x] COPD", "asthma", "negated"),
        ("[ ] asthma [x] COPD", "COPD", "affirmed"),
        ("Graft versus host disease", "Graft", "affirmed"),
        ("Stroke in his father", "Stroke", "family"),
        ("ADHD (asthma - ruled out)", "ADHD", "affirmed"),
        ("DVT in her mother", "DVT", "family"),
        ("No fever, pain. Stroke", "Stroke", "affirmed"),
        ("No A. fib", "fib", "negated"),
        ("No hepatitis C. Stroke", "Stroke", "affirmed"),
        ("FH: none; stroke", "stroke", "affirmed"),
        ("1) Family stroke (", "stroke", "family"),
        (") Family stroke 5", "stroke", "affirmed"),
        ("Stroke her mother", "Stroke", "family"),
        ("Leber-, Nierenerkrankung", "Leber", "affirmed"),
        ("Stroke ?, DVT", "Stroke", "possible"),
        ("No gout (5) stroke", "stroke", "negated"),
        ("No gout) stroke", "stroke", "negated"),
        ("No gout 5) stroke", "stroke", "affirmed"),
        ("Gout, mild ankle, ruled out", "Gout", "affirmed"),
        ("No stroke. 2 DVT", "DVT", "affirmed"),
    ],
)
def test_what_is_said_of_a_name(text: str, target: str, word: str) -> None:
    start = text.index(target)
    assert AssertedText(text).at(start, start + len(target)).word == word


@for_rows(
    ("words", "name", "expected"),
    [
        ("Carotid endarterectomy not performed", "Carotid", False),
        ("Pacemaker implantation, aborted", "Pacemaker", False),
        ("Colonoscopy cancelled", "Colonoscopy", False),
        ("Dementia evaluation", "Dementia", False),
        ("Dialysis not tolerated", "Dialysis", True),
    ],
)
def test_what_was_not_done_or_is_only_evaluated_is_not_of_the_patient(words: str, name: str, expected: bool) -> None:
    assert is_of_patient(words, words.index(name)) is expected


@for_rows(
    ("text", "rest"),
    [
        ("mother: penicillin", ""), ("penicillin (mother)", "(mother)"), ("mother has penicillin allergy", ""),
        ("mother has penicillin", ""),
        ("no penicillin, latex allergy", "no penicillin, latex allergy"),
        ("no beta - lactam allergy", "no beta - lactam allergy"),
        ("no drug allergies,", "no               ,"), ("no drug allergies -", "no"),
        ("no drug allergies, latex", "no               , latex"),
        ("latex - father, egg", "- father, egg"), ("latex - dad reports a rash", "latex - dad reports a rash"),
        ("penicillin no", "penicillin no"),
        ("no drug allergies, incl. penicillin", "no"),
        ("PCN (patient states not allergic)", "(patient states not allergic)"),
    ],
)  # fmt: skip
def test_an_allergy_of_somebody_else_is_not_the_patient_s(text: str, rest: str) -> None:
    assert AssertedText(text, of="allergy").without_denied(text).strip() == rest
