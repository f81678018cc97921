"""Condition keys: SNOMED exactly, ICD by prefix in its own system, and the exceptions that the table's notes make."""

import csv
import gzip
from pathlib import Path

import pytest

from fhir.record.resources import Condition, decoder
from fhir.terminology.conditions import (
    CONDITION_GROUPS,
    SNOMED,
    condition_groups_of,
)
from tests.each import for_rows

ICD10 = "http://hl7.org/fhir/sid/icd-10-cm"
ICD9 = "http://hl7.org/fhir/sid/icd-9-cm"
MIMIC10 = "http://mimic.mit.edu/fhir/mimic/CodeSystem/mimic-diagnosis-icd10"
MIMIC9 = "http://mimic.mit.edu/fhir/mimic/CodeSystem/mimic-diagnosis-icd9"


@for_rows(
    ("system", "code", "keys"),
    [
        (SNOMED, "44054006", ("dm2", "diabetes")),
        (SNOMED, "4405400", ()),
        (ICD10, "E11.9", ("dm2", "diabetes")),
        (ICD10, "E119", ("dm2", "diabetes")),
        ("urn:oid:1.2.208.176.2.4", "DE119", ("dm2", "diabetes")),
        ("urn:oid:1.2.208.176.2.4", "KE119", ()),  # SKS: an operation
        (ICD10, "e11.9", ("dm2", "diabetes")),
        (MIMIC10, "N184", ("ckd4",)),
        (MIMIC9, "42731", ("afib",)),
        (MIMIC9, "V4511", ("ckd5_or_dialysis", "dialysis")),
        (ICD10, "Z99.2", ("ckd5_or_dialysis", "dialysis")),
        (ICD10, "N18.5", ("ckd5_or_dialysis",)),
        (ICD10, "I13.2", ("hf", "hypertension")),
        (ICD9, "250.00", ("dm2", "diabetes")),
        (ICD9, "250.01", ("dm1",)),
        (ICD9, "250.13", ("dm1",)),
        (ICD9, "25002", ("dm2", "diabetes")),
        (ICD10, "D57.1", ("sickle_cell",)),
        (ICD10, "C50.9", ("cancer_pain_or_active_cancer",)),
        (ICD9, "305.00", ("substance_use_disorder",)),
        (ICD9, "304.01", ("opioid_use_disorder",)),
        (ICD10, "T40.2X1A", ("overdose",)),
        (ICD10, "O99.341", ("pregnancy",)),
        (ICD10, "O99.810", ("pregnancy",)),
        (ICD10, "O9A.211", ("pregnancy",)),
        (ICD10, "O88.211", ("pregnancy", "vte")),
        (ICD10, "S06.5X0A", ("intracranial_hemorrhage",)),
        (ICD10, "T85.71XA", ("dialysis",)),
        (ICD10, "Z96.41", ("insulin_long_term",)),
        ("urn:oid:2.16.840.1.113883.6.90", "I48.0", ("afib",)),
    ],
)
def test_a_code_means_these_keys(system: str, code: str, keys: tuple[str, ...]) -> None:
    assert set(keys) <= set(condition_groups_of(system, code))


@for_rows(
    ("system", "code", "group"),
    [
        (ICD10, "D57.3", "sickle_cell"),
        (ICD10, "C44.9", "cancer_pain_or_active_cancer"),
        (ICD9, "173.3", "cancer_any"),
        (ICD10, "Z85.3", "cancer_any"),
        (ICD9, "305.1", "substance_use_disorder"),
        (ICD10, "T40.2X5A", "overdose"),
        (ICD10, "T40.2X6A", "overdose"),
        (ICD10, "G31.84", "dementia"),
        (ICD10, "O80", "pregnancy"),
        (ICD10, "O99.03", "pregnancy"),
        (ICD10, "O99.345", "pregnancy"),
        (ICD10, "O9A.22", "pregnancy"),
        (ICD10, "D68.51", "bleeding_disorder"),
        (SNOMED, "771542000", "copd"),  # Cold extremity
        (SNOMED, "127057004", "copd"),  # Paroxysmal cold hemoglobinuria
        (SNOMED, "17869006", "parkinson"),  # Wolff-Parkinson-White syndrome
        (SNOMED, "47295007", "epilepsy"),  # Psychomotor agitation
        (SNOMED, "416909000", "seizure"),  # Impaired psychomotor performance
        (SNOMED, "242355004", "prostate_cancer"),  # Accidental ingestion of death cap
        (SNOMED, "62742006", "cancer_any"),  # Cradle cap
        (SNOMED, "65443008", "cancer_any"),  # Malignant hypertensive renal disease
        (SNOMED, "285881000119109", "cancer_metastatic"),  # the same, of stage 4
        (SNOMED, "422470007", "lymphoma"),  # Adenolymphoma
        (SNOMED, "373165004", "myeloma"),  # pN3a: Metastasis in 10 or more axillary lymph nodes
        (SNOMED, "11399002", "hypertension"),  # Pulmonary arterial hypertension
        (SNOMED, "194780003", "hf"),  # Hypertensive heart and renal disease with renal failure
        (SNOMED, "235845003", "stroke_tia"),  # Transient ischemic colitis
        (SNOMED, "94260004", "colorectal_cancer"),  # Secondary malignant neoplasm of colon
        (SNOMED, "94503003", "prostate_cancer"),  # the same of the prostate
        (SNOMED, "234058009", "liver_severe"),  # Varicose veins of genitalia in pregnancy
        (SNOMED, "372117006", "endometrial_cancer"),  # of the ovary
    ],
)
def test_a_code_that_looks_like_one_of_the_group_does_not_mean_it(system: str, code: str, group: str) -> None:
    assert group not in condition_groups_of(system, code)


@for_rows(
    ("system", "code"), [(None, "E11.9"), ("urn:other", "E11.9"), (ICD9, "E11.9"), (SNOMED, "E11.9"), (ICD10, None)]
)
def test_a_code_counts_only_within_its_own_system(system: str | None, code: str | None) -> None:
    assert condition_groups_of(system, code) == ()


# Where a group leaves out on purpose what the given prefixes hold: docs/medications.md.
EXCEPTIONS = {
    *("dm1", "dm2", "substance_use_disorder", "sickle_cell", "cancer_pain_or_active_cancer", "overdose"),
    # Z95.2 does not say of what kind a valve is; a transplant of cornea, skin, bone or marrow is no solid organ.
    *("mechanical_valve", "transplant", "pregnancy", "urosepsis_uti"),
}


@pytest.mark.outside_data
def test_no_code_of_the_given_table_was_lost(data_folder: Path) -> None:
    text = (data_folder / "medications" / "conditions.csv").read_text(encoding="utf-8")
    given = list(csv.DictReader(text.splitlines()))
    assert {row["key"] for row in given} <= set(CONDITION_GROUPS)
    for row in given:
        for code in filter(None, row["snomed"].split(";")):
            if code != "266569009":  # hyperplasia of the prostate, which is no retention
                assert row["key"] in condition_groups_of(SNOMED, code)
        for code in filter(None, row["icd10_prefix"].split(";")):
            if row["key"] not in EXCEPTIONS:
                assert row["key"] in condition_groups_of(ICD10, f"{code}9" if len(code) == 2 else code)


@pytest.mark.slow
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
        assert expected - EXCEPTIONS <= set(condition_groups_of(system, code)), code
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
