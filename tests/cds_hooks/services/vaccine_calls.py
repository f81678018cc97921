"""Calls of `vaccines-due` about invented people, and what their charts hold."""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.cds_hooks.calls import client, ours
from tests.fhir.builders import bundle, medication_order, problem

SERVICE = "vaccines-due"
CVX, SNOMED, RXNORM = (
    "http://hl7.org/fhir/sid/cvx",
    "http://snomed.info/sct",
    "http://www.nlm.nih.gov/research/umls/rxnorm",
)
SUBJECT = {"reference": "Patient/p"}
Json = dict[str, Any]


def dose(number: int, cvx: str, day: str, **more: Any) -> Json:
    code = {"coding": [{"system": CVX, "code": cvx}], "text": f"vaccine {cvx}"}
    return {
        "resourceType": "Immunization", "id": f"dose-{number}", "status": "completed", "vaccineCode": code,
        "patient": SUBJECT, "occurrenceDateTime": day,
    } | more  # fmt: skip


def condition(code: str, since: str, words: str) -> Json:
    return problem(words, code, SNOMED, patient="p", id=f"condition-{code}", onsetDateTime=since)


def request(born: str | None, *resources: Json, **patient: Any) -> Json:
    person = (
        {"resourceType": "Patient", "id": "p", "gender": "female"} | ({"birthDate": born} if born else {}) | patient
    )
    of_type: dict[str, list[Json]] = {}
    for each in resources:
        of_type.setdefault(each["resourceType"], []).append(each)
    keys = {
        "Immunization": "immunizations", "Condition": "conditions", "AllergyIntolerance": "allergies",
        "Procedure": "procedures", "Encounter": "encounters", "MedicationRequest": "medications",
        "MedicationStatement": "statements", "ServiceRequest": "tests", "Observation": "pregnancy",
        "Medication": "orderedProducts",
    }  # fmt: skip
    prefetch: Json = {key: bundle(*of_type.get(kind, ())) for kind, key in keys.items()}
    return {
        "hook": "patient-view",
        "hookInstance": "5d1f0b3a-0000-4000-8000-000000000001",
        "context": {"userId": "Practitioner/1", "patientId": "p"},
        "prefetch": {"patient": person, **prefetch},
    }


def answer(folder: Path, body: Json, as_of: datetime) -> Any:
    async def call() -> Any:
        async with client(folder, as_of=as_of) as calls:
            return await calls.post(f"/cds-services/{SERVICE}", json=body)

    answered = asyncio.run(call())
    assert answered.status_code == 200, answered.text
    return answered


def only_card(folder: Path, as_of: datetime, born: str, *resources: Json, **patient: Any) -> Json:
    (card,) = answer(folder, request(born, *resources, **patient), as_of).json()["cards"]
    assert isinstance(card, dict)
    return card


def silence(folder: Path, as_of: datetime, born: str | None, *resources: Json, **patient: Any) -> tuple[str, str]:
    answered = answer(folder, request(born, *resources, **patient), as_of)
    assert answered.json()["cards"] == []
    (found,) = (each for each in ours(answered)["silence"] if each["subject"] == SERVICE)
    return found["reason"], found["text"]


def taking(words: str, code: str | None = None) -> Json:
    coding = {"coding": [{"system": RXNORM, "code": code}]} if code else {}
    return medication_order({**coding, "text": words}, patient="p", id="taken", authoredOn="2026-10-01")


CHILD = "2022-11-01"
"""Four years old at the instant of the tests: boosters are due."""
CHILD_DOSES = tuple(
    dose(number, cvx, day)
    for number, (cvx, day) in enumerate(
        [
            *[("20", day) for day in ("2023-01-01", "2023-03-01", "2023-05-01", "2024-02-01")],
            *[("10", day) for day in ("2023-01-01", "2023-03-01", "2023-05-01")],
            *[("08", day) for day in ("2022-11-01", "2023-01-01", "2023-05-01")],
            *[("48", day) for day in ("2023-01-01", "2023-03-01", "2023-05-01", "2024-02-01")],
            *[("216", day) for day in ("2023-01-01", "2023-03-01", "2023-05-01", "2024-02-01")],
            *[("83", day) for day in ("2023-11-01", "2024-06-01")],
            *[(cvx, "2023-11-01") for cvx in ("03", "21")],
        ]
    )
)
