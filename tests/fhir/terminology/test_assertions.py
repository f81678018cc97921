"""What a text says of what it names: the given sentences, and look-alikes of problem lists."""

import csv
import io
import time
from pathlib import Path

import pytest

from fhir.terminology.assertions import AssertedText, Token, cues_of_one_word, is_of_patient, tokens_of
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


@pytest.mark.slow
def test_the_time_grows_no_faster_than_the_text() -> None:
    began = time.process_time()
    AssertedText("no (mother - ) ? , ruled out " * 20_000).at(0, 1)
    assert time.process_time() - began < 10


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


def test_the_name_of_a_vaccine_says_nothing_of_the_disease_where_vaccines_are_named() -> None:
    assert is_of_patient("Zoster vaccine", 0, names_vaccines=True)
    assert not is_of_patient("Declines zoster vaccine", 9, names_vaccines=True)


def test_words_and_signs_have_their_places_in_the_text_as_it_was_written() -> None:
    assert tokens_of("\u0130 DVT") == [Token("\u0130", 0, 1), Token("dvt", 2, 5)]  # its lower case has two signs
    for apostrophe in "'\u2019":
        assert tokens_of(f"Crohn{apostrophe}s 1.5+") == [
            Token("crohn", 0, 5), Token("1.5", 8, 11), Token("+", 11, 12),
        ]  # fmt: skip


@pytest.mark.parametrize(("words", "is_denied"), [(11, True), (12, False)])
def test_a_denial_reaches_twelve_words(words: int, is_denied: bool) -> None:
    text = f"No {'zz ' * words}stroke"
    assert (AssertedText(text).at(text.index("stroke"), text.index("stroke") + 1).polarity == "negated") is is_denied


def test_the_words_that_deny_are_no_names_themselves() -> None:
    assert AssertedText("No stroke, ruled out").cue_tokens == {0, 3, 4}
    assert "denies" in cues_of_one_word("problem")
    assert "but" not in cues_of_one_word("problem")


def test_a_text_is_all_denied_where_it_says_nothing_else_of_the_patient() -> None:
    texts = {"Stroke in our mother": True, "edema -": True, "stroke, edema -": False, "Mother": False}
    assert {text: AssertedText(text).is_all_denied() for text in texts} == texts


def test_a_dash_ends_a_clause_between_spaces_only() -> None:
    signs = {"gout - foot": True, "gout -foot": False, "gout- foot": False, "gout, foot": True, "gout; foot": False}
    assert {text: AssertedText(text).ends_clause(1) for text in signs} == signs


def test_far_into_a_long_text_the_words_beside_a_name_count() -> None:
    long = "fever and cough, " * 20
    for words, expected in ((f"{long}stroke", True), (f"{long}no stroke", False), (f"{long}stroke ruled out", False)):
        assert is_of_patient(words, words.index("stroke")) is expected


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
