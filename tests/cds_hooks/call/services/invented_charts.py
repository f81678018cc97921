"""Invented charts for each service: what its card must say, or that it stays silent.

They are the project's own: other words and codes than those of the cases that were given. Each is a row of
`invented_charts.jsonl`; an entry of a chart is the name of a function of this module and its arguments.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from tests.cds_hooks.call.services.chart_cases import (
    allergy,
    dose,
    drug,
    operation,
    patient,
    problem,
    request,
    result,
    stay,
    visit,
)
from tests.cds_hooks.call.services.entries import resources_of
from tests.fhir.builders import SNOMED, medication_statement

Json = dict[str, Any]


class Chart(Struct, frozen=True):
    """A chart, what the cards must say and must not (patterns; "." for any card), and why."""

    id: str
    resources: list[Json]
    must: str | None
    must_not: str | None
    why: str = ""


def _coded(resource: Json, system: str, code: str) -> Json:
    resource["code"]["coding"] = [{"system": system, "code": code, "display": resource["code"]["text"]}]
    return resource


def snomed(words: str, code: str, **more: Any) -> Json:
    return {**_coded(problem(words), SNOMED, code), **more}


def icd9(words: str, code: str) -> Json:
    return _coded(problem(words), "http://hl7.org/fhir/sid/icd-9-cm", code)


def icd10(words: str, code: str) -> Json:
    return _coded(problem(words), "http://hl7.org/fhir/sid/icd-10", code)


def procedure(words: str, code: str, system: str, when: str = "2026-01-10", status: str = "completed") -> Json:
    return _coded(operation(words, when, status), system, code)


def answer(loinc: str, value: str, when: str = "2026-10-02", text: str = "") -> Json:
    observation = result(loinc, 0, "1", when)
    del observation["valueQuantity"]
    observation["code"]["text"] = text
    return {**observation, "valueCodeableConcept": {"text": value}}


def stated(words: str) -> Json:
    return medication_statement(words, patient=None, effectiveDateTime="2026-09-01", dosage=[{"text": words}])


def booked(day: str, status: str = "booked") -> Json:
    begin, end = f"{day}T10:00:00Z", f"{day}T10:30:00Z"
    words = "Follow-up visit with PCP"
    return {"resourceType": "Appointment", "status": status, "description": words, "start": begin, "end": end}


def egfr(value: float, when: str = "2026-10-10") -> Json:
    return result("98979-8", value, "mL/min/{1.73_m2}", when)


def creatinine(value: float, when: str = "2026-11-02") -> Json:
    return result("2160-0", value, "mg/dL", when)


def uacr(value: float, when: str = "2026-11-02") -> Json:
    return result("9318-7", value, "mg/g", when)


def potassium(value: float) -> Json:
    return result("2823-3", value, "mmol/L", "2026-11-18")


def liver(ast: float, alt: float, platelets: float) -> list[Json]:
    return [result("1920-8", ast, "U/L"), result("1742-6", alt, "U/L"), result("777-3", platelets, "10*3/uL")]


def dead(person: Json) -> Json:
    return {**person, "deceasedDateTime": "2026-11-01"}


def stay_that_ends(*more: Json, to: str = "home") -> list[Json]:
    """A stay with a high risk of coming back, and where it ends."""
    disposition = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/discharge-disposition", "code": to}]}
    source = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/admit-source", "code": "emd"}]}
    now = stay(
        "2026-11-14T09:00:00Z", id="stay", hospitalization={"dischargeDisposition": disposition, "admitSource": source}
    )
    before = [stay(f"2026-0{month}-02T09:00:00Z", f"2026-0{month}-08T12:00:00Z") for month in range(2, 8)]
    before = [{**visit, "id": f"before-{number}"} for number, visit in enumerate(before)]
    labs = [result("718-7", 8.9, "g/dL", "2026-11-21"), result("2951-2", 129, "mmol/L", "2026-11-21")]
    return [now, *before, *labs, *more]


def ill() -> list[Json]:
    return [
        result("1751-7", 2.9, "g/dL"),
        result("6768-6", 150, "U/L"),
        result("3094-0", 40, "mg/dL"),
        creatinine(2.1),
        result("2345-7", 160, "mg/dL"),
        result("1988-5", 30, "mg/L"),
        result("736-9", 9, "%"),
        result("788-0", 17.5, "%"),
        result("787-2", 99, "fL"),
        result("6690-2", 11, "10*3/uL"),
        result("2324-2", 90, "U/L"),
    ]


def smoker(status: str, packs: int, quit_year: str = "") -> list[Json]:
    years = result("8664-5", packs, "{pack-years}")
    smoking = answer("72166-2", status, "2026-11-02")
    smoking["code"]["coding"][0]["system"] = "http://loinc.org"
    code = {"Former smoker": "8517006", "Current every day smoker": "449868002"}[status]
    smoking["valueCodeableConcept"]["coding"] = [{"system": "http://snomed.info/sct", "code": code}]
    quit_date = answer("74010-0", "", "2026-11-02")
    del quit_date["valueCodeableConcept"]
    quit_date["valueDateTime"] = quit_year
    return [smoking, years, *([quit_date] if quit_year else [])]


def qualitative(loinc: str, value: str, when: str = "2025-03-02") -> Json:
    return answer(loinc, value, when)


def refused(cvx: str, when: str) -> Json:
    reason = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "PATOBJ"}]}
    return dose(cvx, when, "not-done", statusReason=reason)


def past_stay(start: str, end: str, number: int = 1) -> Json:
    return {**stay(f"{start}T09:00:00Z", f"{end}T12:00:00Z"), "id": f"stay-{number}"}


def checkup() -> Json:
    return visit(type=[{"text": "Annual physical"}], reasonCode=[{"text": "Annual health check"}])


_KINDS: Mapping[str, Callable[..., Any]] = {
    made.__name__: made
    for made in (
        allergy, answer, booked, checkup, creatinine, dead, dose, drug, egfr, icd10, icd9, ill, liver, operation,
        past_stay, patient, potassium, problem, procedure, qualitative, refused, request, result, smoker, snomed,
        stated, stay, stay_that_ends, uacr, visit,
    )
}  # fmt: skip


def _read() -> dict[str, list[Chart]]:
    charts: dict[str, list[Chart]] = {}
    for line in Path(__file__).with_suffix(".jsonl").read_text().splitlines():
        row = json.loads(line)
        made = Chart(
            row["id"], resources_of(row["chart"], _KINDS), row.get("must"), row.get("must_not"), row.get("why", "")
        )
        charts.setdefault(row["service"], []).append(made)
    return charts


CHARTS: dict[str, list[Chart]] = _read()
"""The charts by service."""
