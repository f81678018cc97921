"""One mapping: values with their evidence, and a reason for every one that is missing."""

import math

import numpy as np

from fhir.mapping.features.catalog import FEATURES, features_named
from fhir.mapping.features.feature import map_features
from fhir.record.record import read_record
from tests.fhir.builders import AS_OF, WOMAN, lean, observation, record_of

CREATININE = features_named(("creatinine_mg_dl",))


def test_a_value_keeps_its_resource_code_unit_and_date() -> None:
    vector = map_features(record_of(observation("14682-9", 106.0, "umol/L", "2026-10-01T08:00:00+02:00")), CREATININE)
    (found,) = vector.evidence
    assert found is not None
    assert vector.values.dtype == np.float64
    assert math.isclose(vector.values[0], 1.199, rel_tol=1e-3)
    assert found.source == "Observation/o-14682-9-106.0-2026-10-01T08:00:00+02:00"
    assert (found.code, found.charted_value, found.charted_unit) == ("14682-9", 106.0, "umol/L")
    assert found.effective == "2026-10-01T08:00:00+02:00"


def test_absent_stale_and_refused_are_three_things() -> None:
    reasons = []
    for resources in ([], [observation("2160-0", 1.0, "mg/dL", "2024-01-01")], [observation("2160-0", 1.0, "stone")]):
        vector = map_features(record_of(*resources), CREATININE)
        assert math.isnan(vector.values[0])
        reasons.append(vector.missing[0].reason)
    assert reasons == ["absent", "stale", "refused"]


def test_the_window_includes_its_last_day() -> None:
    inside = map_features(record_of(observation("2160-0", 1.0, "mg/dL", "2025-11-20")), CREATININE)
    outside = map_features(record_of(observation("2160-0", 1.0, "mg/dL", "2025-11-19")), CREATININE)
    assert (inside.missing, [gap.reason for gap in outside.missing]) == ([], ["stale"])


def test_kidney_function_is_estimated_from_the_eighteenth_birthday_on() -> None:
    def missing(birth_date: str) -> list[str]:
        patient = {"patient": lean(WOMAN | {"birthDate": birth_date})}
        record = record_of(observation("2160-0", 1.0, "mg/dL"), prefetch=patient)
        return [gap.reason for gap in map_features(record, features_named(("egfr_ckd_epi_2021",))).missing]

    assert missing("2008-11-20") == []
    assert missing("2008-11-21") != []
    assert missing("1906-11-20") == []
    assert missing("1905-11-20") != []


def test_diagnoses_that_were_not_asked_for_are_not_counted_as_none() -> None:
    counted = map_features(record_of(), features_named(("comorbidity_count",)))
    assert counted.values.tolist() == [0.0]
    not_asked = record_of().with_requested(frozenset({"Observation"}))
    (gap,) = map_features(not_asked, features_named(("comorbidity_count",))).missing
    assert (gap.reason, gap.text.endswith("the diagnoses are not available.")) == ("unknown", True)


def test_age_and_sex_come_from_the_patient() -> None:
    vector = map_features(record_of(), features_named(("age_years", "sex_male")))
    assert vector.values.tolist() == [70.0, 0.0]


def test_unknown_sex_and_birth_date_are_missing_not_guessed() -> None:
    nobody = {"resourceType": "Patient", "id": "p1", "gender": "other", "birthDate": "1950"}
    record = read_record({"patient": lean(nobody | {})}, "p1", AS_OF)
    vector = map_features(record, features_named(("age_years", "sex_male")))
    assert [gap.reason for gap in vector.missing] == ["absent", "unknown"]


def test_the_order_of_resources_changes_nothing() -> None:
    resources = [
        observation(FEATURES[name].codes[0], 5.0, FEATURES[name].unit) for name in ("wbc_10e3_ul", "albumin_g_dl")
    ]
    features = features_named(("albumin_g_dl", "wbc_10e3_ul"))
    forward, backward = (map_features(record_of(*some), features) for some in (resources, resources[::-1]))
    assert forward.values.tolist() == backward.values.tolist()


def test_patient_is_named_as_the_source_of_age() -> None:
    (found,) = map_features(record_of(), features_named(("age_years",))).evidence
    assert found is not None
    assert found.source == f"Patient/{WOMAN['id']}"
