"""Condition keys: SNOMED exactly, ICD by prefix in its own system, and the exceptions that the table's notes make."""

import csv
import gzip
from pathlib import Path

import pytest

from fhir.record.resources import Condition, decoder
from fhir.terminology.conditions import CONDITION_GROUPS, SNOMED, condition_groups_of
from tests.each import for_rows

ICD10 = "http://hl7.org/fhir/sid/icd-10-cm"
MIMIC10 = "http://mimic.mit.edu/fhir/mimic/CodeSystem/mimic-diagnosis-icd10"
MIMIC9 = "http://mimic.mit.edu/fhir/mimic/CodeSystem/mimic-diagnosis-icd9"


@for_rows(("system", "code", "keys"))
def test_a_code_means_these_keys(system: str, code: str, keys: tuple[str, ...]) -> None:
    assert set(keys) <= set(condition_groups_of(system, code))


@for_rows(("system", "code", "group"))
def test_a_code_that_looks_like_one_of_the_group_does_not_mean_it(system: str, code: str, group: str) -> None:
    assert group not in condition_groups_of(system, code)


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
