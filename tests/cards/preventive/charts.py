"""Small charts for the preventive services: one person, one entry more, and the answer for one service."""

from typing import Any

from cards.preventive.abnormal import open_results
from cards.preventive.criteria import chart_of, judge_services
from cards.preventive.judgement import Judgement
from cards.preventive.knowledge import PREVENTIVE
from fhir.record.record import read_record
from tests.fhir import builders
from tests.fhir.builders import AS_OF, ICD10, LOINC, SNOMED, bundle, condition, lean, medication_order, observation

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


def judged(
    service: str, *resources: Json, patient: Json | None = None, requested: frozenset[str] = EVERYTHING
) -> Judgement:
    """The answer for one service about a person with these entries."""
    values = {"patient": lean(patient or person()), "rest": lean(bundle(*resources))}
    record = read_record(values, "p1", AS_OF, requested=requested)
    chart = chart_of(record, PREVENTIVE)
    answers = judge_services(chart, open_results(chart))
    return next(one for one in answers if one.service.id == service)


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


def smoking(code: str, when: str = "2026-01-10") -> Json:
    """An answer to the smoking status: 449868002 daily, 8517006 former, 266919005 never."""
    answer = {"coding": [{"system": SNOMED, "code": code}]}
    return result("72166-2", "", when, valueCodeableConcept=answer)


def pack_years(value: float, **more: Any) -> Json:
    """Pack-years by LOINC."""
    return observation("8664-5", value, "{PackYears}", "2026-01-10") | more


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
DAILY, FORMER, NEVER = "449868002", "8517006", "266919005"


def state(service: str, *resources: Json, **more: Any) -> tuple[str, str]:
    """State and reason of one service about a person with these entries."""
    found = judged(service, *resources, **more)
    return found.state, found.because


SMOKER = (smoking(DAILY), pack_years(30))
OVERWEIGHT = number("39156-5", 27, "kg/m2")
RISK = (
    number("2093-3", 240, "mg/dL"),
    number("2085-9", 35, "mg/dL"),
    number("8480-6", 165, "mm[Hg]"),
    number("2160-0", 1.0, "mg/dL"),
    smoking(DAILY),
    problem("I10"),
    problem("E11.9"),
)
