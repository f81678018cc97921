"""Invented charts for the services that speak unasked: resources in a line, and the answer of a service for them."""

import asyncio
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from cds_hooks.call.services import find_services
from cds_hooks.tools.kit.simulator.fhir_search import prefetch_from
from tests.cds_hooks.calls import client
from tests.fhir import builders
from tests.fhir.builders import ICD10, RXNORM, observation, service_request

Json = dict[str, Any]
AS_OF = datetime(2026, 11, 22, 12, tzinfo=UTC)
"""The instant at which every chart is opened."""
VISIT = "visit-now"
_CVX = "http://hl7.org/fhir/sid/cvx"
_CLASSES = "http://terminology.hl7.org/CodeSystem/v3-ActCode"


def patient(age: int, sex: str) -> Json:
    """Somebody who had a birthday in October."""
    return {"resourceType": "Patient", "gender": sex, "birthDate": f"{AS_OF.year - age}-10-13"}


def problem(words: str, code: str = "", when: str = "2025-10-18", status: str = "active") -> Json:
    """An entry of the problem list."""
    coding = [{"system": ICD10, "code": code, "display": words}] if code else []
    clinical = {"coding": [{"code": status}]}
    return builders.problem(
        {"text": words, "coding": coding}, patient=None, clinicalStatus=clinical, onsetDateTime=when
    )


def drug(words: str, code: str = "", when: str = "2026-09-23", status: str = "active", **more: Any) -> Json:
    """An order of a drug."""
    coding = [{"system": RXNORM, "code": code, "display": words}] if code else []
    medication, dosages = {"text": words, "coding": coding}, [{"text": words}]
    return (
        builders.medication_order(medication, status=status, patient=None, authoredOn=when, dosageInstruction=dosages)
        | more
    )


def operation(words: str, when: str = "2026-01-10", status: str = "completed") -> Json:
    """A procedure in words."""
    return {"resourceType": "Procedure", "status": status, "code": {"text": words}, "performedDateTime": when}


def result(loinc: str, value: float, unit: str, when: str = "2026-11-02") -> Json:
    """A laboratory result or a vital sign."""
    return observation(
        loinc, value, unit, f"{when}T08:00:00Z", id=None, patient=None, category=[{"coding": [{"code": "laboratory"}]}]
    )


def dose(cvx: str, when: str, status: str = "completed", **more: Any) -> Json:
    """A vaccination."""
    code = {"coding": [{"system": _CVX, "code": cvx}]}
    return {"resourceType": "Immunization", "status": status, "vaccineCode": code, "occurrenceDateTime": when, **more}


def allergy(words: str, **more: Any) -> Json:
    """An allergy with anaphylaxis."""
    reaction = {"manifestation": [{"text": "Anaphylaxis"}], "severity": "severe"}
    return {"resourceType": "AllergyIntolerance", "code": {"text": words}, "reaction": [reaction], **more}


def request(words: str, when: str = "2026-11-21", **more: Any) -> Json:
    """An order of something else than a drug."""
    return service_request(words, patient=None, authoredOn=when) | more


def stay(start: str, end: str | None = None, **more: Any) -> Json:
    """A stay in hospital; it goes on where it has no end."""
    period = {"start": start, **({"end": end} if end else {})}
    status = "finished" if end else "in-progress"
    class_ = {"system": _CLASSES, "code": "IMP"}
    return {"resourceType": "Encounter", "status": status, "class": class_, "period": period, **more}


def visit(**more: Any) -> Json:
    """The ambulatory visit in which a chart is opened."""
    start = AS_OF.date().isoformat()
    class_ = {"system": _CLASSES, "code": "AMB"}
    return builders.encounter(class_, patient=None, id=VISIT, period={"start": start}) | more


def answers(folder: Path, service: str, charts: list[list[Json]], **settings: Any) -> list[Json]:
    """The answers of a service for charts, each opened once by a practitioner in a visit or at the end of a stay."""
    folder.mkdir(exist_ok=True)
    hook = {**find_services(), **find_services(file="separate")}[service].hooks[0]
    bodies = [as_call(service, hook, number, chart) for number, chart in enumerate(charts)]
    return asyncio.run(_answered(folder, service, bodies, settings))


async def _answered(folder: Path, service: str, bodies: list[Json], settings: Json) -> list[Json]:
    async with client(folder, as_of=AS_OF, **settings) as calls:
        replies = [await calls.post(f"/cds-services/{service}", json=body) for body in bodies]
    assert [reply.status_code for reply in replies] == [200] * len(replies), replies[-1].text
    return [reply.json() for reply in replies]


def as_call(service: str, hook: str, number: int, chart: list[Json]) -> Json:
    """The request for one chart, whose prefetch is filled from the service's own templates."""
    patient_id = f"chart-{number}"
    pool = [_of(resource, patient_id, place) for place, resource in enumerate(chart)]
    if hook == "patient-view" and not any(resource.get("id") == VISIT for resource in pool):
        pool.append(_of(visit(), patient_id, 0))
    encounter = VISIT if hook == "patient-view" else "stay"
    context = {"userId": "Practitioner/dr1", "patientId": patient_id, "encounterId": encounter}
    services = {**find_services(), **find_services(file="separate")}
    entry = next(entry for entry in services[service].discovery() if entry["hook"] == hook)
    prefetch = prefetch_from(pool, entry["prefetch"], context, date.fromisoformat(AS_OF.date().isoformat()))
    instance = f"00000000-0000-4000-8000-{number:012}"
    return {"hook": hook, "hookInstance": instance, "context": context, "prefetch": prefetch}


def _of(resource: Json, patient_id: str, place: int) -> Json:
    if resource["resourceType"] == "Patient":
        return {**resource, "id": patient_id}
    subject = "patient" if resource["resourceType"] in ("AllergyIntolerance", "Immunization") else "subject"
    return {"id": f"r{place}", **resource, subject: {"reference": f"Patient/{patient_id}"}}


def text_of(answer: Json) -> str:
    """Everything that the cards of an answer say, with the labels of their buttons."""
    return "\n".join(
        "\n".join(
            [card["summary"], card.get("detail") or "", *(offer["label"] for offer in card.get("suggestions", []))]
        )
        for card in answer["cards"]
    )


def reasons_of(answer: Json) -> list[str]:
    """The reason codes of what an answer does not say."""
    return [silence["reason"] for silence in answer["extension"]["org.cds-hooks-onnx"].get("silence", [])]
