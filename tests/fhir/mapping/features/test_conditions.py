"""Features of the problem list, whole: value, date, source, code and words, or the sentence that says why not."""

from dataclasses import replace
from typing import Any

from fhir.mapping.features.catalog import FEATURES
from fhir.mapping.features.conditions import CharlsonCount, HasCondition, Smokes
from fhir.mapping.features.feature import FeatureValue, Missing
from fhir.record.record import PatientRecord
from tests.each import for_rows
from tests.fhir.builders import lean, observation, record_of
from tests.fhir.mapping.features.test_yes_no import _condition, _smoking

Json = dict[str, Any]
TODAY, PATIENT = "2026-11-20", "Patient/p1"


def value(name: str, number: float, when: str, source: str, code: str, words: str, **more: Any) -> FeatureValue:
    return FeatureValue(FEATURES[name], number, when, source, code, number, words, **more)


def not_found(name: str) -> FeatureValue:
    return value(name, 0.0, TODAY, PATIENT, "", "not found in the chart", is_found=False)


def missing(name: str, reason: Any, sentence: str) -> Missing:
    return Missing(FEATURES[name], reason, sentence)


DIABETES = _condition("E11.9")
KIDNEYS = "Dialysis, kidney transplant or creatinine from 2.26 mg/dL"
NOT_AVAILABLE = "the part of the chart that says so is not available."


@for_rows(
    ("name", "resources", "expected"),
    [
        ("has_diabetes", [DIABETES],
         value("has_diabetes", 1, "2020-05-01", "Condition/c-E11.9", "E11.9", "what E11.9 means")),
        ("has_diabetes", [DIABETES | {"onsetDateTime": None}],
         value("has_diabetes", 1, TODAY, "Condition/c-E11.9", "E11.9", "what E11.9 means")),
        ("has_diabetes", [_condition("E11.9", None, "2001-01-01")],
         value("has_diabetes", 1, "2001-01-01", "Condition/c-E11.9", "E11.9", "what E11.9 means")),
        ("has_diabetes", [], not_found("has_diabetes")),
        ("has_acute_kidney_injury", [_condition("N17.9", None, "2026-08-22")],
         value("has_acute_kidney_injury", 1, "2026-08-22", "Condition/c-N17.9", "N17.9", "what N17.9 means")),
        ("has_acute_kidney_injury", [_condition("N17.9", None, "2026-08-21")], not_found("has_acute_kidney_injury")),
        ("has_acute_kidney_injury", [_condition("N17.9", None, None)],
         value("has_acute_kidney_injury", 1, TODAY, "Condition/c-N17.9", "N17.9", "what N17.9 means")),
        ("has_abnormal_kidneys", [_condition("Z99.2", None, "2001-01-01")],
         value("has_abnormal_kidneys", 1, "2001-01-01", "Condition/c-Z99.2", "Z99.2", "what Z99.2 means")),
        ("has_abnormal_kidneys", [], not_found("has_abnormal_kidneys")),
        ("is_pregnant", [_condition("Z33.1", onset="2026-09-01")],
         value("is_pregnant", 1, "2026-09-01", "Condition/c-Z33.1", "Z33.1", "what Z33.1 means")),
        ("is_pregnant", [], not_found("is_pregnant")),
        ("charlson_lace", [], value("charlson_lace", 0, TODAY, PATIENT, "", "none on record")),
        ("charlson_lace", [DIABETES], value("charlson_lace", 1, TODAY, PATIENT, "", "diabetes")),
        ("comorbidity_count", [], value("comorbidity_count", 0, TODAY, PATIENT, "", "conditions")),
        ("comorbidity_count", [_condition("E11.40"), _condition("F03.90")],
         value("comorbidity_count", 3, TODAY, PATIENT, "", "conditions")),
    ],
)  # fmt: skip
def test_a_feature_of_the_problem_list(name: str, resources: list[Json], expected: FeatureValue | Missing) -> None:
    assert FEATURES[name].read(_of_a_woman_of_thirty(*resources)) == expected


def _of_a_woman_of_thirty(*resources: Json) -> PatientRecord:
    woman = {"resourceType": "Patient", "id": "p1", "birthDate": "1996-05-05", "gender": "female"}
    return record_of(*resources, prefetch={"patient": lean(woman)})


@for_rows(
    ("name", "requested", "sentence"),
    [
        ("has_diabetes", {"smoking_status"}, f"Diabetes: {NOT_AVAILABLE}"),
        ("is_pregnant", {"smoking_status"}, f"Pregnancy: {NOT_AVAILABLE}"),
        ("smokes", {"smoking_status"}, f"Smokes: {NOT_AVAILABLE}"),
        ("smokes", {"Condition"}, f"Smokes: {NOT_AVAILABLE}"),
        ("has_abnormal_kidneys", {"creatinine"}, f"{KIDNEYS}: {NOT_AVAILABLE}"),
        ("has_abnormal_kidneys", {"Condition"}, f"{KIDNEYS}: {NOT_AVAILABLE}"),
        ("charlson_lace", {"smoking_status"}, f"Comorbidity points (Charlson as LACE weighs it): {NOT_AVAILABLE}"),
        ("comorbidity_count", set(), "Conditions of the Charlson index: the diagnoses are not available."),
    ],
)
def test_what_was_not_requested_is_not_known(name: str, requested: set[str], sentence: str) -> None:
    record = record_of().with_requested(frozenset(requested))
    assert FEATURES[name].read(record) == missing(name, "unknown", sentence)


