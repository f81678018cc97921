"""Features by code list or phrase: which entries count, how long, and with which evidence."""

from dataclasses import replace
from typing import Any

from fhir.mapping.features.coded import CodedCondition, CodedProcedure, CodeOrPhrase, read_code
from fhir.mapping.features.feature import NOT_FOUND, FeatureValue
from tests.each import for_rows
from tests.fhir import builders
from tests.fhir.builders import problem, record_of

ICD10, SNOMED = "http://hl7.org/fhir/sid/icd-10-cm", "http://snomed.info/sct"
ANY_DIABETES, BYPASS = read_code("icd10|e11.*"), read_code("snomed|232717009")
DIABETES = CodedCondition("d", "Diabetes", "a test", wanted=(ANY_DIABETES, CodeOrPhrase(phrase="sugar disease")))
SURGERY = CodedProcedure("s", "Surgery", "a test", wanted=(BYPASS,))


def condition(identifier: str | None = "c", code: str = "E11.9", text: str = "Type 2", **more: Any) -> dict[str, Any]:
    return problem(text, code, **{"id": identifier, "recordedDate": "2026-10-21"} | more)


def procedure(identifier: str | None = "p", **more: Any) -> dict[str, Any]:
    resource = builders.procedure("Bypass", "232717009", when="2026-10-21", id=identifier) | more
    return {name: part for name, part in resource.items() if part is not None}


def test_the_newest_entry_that_counts_is_the_evidence() -> None:
    older, newer = condition("old", recordedDate="2026-09-01"), condition("new", "e11.22", "With kidney disease")
    for order in ((older, newer), (newer, older)):
        assert DIABETES.read(record_of(*order)) == FeatureValue(
            DIABETES, 1.0, "2026-10-21", "Condition/new", "e11.22", 1.0, "With kidney disease"
        )
    undated = condition(recordedDate=None)
    assert DIABETES.read(record_of(undated)) == FeatureValue(
        DIABETES, 1.0, "2026-11-20", "Condition/c", "E11.9", 1.0, "Type 2"
    )
    by_words = condition(code="R73.9", text="Sugar disease")
    assert DIABETES.read(record_of(by_words)) == FeatureValue(
        DIABETES, 1.0, "2026-10-21", "Condition/c", "", 1.0, "Sugar disease"
    )
    assert DIABETES.source_words == "Condition.code; E11*, sugar disease"
    assert SURGERY.source_words == "Procedure.code; 232717009"


@for_rows(
    ("days", "resource", "counts"),
    [
        (None, condition(), True),
        (None, condition(recordedDate="2026-12-01"), False),
        (None, condition(clinicalStatus={"coding": [{"code": "resolved"}]}), False),
        (30, condition(clinicalStatus={"coding": [{"code": "resolved"}]}), True),
        (30, condition(), True),  # recorded 30 days ago
        (29, condition(), False),
        (30, condition(recordedDate=None), False),
        (None, condition(code="E10.9"), False),
        (None, condition(code="R73.9", text="no sugar disease"), False),
        (None, condition(verificationStatus={"coding": [{"code": "provisional"}]}), False),
        (None, condition(code=""), False),
    ],
)
def test_which_conditions_count(days: int | None, resource: Any, counts: bool) -> None:
    feature = replace(DIABETES, window_days=days)
    found = feature.read(record_of(resource))
    not_found = FeatureValue(feature, 0.0, "2026-11-20", "Patient/p1", "", 0.0, NOT_FOUND, is_found=False)
    assert found != not_found if counts else found == not_found


@for_rows(
    ("days", "more", "when"),
    [
        (None, {}, "2026-10-21"),
        (30, {}, "2026-10-21"),
        (29, {}, None),
        (None, {"status": "in-progress"}, "2026-10-21"),
        (None, {"status": "not-done"}, None),
        (None, {"status": "stopped"}, None),
        (None, {"performedDateTime": "2026-12-01"}, None),
        (None, {"performedDateTime": None}, "2026-11-20"),
        (30, {"performedDateTime": None}, None),
        (None, {"performedDateTime": None, "performedPeriod": {"start": "2026-10-01"}}, "2026-10-01"),
        (None, {"code": None}, None),
        (None, {"code": {"coding": [{"system": ICD10, "code": "232717009"}]}}, None),
        (None, {"code": {"coding": [{"system": SNOMED, "code": "2327170090"}]}}, None),
    ],
)
def test_which_procedures_count(days: int | None, more: Any, when: str | None) -> None:
    feature = replace(SURGERY, window_days=days)
    found = feature.read(record_of(procedure(**more)))
    assert isinstance(found, FeatureValue)
    assert (found.effective if found.is_found else None) == when
