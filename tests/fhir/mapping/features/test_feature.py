"""One mapping: values with their evidence, the steps of a series, and a reason for what is missing or refused."""

import math

from fhir.mapping.features.catalog import FEATURES, features_named
from fhir.mapping.features.feature import Missing, map_features
from fhir.record.record import read_record
from fhir.terminology.analytes import ANALYTES
from tests.each import for_rows
from tests.fhir.builders import AS_OF, WOMAN, lean, observation, record_of

CREATININE = features_named(("creatinine_mg_dl",))


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


def test_unknown_sex_and_birth_date_are_missing_not_guessed() -> None:
    nobody = {"resourceType": "Patient", "id": "p1", "gender": "other", "birthDate": "1950"}
    record = read_record({"patient": lean(nobody | {})}, "p1", AS_OF)
    vector = map_features(record, features_named(("age_years", "sex_male")))
    assert [gap.reason for gap in vector.missing] == ["absent", "unknown"]


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


@for_rows(("name", "analyte"), READ_FROM)
@for_rows("asked_before", [False, True])
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
