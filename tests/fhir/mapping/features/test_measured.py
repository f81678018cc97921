"""Features of measured values: the value with its evidence, computed ones, limits, and why there is none."""

from dataclasses import replace
from typing import Any

import pytest

from fhir.mapping.features.catalog import FEATURES
from fhir.mapping.features.feature import NOT_FOUND, Feature, FeatureValue, Missing, charted_number
from fhir.mapping.features.measured import BodyMassIndex, EstimatedGFR, PastLimit, limit_words, measured
from fhir.mapping.features.patient import Age, Sex
from tests.each import for_rows
from tests.fhir.builders import lean, observation, record_of

SYSTOLIC, DIASTOLIC, WEIGHT, HEIGHT = "8480-6", "8462-4", "29463-7", "8302-2"


def read(name: str, *resources: dict[str, Any]) -> FeatureValue | Missing:
    return FEATURES[name].read(record_of(*resources))


def test_a_mean_pressure_is_dated_by_the_diastolic_reading() -> None:
    feature = FEATURES["stay_mean_pressure_mmhg"]
    upper = observation(SYSTOLIC, 121.0, "mm[Hg]", "2026-11-19T08:00:00Z")
    lower = observation(DIASTOLIC, 70.0, "mm[Hg]", "2026-11-19T07:00:00Z")
    both = read(feature.name, upper, lower)
    assert both == FeatureValue(
        feature, 87.0, "2026-11-19T07:00:00Z", f"Observation/{lower['id']}", DIASTOLIC, 87.0, "mm[Hg]"
    )
    absent = Missing(feature, "absent", "Mean pressure in this stay: not recorded.")
    assert [read(feature.name, part) for part in (upper, lower)] == [absent, absent]
    refused = read(feature.name, observation(SYSTOLIC, 1200.0, "mm[Hg]", "2026-11-19"), lower)
    assert isinstance(refused, Missing)
    assert refused.reason == "refused"
    assert (feature.analytes, feature.codes) == (("sbp", "dbp"), ("Observation.component",))


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


@for_rows(("strictly", "value", "is_yes"), [
    (True, 160.0, False), (True, 161.0, True), (False, 159.0, False), (False, 160.0, True),
])  # fmt: skip
def test_a_limit_is_reached_or_passed(strictly: bool, value: float, is_yes: bool) -> None:
    feature = PastLimit("f", "High", "a test", analyte="sbp", window_days=30, limit=160, strictly=strictly)
    reading = observation(SYSTOLIC, value, "mm[Hg]")
    found = feature.read(record_of(reading))
    source = f"Observation/{reading['id']}"
    assert found == FeatureValue(
        feature, float(is_yes), "2026-11-01", source, SYSTOLIC, value, "mm[Hg]", is_measured=True
    )
    assert isinstance(found, FeatureValue)
    assert feature.show(found) == ("yes" if is_yes else "no")
    words = "over 160" if strictly else "from 160"
    assert feature.source_words == f"{', '.join(feature.codes)}; {words}"
    assert limit_words(160, strictly=strictly) == words


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


def test_a_declaration_must_fit_its_analyte() -> None:
    albumin = FEATURES["albumin_g_dl"]
    faults = [
        replace(albumin, **change).lint()
        for change in (
            {"analyte": ""}, {"analyte": "unobtainium"}, {"unit": "g/L"}, {"window_days": None}, {"window_days": 0},
            {"window_days": -1}, {"window_days": 1},
            {"plausible_low": albumin.plausible_low - 0.1}, {"plausible_high": albumin.plausible_high + 0.1},
            {"plausible_low": albumin.plausible_high}, {"words": " ", "evidence": ""}, {"name": " "},
            {"name": "Albumin"},
        )
    ]  # fmt: skip
    name = "albumin_g_dl"
    no_window, wide = [f"{name}: has no window in days"], [f"{name}: plausible range is wider than the analyte's"]
    high = albumin.plausible_high
    assert faults == [
        [f"{name}: has no analyte, so it has no code"],
        [f"{name}: analyte 'unobtainium' is not in tables/analytes.csv, so it has no code"],
        [f"{name}: unit g/L is not the analyte's g/dL"],
        no_window, no_window, no_window, [], wide, wide,
        [f"{name}: plausible range {high} to {high} is empty"],
        [f"{name}: has no clinician's words", f"{name}: has no evidence"],
        ["(no name): a name has lower-case letters, digits and _ only", "(no name): has no name"],
        ["Albumin: a name has lower-case letters, digits and _ only"],
    ]  # fmt: skip
    with pytest.raises(ValueError, match="feature f: analyte 'unobtainium' is not in") as caught:
        measured("f", "unobtainium", 3, "a test")
    assert str(caught.value).endswith(" fhir/terminology/tables/analytes.csv")
    assert [measured("f", "albumin", 3, "a test", words).words for words in ("", "X")] == [albumin.words, "X"]