CURRENT, NEVER = "449868002", "266919005"
TOBACCO = _condition("F17.210")
PROBLEM = value("smokes", 1, "2020-05-01", "Condition/c-F17.210", "F17.210", "what F17.210 means")


@for_rows(
    ("resources", "expected"),
    [
        ([_smoking(CURRENT, "2026-01-01"), _smoking(NEVER, "2025-01-01")],
         value("smokes", 1, "2026-01-01", f"Observation/s-{CURRENT}", CURRENT, "an answer")),
        ([_smoking(CURRENT, "2025-01-01"), _smoking(NEVER, "2026-01-01"), TOBACCO],
         value("smokes", 0, "2026-01-01", f"Observation/s-{NEVER}", NEVER, "an answer")),
        ([_smoking(CURRENT, "2026-01-01") | {"id": None}],
         value("smokes", 1, "2026-01-01", "Observation without id", CURRENT, "an answer")),
        ([_smoking(CURRENT, "2024-11-20")],
         value("smokes", 1, "2024-11-20", f"Observation/s-{CURRENT}", CURRENT, "an answer")),
        ([_smoking(CURRENT, "2024-11-19")],
         missing("smokes", "stale", "Smokes: yes on 2024-11-19, older than 2 years.")),
        ([_smoking(NEVER, "2024-11-19")], not_found("smokes")),
        ([_smoking(CURRENT, "2024-11-19"), TOBACCO], PROBLEM),
        ([TOBACCO], PROBLEM),
        ([_smoking("1", "2026-01-01")],
         missing("smokes", "refused", "Smokes: the answer of 2026-01-01 is not understood.")),
        ([_smoking("266927001", "2026-01-01"), TOBACCO], PROBLEM),
        ([_smoking(CURRENT, "2026-01-01") | {"valueCodeableConcept": None}, TOBACCO], PROBLEM),
        ([_smoking(CURRENT, "2026-01-01") | {"valueCodeableConcept": None, "valueString": "never smoker"}, TOBACCO],
         value("smokes", 0, "2026-01-01", f"Observation/s-{CURRENT}", "", "never smoker")),
        ([_smoking(NEVER, "2026-01-01") | {"status": "entered-in-error"}, TOBACCO], PROBLEM),
        ([_smoking(NEVER, "2027-01-01"), TOBACCO], PROBLEM),
        ([_smoking(NEVER, "2026-01-01") | {"effectiveDateTime": None}, TOBACCO], PROBLEM),
    ],
)  # fmt: skip
def test_the_newest_answer_about_smoking_goes_before_the_problem_list(
    resources: list[Json], expected: FeatureValue | Missing
) -> None:
    assert FEATURES["smokes"].read(record_of(*resources)) == expected


def test_without_a_window_an_answer_about_smoking_counts_however_old_it_is() -> None:
    at_any_time = replace(FEATURES["smokes"], window_days=None)
    smoked = at_any_time.read(record_of(_smoking(CURRENT, "2001-01-01")))
    assert isinstance(smoked, FeatureValue)
    assert (smoked.value, smoked.effective) == (1.0, "2001-01-01")


def test_the_creatinine_of_the_year_is_past_the_limit_or_not() -> None:
    feature = FEATURES["has_abnormal_kidneys"]
    for number, is_past in ((2.25, 0.0), (2.26, 1.0)):
        creatinine = observation("2160-0", number, "mg/dL", "2025-11-20", id="cr")
        assert feature.read(record_of(creatinine)) == FeatureValue(
            feature, is_past, "2025-11-20", "Observation/cr", "2160-0", number, "mg/dL", is_measured=True
        )
    assert feature.read(record_of(observation("2160-0", 9.0, "mg/dL", "2025-11-19"))) == not_found(feature.name)


def test_the_data_dictionary_and_the_linter_name_the_groups() -> None:
    assert FEATURES["has_diabetes"].source_words == "Condition.code; condition groups diabetes"
    assert FEATURES["has_abnormal_kidneys"].source_words.endswith(
        "; condition groups dialysis, kidney_transplant; from 2.26"
    )
    assert HasCondition("x", "X", "why").lint() == ["x: names no condition group"]
    assert HasCondition("x", "X", "why", groups=("diabetes", "y")).lint() == [
        "x: condition group 'y' is not in tables/condition_groups.csv"
    ]
    assert Smokes("x", "X", "why", groups=("tobacco_use",)).is_yes_no
    assert not CharlsonCount("x", "X", "why").is_yes_no
    assert (FEATURES["charlson_lace"].plausible_high, FEATURES["comorbidity_count"].plausible_high) == (40, 14)
