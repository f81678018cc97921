"""Groups named in words: abbreviations of problem lists, look-alikes, and ICD-10-CM titles against their own codes."""

import csv
import gzip
from pathlib import Path

import pytest

from fhir.terminology.assertions import tokens_of
from fhir.terminology.conditions import CONDITION_GROUPS, condition_groups_of
from fhir.terminology.medications import table_rows
from fhir.terminology.phrases import Mention, groups_in_words, plain_words
from tests.each import for_rows

_ICD10 = "http://hl7.org/fhir/sid/icd-10-cm"


def _named(text: str) -> set[str]:
    return {mention.group for mention in groups_in_words(text) if mention.assertion.is_of_patient}


@for_rows(
    ("text", "group"),
    [
        ("s/p bioprosthetic AVR", "mechanical_valve"),
        ("Abdominal angina", "cad"),
        ("s/p PPM", "multiple_sclerosis"),
        ("Goal met", "cancer_metastatic"),
        ("METs > 4", "cancer_any"),
        ("5 mm lung nodule", "myeloma"),
        ("Elevated CRP", "chronic_pain"),
        ("APL on ATRA", "antiphospholipid"),
        ("DDD of the lumbar spine", "pacemaker"),
        ("Ca 9.2", "cancer_any"),
        ("CEA 5.2, elevated", "carotid_stenosis"),
        ("CAP, right lower lobe", "prostate_cancer"),
        ("Psychomotor agitation", "epilepsy"),
        ("Niemann-Pick disease", "dementia"),
        ("Hemophilia A carrier", "bleeding_disorder"),
        ("Perianal venous thrombosis", "vte"),
        ("pre-DM", "diabetes"),
        ("Common cold", "copd"),
        ("Annual PE", "vte"),
        ("Hit knee on the table", "hit"),
        ("PAD public access defibrillator", "pad"),
        ("Non-Hodgkin's lymphoma", "hodgkin"),
        ("Left mastectomy", "breasts_absent"),
        ("Smokes: never", "tobacco_use"),
        ("Nystatin allergy", "statin_intolerance"),
        ("Kidney transplant waiting list", "kidney_transplant"),
        ("Struck by falling object", "falls_or_fracture"),
        ("Heart attack and renal failure", "hf"),
    ],
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


def test_no_phrase_is_shut_out_by_its_own_exceptions() -> None:
    """An exception that is a part of a phrase of its row (after plurals are cut) silences the phrase for ever."""
    dead = []
    for row in table_rows("condition_phrases.csv"):
        exceptions = [_plain(text) for text in row["unless"].split("|") if text and not text.startswith("@")]
        for alternative in row["words"].split("|"):
            for phrase in alternative.split(" + "):
                found = [text for text in exceptions if text and f" {text} " in f" {_plain(phrase)} "]
                dead += [(row["group"], phrase, text) for text in found if not phrase.startswith("@")]
    assert dead == []


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


def test_no_second_meaning_takes_an_abbreviation_that_stands_alone() -> None:
    rows = table_rows("second_meanings.csv")
    named = {row["abbreviation"]: _named(row["abbreviation"].upper()) for row in rows}
    assert [text for text in named if not named[text] and text != "ms"] == []  # MS is read with what it is of
    assert {row["reads"] for row in rows} == {"other", "unclear"}


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


def _plain(text: str) -> str:
    return " ".join(word for word, _ in plain_words(tokens_of(text)))


@for_rows(
    ("text", "group", "is_meant"),
    [
        ("Diabetes, diabetic diet advised", "diabetes", True),
        ("Type 2 diabetic, diet controlled", "diabetes", True),
        ("Diabetic diet controlled", "diabetes", True),
        ("Stroke, admitted to stroke unit", "stroke", True),
        ("Hepatitis C virus (organism)", "hepatitis_c", False),
        ("Hepatitis C virus", "hepatitis_c", True),
        ("Viral hepatitis C (disorder)", "hepatitis_c", True),
    ],
)
def test_a_name_that_only_holds_the_name_of_a_disease_is_passed_over(text: str, group: str, is_meant: bool) -> None:
    assert (group in _named(text)) is is_meant


@for_rows(
    ("text", "groups"),
    [
        ("Gout (HCC)", ["gout"]), ("Gout / HCC", ["gout"]), ("Gout - HCC", ["gout"]), ("CMS-HCC gout", ["gout"]),
        ("HCC", ["cancer_any", "cancer_pain_or_active_cancer"]),
        ("Gout with HCC", ["gout", "cancer_any", "cancer_pain_or_active_cancer"]),
    ],
)  # fmt: skip
def test_the_mark_of_a_payer_behind_a_problem_is_no_cancer(text: str, groups: list[str]) -> None:
    assert [mention.group for mention in groups_in_words(text)] == groups


@pytest.mark.parametrize(("between", "is_near"), [(13, True), (14, False)])
def test_two_words_of_a_rule_stand_near_each_other_in_either_order(between: int, is_near: bool) -> None:
    between_words, before = "zzz " * between, "zzz " * 20
    for text in (f"cancer {between_words}breast", f"{before}breast {between_words}cancer"):
        assert ("breast_cancer" in {mention.group for mention in groups_in_words(text)}) is is_near


@for_rows(
    ("text", "words"),
    [
        ("HAE", ["hae"]), ("Haemorrhage", ["hemorrhage"]), ("oedema", ["edema"]), ("Tumour", ["tumor"]),
        ("BMI 40", ["bmi", "#40"]), ("BMI 39.9", ["bmi", "39.9"]), ("BMI 99.99", ["bmi", "#40"]),
        ("BMI 43.123", ["bmi", "43.123"]), ("BMI <43", ["bmi", "43"]), ("BMI 100", ["bmi", "100"]),
        ("QTc 500", ["qtc", "#500"]), ("QTc 499", ["qtc", "499"]),
        ("G2P1", ["#gravida"]), ("g6pd", ["g6pd"]), ("G6", ["g6"]), ("gp", ["gp"]),
        ("38+2", ["#weeks", "2"]), ("38+7", ["38", "7"]), ("38 +2", ["38", "2"]), ("38+ 2", ["38", "2"]),
        ("42/40", ["#weeks", "40"]), ("43/40", ["43", "40"]), ("biopsies", ["biopsy"]), ("flies", ["flie"]),
        ("38-40", ["38", "40"]), ("BMI 38-43", ["bmi", "38", "43"]), ("EF 35-ish", ["ef", "#reduced", "ish"]),
        ("Ca 9", ["ca", "9"]),
        ("138+2", ["138", "2"]), ("38+", ["38"]), ("24w3d", ["#weeks"]), ("5 mm", ["5", "#mm"]), ("mm", ["mm"]),
    ],
)  # fmt: skip
def test_words_are_read_in_one_spelling_and_numbers_by_what_they_count(text: str, words: list[str]) -> None:
    assert [word for word, _ in plain_words(tokens_of(text))] == words
