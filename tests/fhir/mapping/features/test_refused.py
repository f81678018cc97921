"""A feature says "refused" with the reason where a value came and cannot be used, never "not recorded" or no."""

import pytest

from fhir.mapping.features.catalog import FEATURES
from fhir.mapping.features.feature import FeatureValue, Missing
from fhir.mapping.features.measured import Measured
from fhir.record.measurement import measure, parts_by_analyte
from fhir.terminology.analytes import ANALYTES
from tests.fhir.builders import lean, observation, problem, record_of

# A feature and an analyte that it is read from.
READ_FROM = [
    (feature.name, analyte)
    for feature in FEATURES.values()
    for analyte in feature.analytes
    if analyte not in ("smoking_status", "egfr")  # answered by codes; a reported eGFR has a test of its own
]


def _impossible(analyte: str, when: str = "2026-11-19") -> dict[str, object]:
    meaning = ANALYTES[analyte]
    return observation(meaning.loinc[0], meaning.plausible_high * 10 + 1000, meaning.unit, when)


@pytest.mark.parametrize(("name", "analyte"), READ_FROM)
@pytest.mark.parametrize("asked_before", [False, True])
def test_an_impossible_value_is_refused_whoever_has_asked_for_it_before(
    name: str, analyte: str, asked_before: bool
) -> None:
    record = record_of(_impossible(analyte))
    if asked_before:
        record.newest(analyte)
    found = FEATURES[name].read(record)
    assert isinstance(found, Missing)
    assert (found.reason, found.implausible) == ("refused", True)
    assert "outside the plausible range" in found.text
    assert found.refusal is not None
    assert found.refusal.analyte == analyte


def test_an_unknown_unit_is_refused_and_is_not_called_implausible() -> None:
    found = FEATURES["creatinine_mg_dl"].read(record_of(observation("2160-0", 1.0, "stone")))
    assert isinstance(found, Missing)
    assert (found.reason, found.implausible) == ("refused", False)


def test_an_egfr_that_the_laboratory_reported_by_the_same_equation_is_refused_too() -> None:
    feature = FEATURES["egfr_ckd_epi_2021"]
    ours = feature.read(record_of(observation("98979-8", 5000.0, "mL/min/{1.73_m2}")))
    by_mdrd = feature.read(record_of(observation("33914-3", 5000.0, "mL/min/{1.73_m2}")))
    assert isinstance(ours, Missing)
    assert isinstance(by_mdrd, Missing)
    assert (ours.reason, by_mdrd.reason) == ("refused", "absent")


def test_an_older_value_within_the_window_is_used_in_place_of_a_refused_one() -> None:
    good = observation("2160-0", 1.1, "mg/dL", "2026-06-01")
    for name in ("creatinine_mg_dl", "egfr_ckd_epi_2021"):
        found = FEATURES[name].read(record_of(_impossible("creatinine"), good))
        assert isinstance(found, FeatureValue)
        assert (found.charted_value, found.effective) == (1.1, "2026-06-01")


def test_a_condition_on_record_is_a_yes_whatever_the_value_says() -> None:
    dialysis = problem("dialysis", "Z99.2", id="c1")
    found = FEATURES["has_abnormal_kidneys"].read(record_of(_impossible("creatinine"), dialysis))
    assert isinstance(found, FeatureValue)
    assert (found.value, found.charted_unit, found.is_measured) == (1.0, "dialysis", False)


def test_an_egfr_of_a_child_is_not_called_too_old() -> None:
    child = {"resourceType": "Patient", "id": "p1", "birthDate": "2016-01-01", "gender": "male"}
    record = record_of(observation("2160-0", 0.5, "mg/dL"), prefetch={"patient": lean(child)})
    found = FEATURES["egfr_ckd_epi_2021"].read(record)
    assert isinstance(found, Missing)
    assert (found.reason, found.text) == ("unknown", "eGFR is estimated for ages 18 to 120 only.")


def test_every_measured_feature_has_an_impossible_value_to_be_tested_with() -> None:
    measured = [feature for feature in FEATURES.values() if isinstance(feature, Measured)]
    assert len(measured) > 30
    for feature in measured:
        (part,) = parts_by_analyte([lean(_impossible(feature.analyte))])[feature.analyte]
        assert getattr(measure(ANALYTES[feature.analyte], part, 2e9), "reason", "") == "implausible"


def test_what_is_missing_is_named_once_and_in_a_sentence() -> None:
    feature = FEATURES["platelets_10e3_ul"]
    absent, refused = feature.read(record_of()), feature.read(record_of(observation("777-3", 120, "stone")))
    assert isinstance(absent, Missing)
    assert isinstance(refused, Missing)
    assert absent.text == "Platelets: not recorded."
    assert refused.text == "Platelets 120 has the unknown unit 'stone' on 2026-11-01: not used."
