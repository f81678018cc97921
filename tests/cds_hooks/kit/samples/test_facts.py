"""Each sample carries the facts the index promises, on any day: found here by hand, and by our own reader."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from cds_hooks.kit.samples import Sample
from fhir.record.record import read_record, read_value
from tests.cds_hooks.kit.samples.reading import AS_OF, BROKEN, EACH_SAMPLE, patient_bundle, resources

UMOL_PER_MG_DL = 88.4
KILOGRAMS = {"kg": 1.0, "lbs": 0.45359237}


@EACH_SAMPLE
@pytest.mark.parametrize("as_of", [AS_OF, datetime(2031, 3, 1, tzinfo=UTC)], ids=["2026", "2031"])
def test_the_record_carries_the_facts_of_the_index(sample: Sample, as_of: datetime) -> None:
    """Age, newest creatinine and weight are looked up here by hand, the two estimates computed from their papers."""
    bundle = patient_bundle(sample.id, as_of)
    patient = bundle["entry"][0]["resource"]
    facts = sample.facts
    if "age_years" in facts:
        assert completed_years(patient["birthDate"], as_of) == facts["age_years"]
    if "creatinine_mg_dl" in facts:
        assert newest_creatinine(bundle, as_of) == pytest.approx(facts["creatinine_mg_dl"], abs=0.001)
    if "weight_kg" in facts:
        assert newest_weight(bundle) == pytest.approx(facts["weight_kg"], abs=0.001)
    if "egfr_ckd_epi_2021" in facts:
        assert ckd_epi_2021(facts, patient["gender"]) == pytest.approx(facts["egfr_ckd_epi_2021"], abs=0.06)
    if "crcl_cockcroft_gault" in facts:
        assert cockcroft_gault(facts, patient["gender"]) == pytest.approx(facts["crcl_cockcroft_gault"], abs=0.06)


def test_the_disorder_is_refused_and_named() -> None:
    bundle, unreadable = read_value("sample", json.dumps(patient_bundle("messy-record")).encode())
    record = read_record({"sample": bundle}, "messy-record", AS_OF)
    # A code that is a string is read as the text of its concept, of an Observation as of every other resource.
    assert {refusal.subject.partition("/")[2] for refusal in unreadable} == BROKEN - {"messy-record-broken-1"}
    assert [measurement.source for measurement in record.measurements("creatinine")] == [
        "Observation/messy-record-creatinine-1",
        "Observation/messy-record-creatinine-9",
    ]
    refused = {refusal.subject: refusal.reason for refusal in record.refusals if "creatinine" in refusal.subject}
    assert refused == {
        "Observation/messy-record-creatinine-2": "entered-in-error",
        "Observation/messy-record-creatinine-3": "implausible",
        "Observation/messy-record-creatinine-4": "no-unit",
        "Observation/messy-record-creatinine-5": "unknown-unit",
        "Observation/messy-record-creatinine-6": "data-absent",
        "Observation/messy-record-creatinine-7": "future",
    }


def completed_years(birth_date: str, as_of: datetime) -> int:
    """A birth date charted to the month counts as its first day."""
    born = datetime.fromisoformat(birth_date if len(birth_date) == 10 else f"{birth_date}-01")
    return as_of.year - born.year - ((as_of.month, as_of.day) < (born.month, born.day))


def newest_creatinine(bundle: dict[str, Any], as_of: datetime) -> float:
    codes = {"2160-0": 1.0, "14682-9": 1 / UMOL_PER_MG_DL}
    units = {"2160-0": "mg/dL", "14682-9": "umol/L"}
    values = {}
    for resource in resources(bundle):
        if resource["resourceType"] != "Observation" or resource["status"] != "final" or resource["id"] in BROKEN:
            continue
        code = resource["code"].get("coding", [{}])[0].get("code")
        quantity = resource.get("valueQuantity", {})
        usable = code in codes and quantity.get("unit") == units[code] and quantity["value"] * codes[code] <= 20
        when = resource.get("effectiveDateTime", "")
        if usable and when <= as_of.isoformat():
            values[when] = quantity["value"] * codes[code]
    return float(values[max(values)])


def newest_weight(bundle: dict[str, Any]) -> float:
    weights = {
        r["effectiveDateTime"]: r["valueQuantity"]
        for r in resources(bundle)
        if r["resourceType"] == "Observation" and r.get("code") and "29463-7" in json.dumps(r["code"])
    }
    newest = weights[max(weights)]
    return float(newest["value"] * KILOGRAMS[newest["unit"]])


def ckd_epi_2021(facts: dict[str, float], sex: str) -> float:
    """Inker et al., N Engl J Med 2021;385:1737-1749, table 2."""
    kappa, alpha, factor = (0.7, -0.241, 1.012) if sex == "female" else (0.9, -0.302, 1.0)
    ratio = facts["creatinine_mg_dl"] / kappa
    power = min(ratio, 1.0) ** alpha * max(ratio, 1.0) ** -1.2
    return float(142 * power * 0.9938 ** facts["age_years"] * factor)


def cockcroft_gault(facts: dict[str, float], sex: str) -> float:
    """Cockcroft and Gault, Nephron 1976;16:31-41."""
    clearance = (140 - facts["age_years"]) * facts["weight_kg"] / (72 * facts["creatinine_mg_dl"])
    return clearance * (0.85 if sex == "female" else 1.0)


@EACH_SAMPLE
def test_the_record_reader_finds_the_same_facts(sample: Sample) -> None:
    """The whole way of a file through our own reader: age, newest creatinine and weight, nothing refused by mistake."""
    bundle, unreadable = read_value("sample", json.dumps(patient_bundle(sample.id)).encode())
    record = read_record({"sample": bundle}, sample.id, AS_OF)
    facts = sample.facts
    if "age_years" in facts:
        assert record.age_years() == facts["age_years"]
    for key, analyte in (("creatinine_mg_dl", "creatinine"), ("weight_kg", "body_weight")):
        if key in facts:
            assert record.measurements(analyte)[0].value == pytest.approx(facts[key], abs=0.002)
    assert record.deceased == (sample.id == "deceased")
    if sample.id != "messy-record":
        assert [*unreadable, *record.refusals] == []
