"""Groups named in words: abbreviations of problem lists, look-alikes, and ICD-10-CM titles against their own codes."""

import csv
import gzip
from pathlib import Path

import pytest

from fhir.terminology.conditions import CONDITION_GROUPS, condition_groups_of
from fhir.terminology.medications import table_rows
from fhir.terminology.phrases import Mention, groups_in_words
from tests.each import for_rows

_ICD10 = "http://hl7.org/fhir/sid/icd-10-cm"


def _named(text: str) -> set[str]:
    return {mention.group for mention in groups_in_words(text) if mention.assertion.is_of_patient}


@for_rows(("text", "group"))
def test_what_only_looks_like_a_group_is_none(text: str, group: str) -> None:
    assert group not in _named(text)


@pytest.mark.slow
@pytest.mark.outside_data
def test_titles_of_icd_10_cm_name_the_groups_of_their_codes(data_folder: Path) -> None:
    text = gzip.decompress((data_folder / "terminology" / "icd10cm_codes.csv.gz").read_bytes()).decode()
    titles = {row["code"]: row["title"] for row in csv.DictReader(text.splitlines()) if len(row["code"]) <= 4}
    meant = named = wrong = 0
    for code, title in titles.items():
        groups, in_words = set(condition_groups_of(_ICD10, code)), _named(title)
        meant += len(groups)
        named += len(groups & in_words)
        wrong += len(in_words - groups)
    assert named / meant > 0.85
    assert wrong / len(titles) < 0.12


def test_every_name_in_another_language_means_its_group() -> None:
    dead = []
    for row in table_rows("condition_phrases_foreign.csv"):
        for phrase in row["words"].split("|"):
            named = {mention.group for mention in groups_in_words(phrase.replace(" + ", " ")) if _is_true(mention)}
            if "@" not in phrase + row["group"] and CONDITION_GROUPS[row["group"]].key not in named:
                dead.append((row["group"], phrase))
    assert dead == []


def _is_true(mention: Mention) -> bool:
    return mention.assertion.is_of_patient


@for_rows(("text", "group", "polarities"))
def test_an_abbreviation_of_two_meanings_is_what_stands_beside_it(text: str, group: str, polarities: list[str]) -> None:
    assert [row.assertion.polarity for row in groups_in_words(text) if row.group == group] == polarities


@for_rows("text", ["hypocalemia", "contusion of the knee", "crushing injury", "hopeless", "hypotention"])
def test_a_word_that_is_spelled_right_or_near_to_two_is_not_corrected(text: str) -> None:
    assert _named(text) <= {"hypotension"}