def test_an_egfr_is_shown_with_its_creatinine_or_as_reported() -> None:
    feature = FEATURES["egfr_ckd_epi_2021"]
    assert isinstance(feature, EstimatedGFR)
    estimated = read(feature.name, observation("2160-0", 1.1, "mg/dL"))
    reported = read(feature.name, observation("98979-8", 41.0, "mL/min/{1.73_m2}"))
    assert isinstance(estimated, FeatureValue)
    assert isinstance(reported, FeatureValue)
    assert [feature.show(value) for value in (estimated, reported)] == [
        f"54 {feature.unit} (creatinine 1.1 mg/dL)", f"41 {feature.unit}",
    ]  # fmt: skip
    assert feature.analytes == ("egfr", "creatinine")


@pytest.mark.parametrize(
    ("when", "value"), [("2025-11-20", 41.0), ("2025-11-19", None)]  # 365 and 366 days before the call
)  # fmt: skip
def test_a_reported_egfr_counts_within_the_window(when: str, value: float | None) -> None:
    reported = record_of(observation("98979-8", 41.0, "mL/min/{1.73_m2}", when))
    found = FEATURES["egfr_ckd_epi_2021"].read(reported)
    assert (found.value if isinstance(found, FeatureValue) else None) == value
    at_any_time = replace(FEATURES["egfr_ckd_epi_2021"], window_days=None).read(reported)
    assert isinstance(at_any_time, FeatureValue)
    assert at_any_time.value == 41.0


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


def test_age_and_sex_are_those_of_the_patient() -> None:
    age, sex = FEATURES["age_years"], FEATURES["sex_male"]
    assert isinstance(age, Age)
    assert isinstance(sex, Sex)
    years = age.read(record_of())
    assert years == FeatureValue(age, 70.0, "2026-11-20", "Patient/p1", "birthDate", 70, "a")
    female = sex.read(record_of())
    assert female == FeatureValue(sex, 0.0, "2026-11-20", "Patient/p1", "gender", 0.0, "female")
    assert isinstance(years, FeatureValue)
    assert isinstance(female, FeatureValue)
    assert (age.show(years), sex.show(female)) == ("70", "female")
    man = {"patient": lean({"resourceType": "Patient", "id": "p1", "gender": "male", "birthDate": "1903-11-23"})}
    assert age.read(record_of(prefetch=man)) == replace_value(years, age, 122.0)
    male = sex.read(record_of(prefetch=man))
    assert isinstance(male, FeatureValue)
    assert (male.value, male.charted_unit) == (1.0, "male")
    older = {"patient": lean({"resourceType": "Patient", "id": "p1", "gender": "other", "birthDate": "1903-11-20"})}
    assert age.read(record_of(prefetch=older)) == Missing(age, "absent", "Age is not known: no usable birth date.")
    text = "Sex is recorded neither as male nor as female."
    assert sex.read(record_of(prefetch=older)) == Missing(sex, "unknown", text)


def replace_value(value: FeatureValue, feature: Feature, number: float) -> FeatureValue:
    return FeatureValue(feature, number, value.effective, value.source, value.code, number, value.charted_unit)


@for_rows(
    ("value", "text"),
    [
        (0.0, "0"), (0.031246, "0.031"), (0.996, "1"), (1.0, "1"), (1.004, "1"), (2.345, "2.35"), (9.99, "9.99"),
        (10.0, "10"), (10.04, "10"), (10.06, "10.1"), (99.94, "99.9"), (100.0, "100"), (100.4, "100"), (-2.5, "-2.5"),
        (-0.25, "-0.25"), (165.6, "166"), (1200.0, "1200"),
    ],
)  # fmt: skip
def test_numbers_have_as_many_places_as_on_a_result_sheet(value: float, text: str) -> None:
    assert charted_number(value) == text
