"""Charts of our own for the tests of summaries."""

import base64
from typing import Any

Resource = dict[str, Any]


def condition(identifier: str, text: str, status: str = "active", **more: Any) -> Resource:
    clinical = {"coding": [{"code": status}]}
    return {"resourceType": "Condition", "id": identifier, "code": {"text": text}, "clinicalStatus": clinical, **more}


def drug(identifier: str, text: str, dose: str = "", status: str = "active", **more: Any) -> Resource:
    order = {"resourceType": "MedicationRequest", "id": identifier, "status": status}
    return order | {"medicationCodeableConcept": {"text": text}, "dosageInstruction": [{"text": dose}], **more}


def result(identifier: str, text: str, value: float | str, unit: str, day: str, **more: Any) -> Resource:
    """A result of a number with a unit, or of words."""
    observation = {"resourceType": "Observation", "id": identifier, "status": "final", "code": {"text": text}}
    if isinstance(value, str):
        return observation | {"valueString": value, "effectiveDateTime": day}
    return observation | {"valueQuantity": {"value": value, "unit": unit, **more}, "effectiveDateTime": day}


def allergy(identifier: str, text: str, reaction: str = "rash") -> Resource:
    reactions = [{"manifestation": [{"text": reaction}]}]
    return {"resourceType": "AllergyIntolerance", "id": identifier, "code": {"text": text}, "reaction": reactions}


def note(
    identifier: str, text: str, day: str = "2026-11-01", kind: str = "Clinic letter", mime: str = "text/plain"
) -> Resource:
    attachment = {"contentType": mime, "data": base64.b64encode(text.encode()).decode()}
    document = {"resourceType": "DocumentReference", "id": identifier, "status": "current", "date": day}
    return document | {"type": {"text": kind}, "content": [{"attachment": attachment}]}


def family(identifier: str, relative: str, text: str) -> Resource:
    history = {"resourceType": "FamilyMemberHistory", "id": identifier, "relationship": {"text": relative}}
    return history | {"condition": [{"code": {"text": text}}]}


CHART: list[Resource] = [
    condition("c1", "Atrial fibrillation", onsetDateTime="2020-01-01"),
    condition("c2", "Pneumonia", "resolved", onsetDateTime="2022-01-01", abatementDateTime="2022-02-01"),
    drug("m1", "Apixaban 5 mg tablet", "5 mg twice daily"),
    drug("m2", "Lisinopril 10 mg tablet", "10 mg daily", "stopped", statusReason={"text": "cough"}),
    result("o1", "Potassium", 5.1, "mmol/L", "2026-10-01"),
    result("o2", "Potassium", 4.2, "mmol/L", "2026-04-01"),
    allergy("a1", "Penicillin"),
    family("f1", "sister", "deep vein thrombosis"),
    note("d1", "New wheeze. No fever."),
]
