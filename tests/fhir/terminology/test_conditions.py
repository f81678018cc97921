"""Condition keys: SNOMED exactly, ICD by prefix in its own system, and the exceptions that the table's notes make."""

import csv
import gzip
from pathlib import Path

import pytest

from fhir.record.resources import Condition, decoder
from fhir.terminology.conditions import (
    CONDITION_KEYS,
    SNOMED,
    condition_groups_of,
    condition_keys_of,
    smoking_answer_in_words,
)
from fhir.terminology.medications import table_rows

ICD10 = "http://hl7.org/fhir/sid/icd-10-cm"
ICD9 = "http://hl7.org/fhir/sid/icd-9-cm"
MIMIC10 = "http://mimic.mit.edu/fhir/mimic/CodeSystem/mimic-diagnosis-icd10"
MIMIC9 = "http://mimic.mit.edu/fhir/mimic/CodeSystem/mimic-diagnosis-icd9"


@pytest.mark.parametrize(
    ("system", "code", "keys"),
    [
        (SNOMED, "44054006", ("dm2",)),
        (SNOMED, "4405400", ()),
        (ICD10, "E11.9", ("dm2",)),
        (ICD10, "E119", ("dm2",)),
        (ICD10, "e11.9", ("dm2",)),
        (MIMIC10, "N184", ("ckd4",)),
        (MIMIC9, "42731", ("afib",)),
        (MIMIC9, "V4511", ("ckd5_or_dialysis", "dialysis")),
        (ICD10, "Z99.2", ("ckd5_or_dialysis", "dialysis")),
        (ICD10, "N18.5", ("ckd5_or_dialysis",)),
        (ICD10, "I13.2", ("hf", "hypertension")),
        (ICD9, "250.00", ("dm2",)),
        (ICD9, "250.01", ("dm1",)),
        (ICD9, "250.13", ("dm1",)),
        (ICD9, "25002", ("dm2",)),
        (ICD10, "D57.1", ("sickle_cell",)),
        (ICD10, "D57.3", ()),
        (ICD10, "C50.9", ("cancer_pain_or_active_cancer",)),
        (ICD10, "C44.9", ()),
        (ICD9, "173.3", ()),
        (ICD10, "Z85.3", ()),
        (ICD9, "305.1", ()),
        (ICD9, "305.00", ("substance_use_disorder",)),
        (ICD9, "304.01", ("opioid_use_disorder",)),
        (ICD10, "T40.2X1A", ("overdose",)),
        (ICD10, "T40.2X5A", ()),
        (ICD10, "T40.2X6A", ()),
        (ICD10, "R94.31", ()),
        ("urn:oid:2.16.840.1.113883.6.90", "I48.0", ("afib",)),
    ],
)
def test_a_code_means_these_keys(system: str, code: str, keys: tuple[str, ...]) -> None:
    assert condition_keys_of(system, code) == keys


@pytest.mark.parametrize(
    ("system", "code"), [(None, "E11.9"), ("urn:other", "E11.9"), (ICD9, "E11.9"), (SNOMED, "E11.9"), (ICD10, None)]
)
def test_a_code_counts_only_within_its_own_system(system: str | None, code: str | None) -> None:
    assert condition_keys_of(system, code) == ()


def test_the_keys_that_speak_of_history_say_so() -> None:
    assert {key for key, one in CONDITION_KEYS.items() if one.when_resolved == "any"} == {
        "gi_bleed_or_ulcer",
        "overdose",
        "urticaria_angioedema",
    }


# Groups that the given table lacks; their codes are named in shared/data/contraindications/README.md.
ADDED = {
    "narrow_angle_glaucoma",
    "lewy_body_dementia",
    "av_block",
    "pacemaker",
    "orthostatic_hypotension",
    "syncope",
    "dysphagia",
    "esophageal_disease",
    "chronic_constipation",
    "hypercapnic_respiratory_failure",
    "ventilator",
}


