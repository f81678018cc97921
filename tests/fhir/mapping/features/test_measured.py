"""Features of measured values: the value with its evidence, computed ones, limits, and why there is none."""

from dataclasses import replace
from typing import Any

from fhir.mapping.features.catalog import FEATURES
from fhir.mapping.features.feature import NOT_FOUND, FeatureValue, Missing
from fhir.mapping.features.measured import BodyMassIndex, PastLimit
from tests.fhir.builders import lean, observation, record_of

SYSTOLIC, DIASTOLIC, WEIGHT, HEIGHT = "8480-6", "8462-4", "29463-7", "8302-2"


def read(name: str, *resources: dict[str, Any]) -> FeatureValue | Missing:
    return FEATURES[name].read(record_of(*resources))


def test_the_mass_index_is_computed_else_as_charted_else_why_it_cannot_be() -> None:
    feature = FEATURES["bmi_kg_m2"]
    weight, height = observation(WEIGHT, 80.0, "kg"), observation(HEIGHT, 172.0, "cm", "2022-01-01")
    charted = observation("39156-5", 31.0, "kg/m2", "2026-10-01")
    source = f"Observation/{weight['id']}"
    # 80 / 1.72² = 27.04
    computed = FeatureValue(feature, 27.0, "2026-11-01", source, WEIGHT, 27.0, "kg/m2")
    assert read(feature.name, weight, height, charted) == computed
    for other in ((weight, charted), (height, charted), (observation(HEIGHT, 172.0, "cm", "2021-01-01"), charted)):
        value = read(feature.name, *other)
        assert isinstance(value, FeatureValue)
        assert (value.value, value.effective, value.is_measured) == (31.0, "2026-10-01", True)
    assert read(feature.name, weight) == Missing(feature, "absent", "Body mass index: not recorded.")
    assert isinstance(read(feature.name, weight, observation(HEIGHT, 1720.0, "cm")), Missing)
    old = read(feature.name, observation("39156-5", 31.0, "kg/m2", "2024-01-01"))
    assert isinstance(old, Missing)
    assert old.reason == "stale"
    # 200 kg of 100 cm is 200 kg/m2, which nobody has: the charted one is taken
    dwarf = (observation(WEIGHT, 290.0, "kg"), observation(HEIGHT, 60.0, "cm"), charted)
    value = read(feature.name, *dwarf)
    assert isinstance(value, FeatureValue)
    assert value.value == 31.0
    assert isinstance(feature, BodyMassIndex)
    narrow = replace(feature, plausible_low=27.0, plausible_high=28.0)
    assert isinstance(narrow.read(record_of(weight, height)), FeatureValue)
    assert isinstance(replace(feature, plausible_high=27.0).read(record_of(weight, height)), FeatureValue)


def test_without_a_usable_value_a_limit_is_not_found_refused_or_unknown() -> None:
    feature = PastLimit("f", "High", "a test", analyte="sbp", window_days=30, limit=160)
    not_found = feature.read(record_of(observation(SYSTOLIC, 170.0, "mm[Hg]", "2026-10-01")))
    assert not_found == FeatureValue(feature, 0.0, "2026-11-20", "Patient/p1", "", 0.0, NOT_FOUND, is_found=False)
    assert isinstance(not_found, FeatureValue)
    assert feature.show(not_found) == NOT_FOUND == "not found in the chart"
    not_asked = feature.read(record_of().with_requested(frozenset({"Condition"})))
    text = "High: the part of the chart that says so is not available."
    assert not_asked == Missing(feature, "unknown", text)
    refused = feature.read(record_of(observation(SYSTOLIC, 170.0, "stone")))
    assert isinstance(refused, Missing)
    assert (refused.reason, refused.implausible) == ("refused", False)
    assert feature.lint() == []
    sentence = ["f: needs an analyte and a limit"]
    assert replace(feature, limit=float("inf")).lint() == replace(feature, analyte="").lint() == sentence


def test_why_an_egfr_cannot_be_estimated() -> None:
    feature, creatinine = FEATURES["egfr_ckd_epi_2021"], observation("2160-0", 1.1, "mg/dL")
    needs = Missing(feature, "unknown", "eGFR needs age and sex.")
    ages = Missing(feature, "unknown", "eGFR is estimated for ages 18 to 120 only.")
    woman: dict[str, Any] = {"resourceType": "Patient", "id": "p1", "birthDate": "2008-11-20", "gender": "female"}
    patients: list[tuple[dict[str, Any], Missing]] = [
        ({**woman, "gender": "other"}, needs), ({**woman, "birthDate": None}, needs),
        ({**woman, "birthDate": "2008-11-21"}, ages),
    ]  # fmt: skip
    for patient, gap in patients:
        sent = {name: value for name, value in patient.items() if value}
        assert feature.read(record_of(creatinine, prefetch={"patient": lean(sent)})) == gap
    assert isinstance(feature.read(record_of(creatinine, prefetch={"patient": lean(woman)})), FeatureValue)
    old = read(feature.name, observation("2160-0", 1.1, "mg/dL", "2024-01-01"))
    text = "eGFR: creatinine 1.1 mg/dL of 2024-01-01: older than 365 days."
    assert old == Missing(feature, "stale", text)
    assert read(feature.name) == Missing(feature, "absent", "eGFR: not recorded.")
