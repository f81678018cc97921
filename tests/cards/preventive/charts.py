"""Small charts for the preventive services: one person, one entry more, and the answer for one service."""

from typing import Any

from tests.fhir import builders
from tests.fhir.builders import ICD10, LOINC, SNOMED, condition, medication_order, observation

Json = dict[str, Any]
ALL_TYPES = frozenset(
    {
        "Condition", "Procedure", "DiagnosticReport", "ServiceRequest", "MedicationRequest", "MedicationStatement",
        "AllergyIntolerance", "Encounter", "Observation",
    }
)  # fmt: skip
ANALYTES = frozenset(
    {
        "screening", "smoking_status", "hba1c", "glucose_fasting", "glucose", "ldl_cholesterol", "sbp", "dbp", "bmi",
        "body_weight", "body_height", "cholesterol_total", "hdl_cholesterol", "creatinine",
    }
)  # fmt: skip
EVERYTHING = ALL_TYPES | ANALYTES


def person(born: str = "1970-11-20", sex: str | None = "female") -> Json:
    """A woman of 56 on the day of the tests."""
    return {"resourceType": "Patient", "id": "p1", "birthDate": born} | ({"gender": sex} if sex else {})


def procedure(words: str, when: str | None = "2026-01-10", code: str | None = None, **more: Any) -> Json:
    """A completed procedure by its words, or by a SNOMED CT code too."""
    coding = {"coding": [{"system": SNOMED, "code": code}]} if code else {}
    made: Json = builders.procedure({**coding, "text": words}, id=f"done-{abs(hash((words, when))) % 10_000}")
    return made | ({"performedDateTime": when} if when else {}) | more


def report(words: str, when: str = "2026-01-10", code: str | None = None, **more: Any) -> Json:
    """A final report of a study, by its words or a LOINC code."""
    coding = {"coding": [{"system": LOINC, "code": code}]} if code else {}
    return builders.report({**coding, "text": words}, id="report-1", effectiveDateTime=when) | more


def result(loinc: str, answer: str = "Negative", when: str = "2026-01-10", **more: Any) -> Json:
    """A final result that is a word."""
    return (
        builders.observation(loinc, when=when, id=f"result-{loinc}-{when}", valueCodeableConcept={"text": answer})
        | more
    )


def number(loinc: str, value: float, unit: str, when: str = "2026-01-10") -> Json:
    """A measured number."""
    return observation(loinc, value, unit, when)


def problem(code: str, system: str = ICD10, **more: Any) -> Json:
    """An active problem."""
    return condition(code, system, **more)


def taking(words: str) -> Json:
    """An active order for a drug, by its words."""
    return medication_order(words, id="taken", authoredOn="2026-10-01")


MAN = person(sex="male")
