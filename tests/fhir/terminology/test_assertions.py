"""What a text says of what it names: the given sentences, and look-alikes of problem lists."""

import csv
import io
from pathlib import Path

import pytest

from fhir.terminology.assertions import AssertedText
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


@for_rows(("text", "target", "word"))
def test_what_is_said_of_a_name(text: str, target: str, word: str) -> None:
    start = text.index(target)
    assert AssertedText(text).at(start, start + len(target)).word == word


@for_rows(("text", "rest"))
def test_an_allergy_of_somebody_else_is_not_the_patient_s(text: str, rest: str) -> None:
    assert AssertedText(text, of="allergy").without_denied(text).strip() == rest
