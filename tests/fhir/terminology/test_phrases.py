"""Groups named in words: abbreviations of problem lists, look-alikes, and ICD-10-CM titles against their own codes."""

import csv
import gzip
from pathlib import Path

import pytest

from fhir.terminology.conditions import CONDITION_GROUPS, condition_groups_of
from fhir.terminology.medications import table_rows
from fhir.terminology.phrases import Mention, groups_in_words
from tests.each import for_rows, rows_of

_ICD10 = "http://hl7.org/fhir/sid/icd-10-cm"


def _named(text: str) -> set[str]:
    return {mention.group for mention in groups_in_words(text) if mention.assertion.is_of_patient}


@for_rows(
    ("text", "group"),
    rows_of(__file__, "what_only_looks_like_a_group_is_none"),
)
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


@for_rows(
    ("text", "group", "polarities"),
    [
        ("PE unremarkable", "vte", []),
        ("PE, pleural effusion", "vte", ["affirmed"]),
        ("HF and hip fracture", "hf", ["affirmed"]),
        ("HF hip fracture", "hf", []),
        ("HF strain of the right leg (hip flexor)", "hf", []),
        ("PVD with floaters", "pad", []),
        ("RA, SpO2 94 %", "ra", ["unclear"]),
        ("severe MI", "myocardial_infarction", ["unclear"]),
        ("severe MI 2019, stent", "myocardial_infarction", ["affirmed"]),
        ("AF - axial flexion", "afib", ["unclear"]),  # in no table: its letters behind a sign
        ("AF - axial flexion, noted", "afib", ["unclear"]),
        ("AF - axial flexion of the arm", "afib", ["affirmed"]),
        ("RA (right arm and leg)", "ra", ["affirmed"]),
        ("RA (refractory anemia", "ra", ["unclear"]),
        ("carotid artery dissection (CAD, chronic)", "cad", ["unclear"]),
        (f"PE {'zz ' * 13}unremarkable", "vte", []),
        (f"PE {'zz ' * 14}unremarkable", "vte", ["unclear"]),
        (f"PE {'zz ' * 13}(pleural effusion)", "vte", []),
        (f"PE {'zz ' * 14}(pleural effusion)", "vte", ["affirmed"]),
        (f"HF {'zz ' * 13}hip fracture", "hf", ["affirmed"]),
        ("No CKD; stage 4 kidney disease", "ckd_any", ["affirmed"]),
        ("Heart failure club. No HFrEF", "hf", ["unclear"]),
        ("Asthma and club", "asthma", ["unclear"]),
        ("Asthma with club", "asthma", ["affirmed"]),
        ("Hypertension - ocular in 2020", "hypertension", []),
        ("Hypertension, leg - ocular in 2020", "hypertension", ["affirmed"]),
        ("HIT - no heparin", "hit", ["affirmed"]),
        ("Blorbing AF on apixaban", "afib", ["affirmed"]),  # a part with a drug: only doubtful words count before it
        ("Club asthma on albuterol", "asthma", ["unclear"]),
        ("Zorbal asthma", "asthma", ["affirmed"]),
        ("Severe asthma, blorbing", "asthma", ["affirmed"]),
        ("Blorbing old asthma", "asthma", ["unclear"]),
        ("Blorbing asthma, gout", "gout", ["unclear"]),
        ("Asthma club, gout", "gout", ["unclear"]),
        ("Asthma not blorbed by spirometry", "asthma", ["unclear"]),
        ("Asthma, not blorbed", "asthma", ["affirmed"]),
        ("COPD cardiac output per day", "copd", []),
        ("COPD cardiac, output per day", "copd", ["affirmed"]),
        ("cardiac output per day (COPD)", "copd", []),
        ("AF axial flexion", "afib", ["affirmed"]),
        ("HF zz hip fracture", "hf", []),
        ("HFrEF - he feels really extra fine", "hf", ["affirmed"]),
        ("Breast exam by Dr; cancer of the colon", "breast_cancer", []),
        ("Breast exam, saw Dr. Smith, cancer", "breast_cancer", ["unclear"]),
    ],
)
def test_an_abbreviation_of_two_meanings_is_what_stands_beside_it(text: str, group: str, polarities: list[str]) -> None:
    assert [row.assertion.polarity for row in groups_in_words(text) if row.group == group] == polarities


@for_rows("text", ["hypocalemia", "contusion of the knee", "crushing injury", "hopeless", "hypotention"])
def test_a_word_that_is_spelled_right_or_near_to_two_is_not_corrected(text: str) -> None:
    assert _named(text) <= {"hypotension"}