@pytest.mark.outside_data
def test_no_code_of_the_given_table_was_lost(data_folder: Path) -> None:
    text = (data_folder / "medications" / "conditions.csv").read_text(encoding="utf-8")
    given = list(csv.DictReader(text.splitlines()))
    assert [row["key"] for row in given] == [key for key in CONDITION_KEYS if key not in ADDED]
    for row in given:
        for code in filter(None, row["snomed"].split(";")):
            assert row["key"] in condition_keys_of(SNOMED, code)
        for code in filter(None, row["icd10_prefix"].split(";")):
            assert row["key"] in condition_keys_of(ICD10, f"{code}9" if len(code) == 2 else code)


# Where the notes of the table say more than its prefixes: docs/medications.md.
EXCEPTIONS = {"dm1", "dm2", "substance_use_disorder", "sickle_cell", "cancer_pain_or_active_cancer", "overdose"}


@pytest.mark.outside_data
def test_every_code_of_the_sample_charts_means_what_the_given_prefixes_say(data_folder: Path) -> None:
    text = (data_folder / "medications" / "conditions.csv").read_text(encoding="utf-8")
    given = list(csv.DictReader(text.splitlines()))
    columns = {SNOMED: "snomed", MIMIC10: "icd10_prefix", MIMIC9: "icd9_prefix"}
    meant = 0
    for system, code in sorted(_codes_of_charts(data_folder)):
        expected = set()
        for row in given:
            listed = [one.replace(".", "") for one in row[columns[system]].split(";") if one]
            if code in listed or (system != SNOMED and code.startswith(tuple(listed))):
                expected.add(row["key"])
        found = set(condition_keys_of(system, code)) - ADDED
        assert found - EXCEPTIONS == expected - EXCEPTIONS, code
        assert found <= expected | {"dm1"}, code
        meant += bool(expected)
    assert meant > 300


def _codes_of_charts(data_folder: Path) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    for path in (data_folder / "fhir").glob("*/*.json.gz"):
        bundle = decoder.decode(gzip.decompress(path.read_bytes()))
        for entry in bundle.entry:
            if isinstance(entry.resource, Condition) and entry.resource.code is not None:
                found |= {(one.system or "", one.code or "") for one in entry.resource.code.coding}
    return found


@pytest.mark.parametrize(
    ("code", "group", "belongs"),
    [
        ("E14.9", "diabetes", True),
        ("E14.2", "diabetes_complicated", True),
        ("K76.82", "liver_severe", True),
        ("F17.210", "tobacco_use", True),
        ("F17.211", "tobacco_use", False),
        ("F17.291", "tobacco_use", False),
        ("F17.211", "tobacco_history", True),
        ("F17.210", "tobacco_history", False),
        ("K75.81", "liver_fibrosis_risk", True),
        ("B19.20", "liver_fibrosis_risk", True),
        ("B19.9", "liver_fibrosis_risk", False),
    ],
)
def test_a_group_has_the_codes_of_its_meaning(code: str, group: str, belongs: bool) -> None:
    assert (group in condition_groups_of("http://hl7.org/fhir/sid/icd-10", code)) is belongs


@pytest.mark.parametrize(
    ("key", "group"), [("dementia", "dementia"), ("hf", "heart_failure"), ("afib", "atrial_fibrillation")]
)
def test_a_group_has_every_code_of_the_key_with_the_same_meaning(key: str, group: str) -> None:
    row = next(row for row in table_rows("conditions.csv") if row["key"] == key)
    coded = [(SNOMED, row["snomed"]), (ICD10, row["icd10"]), (ICD9, row["icd9"])]
    for system, codes in coded:
        for code in filter(None, codes.split(";")):
            assert group in condition_groups_of(system, code), code


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("Current every day smoker", "current"),
        ("CURRENT SOME DAY SMOKER", "current"),
        ("Ex-smoker (finding)", "former"),
        ("Never smoked tobacco", "never"),
        ("Non-smoker", "not current"),
        ("Unknown if ever smoked", "missing"),
        ("Vapes", None),
        ("No current smoker in the home", None),
    ],
)
def test_an_answer_about_smoking_in_words(words: str, status: str | None) -> None:
    assert smoking_answer_in_words(words) == status
