"""Features of the problem list, whole: value, date, source, code and words, or the sentence that says why not."""

from typing import Any

from fhir.mapping.features.catalog import FEATURES
from fhir.mapping.features.feature import FeatureValue, Missing
from tests.each import for_rows
from tests.fhir.builders import record_of
from tests.fhir.mapping.features.test_yes_no import _condition, _smoking

Json = dict[str, Any]
TODAY, PATIENT = "2026-11-20", "Patient/p1"


def value(name: str, number: float, when: str, source: str, code: str, words: str, **more: Any) -> FeatureValue:
    return FeatureValue(FEATURES[name], number, when, source, code, number, words, **more)


def not_found(name: str) -> FeatureValue:
    return value(name, 0.0, TODAY, PATIENT, "", "not found in the chart", is_found=False)


def missing(name: str, reason: Any, sentence: str) -> Missing:
    return Missing(FEATURES[name], reason, sentence)


KIDNEYS = "Dialysis, kidney transplant or creatinine from 2.26 mg/dL"
NOT_AVAILABLE = "the part of the chart that says so is not available."


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
