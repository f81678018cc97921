"""Small patients and drafts from the compact form of tests/cases/rules, as the FHIR a client would send."""

from datetime import datetime, timedelta
from typing import Any

import orjson

from cards.rules.draft import Draft, read_drafts
from fhir.record.record import PatientRecord, read_record
from fhir.record.resources import decoder
from fhir.terminology.medications import orderables

Json = dict[str, Any]

PATIENT_ID = "case"
_RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
_UCUM = "http://unitsofmeasure.org"
_LOINC = {
    "creatinine": ("2160-0", "mg/dL"),
    "egfr": ("98979-8", "mL/min/{1.73_m2}"),
    "body_weight": ("29463-7", "kg"),
    "body_height": ("8302-2", "cm"),
}
# One code of conditions.csv for each key that the cases use.
_CONDITIONS = {
    "afib": ("http://snomed.info/sct", "49436004"),
    "vte": ("http://snomed.info/sct", "59282003"),
    "hf": ("http://snomed.info/sct", "84114007"),
    "aki": ("http://snomed.info/sct", "14669001"),
    "dm1": ("http://snomed.info/sct", "46635009"),
    "cirrhosis": ("http://snomed.info/sct", "19943007"),
    "pregnancy": ("http://snomed.info/sct", "72892002"),
    "dialysis": ("http://hl7.org/fhir/sid/icd-10-cm", "Z99.2"),
    "mechanical_valve": ("http://hl7.org/fhir/sid/icd-10-cm", "Z95.2"),
    "mitral_stenosis": ("http://snomed.info/sct", "79619009"),
}


def record_of(patient: Json, as_of: datetime) -> PatientRecord:
    """The record of a compact patient."""
    return read_record({"all": decoder.decode(orjson.dumps(bundle_of(patient, as_of)))}, PATIENT_ID, as_of)


def bundle_of(patient: Json, as_of: datetime) -> Json:
    """The patient's resources as a searchset Bundle."""
    return {
        "resourceType": "Bundle",
        "type": "searchset",
        "entry": [{"resource": one} for one in _resources(patient, as_of)],
    }


def _resources(patient: Json, as_of: datetime) -> list[Json]:
    whole = _with_clearance({"age": 60, "sex": "male", **patient})
    found = [_person(whole, as_of)]
    for position, (analyte, value, *rest) in enumerate(whole.get("labs", ())):
        found.append(_observation(position, analyte, value, rest, as_of))
    for key, days_ago in _dated(whole.get("conditions", ())):
        found.append(_condition(key, days_ago, as_of))
    for position, (drug, days_ago) in enumerate(_dated(whole.get("active", ()))):
        found.append(_active(position, drug, days_ago, as_of))
    for position, words in enumerate(whole.get("allergies", ())):
        found.append(_allergy(position, words))
    for position, loinc in enumerate(whole.get("ordered", ())):
        found.append(_service_request(position, loinc))
    if whole.get("inpatient"):
        found.append(_stay(as_of))
    return found


def _with_clearance(patient: Json) -> Json:
    """`crcl`: a whole creatinine, and the weight that gives a man of 60 this clearance (80 × kg / 72 × creatinine)."""
    if "crcl" not in patient:
        return patient
    # So that the weight stays between 30 kg, below which the equation is refused, and 130 % of ideal.
    creatinine = 4.0 if patient["crcl"] < 20 else 2.0 if patient["crcl"] <= 60 else 1.0
    weight = patient["crcl"] * 72.0 * creatinine / 80.0
    days_ago = patient.get("days_ago", 3)
    labs = [["creatinine", creatinine, days_ago], ["body_weight", weight, 10], ["body_height", 190, 10]]
    return {**patient, "labs": [*labs, *patient.get("labs", ())]}


def _person(patient: Json, as_of: datetime) -> Json:
    person: Json = {"resourceType": "Patient", "id": PATIENT_ID}
    if patient["age"] is not None:
        born = as_of.date() - timedelta(days=patient.get("days_older", 100))
        person["birthDate"] = born.replace(year=born.year - patient["age"]).isoformat()
    if patient["sex"] is not None:
        person["gender"] = patient["sex"]
    return person


def _observation(position: int, analyte: str, value: float, rest: list[Any], as_of: datetime) -> Json:
    """`[analyte, value, days ago, unit, status]`, the last three optional."""
    days_ago, unit, status = ([*rest, None, None, None])[:3]
    code, usual = _LOINC[analyte]
    when = as_of - timedelta(days=3 if days_ago is None else days_ago)
    return {
        "resourceType": "Observation",
        "id": f"lab-{position}",
        "status": status or "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "subject": _subject(),
        "effectiveDateTime": when.isoformat(),
        "valueQuantity": {"value": value, "unit": unit or usual, "system": _UCUM, "code": unit or usual},
    }


def _condition(key: str, days_ago: int | str, as_of: datetime) -> Json:
    """`days_ago` may be a FHIR date instead."""
    onset = days_ago if isinstance(days_ago, str) else (as_of - timedelta(days=days_ago)).date().isoformat()
    system, code = _CONDITIONS[key]
    active = {"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}
    return {
        "resourceType": "Condition",
        "id": f"condition-{key.replace('_', '-')}",
        "clinicalStatus": {"coding": [active]},
        "code": {"coding": [{"system": system, "code": code}], "text": key.replace("_", " ")},
        "subject": _subject(),
        "onsetDateTime": onset,
    }


def _active(position: int, drug: str, days_ago: int, as_of: datetime) -> Json:
    return {
        "resourceType": "MedicationRequest",
        "id": f"active-{position}",
        "status": "active",
        "intent": "order",
        "medicationCodeableConcept": concept_of(drug),
        "subject": _subject(),
        "authoredOn": (as_of - timedelta(days=days_ago)).date().isoformat(),
    }


def _allergy(position: int, words: str) -> Json:
    return {
        "resourceType": "AllergyIntolerance",
        "id": f"allergy-{position}",
        "code": {"text": words},
        "patient": _subject(),
        "reaction": [{"manifestation": [{"text": "hives"}]}],
    }


def _service_request(position: int, loinc: str) -> Json:
    return {
        "resourceType": "ServiceRequest",
        "id": f"ordered-{position}",
        "status": "active",
        "intent": "order",
        "code": {"coding": [{"system": "http://loinc.org", "code": loinc}]},
        "subject": _subject(),
    }


def _stay(as_of: datetime) -> Json:
    return {
        "resourceType": "Encounter",
        "id": "stay",
        "status": "in-progress",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
        "subject": _subject(),
        "period": {"start": (as_of - timedelta(days=40)).isoformat()},
    }


def _dated(entries: list[Any]) -> list[tuple[str, int]]:
    """Names, or [name, days ago]; usually 60 days ago."""
    return [(entry, 60) if isinstance(entry, str) else (entry[0], entry[1]) for entry in entries]


def _subject() -> Json:
    return {"reference": f"Patient/{PATIENT_ID}"}


def concept_of(drug: str) -> Json:
    """An RxNorm code of our orderables as a coded concept, other text as text only."""
    known = orderables().get(drug)
    if known is None:
        return {"text": drug}
    return {"coding": [{"system": _RXNORM, "code": drug, "display": known.name}], "text": known.name}


def draft_of(draft: Json, identity: str = "draft-1") -> Json:
    """A drafted MedicationRequest: `drug`, `dose` ("1 tablet", "500 mg"), `times` a day, `days`, `refills` …"""
    order: Json = {
        "resourceType": "MedicationRequest",
        "id": identity,
        "status": "draft",
        "intent": "order",
        "medicationCodeableConcept": concept_of(draft["drug"]),
        "subject": _subject(),
        "authoredOn": "2026-11-20",
        "requester": {"reference": "Practitioner/p"},
    }
    if "dose" in draft or "times" in draft or "route" in draft:
        order["dosageInstruction"] = [_dosage(draft)]
    if "days" in draft:
        supply = {"value": draft["days"], "unit": "days", "system": _UCUM, "code": "d"}
        order["dispenseRequest"] = {"expectedSupplyDuration": supply}
        if "refills" in draft:
            order["dispenseRequest"]["numberOfRepeatsAllowed"] = draft["refills"]
    return {**order, **draft.get("more", {})}


def _dosage(draft: Json) -> Json:
    dosage: Json = {}
    if "times" in draft:
        dosage["timing"] = {"repeat": {"frequency": draft["times"], "period": 1, "periodUnit": "d"}}
    if draft.get("single"):
        dosage["timing"] = {"repeat": {"count": 1}}
    if "route" in draft:
        dosage["route"] = {"text": draft["route"]}
    if draft.get("as_needed"):
        dosage["asNeededBoolean"] = True
    if "dose" in draft:
        value, _, unit = draft["dose"].partition(" ")
        quantity: Json = {"value": float(value), "unit": unit}
        dosage["doseAndRate"] = [{"doseQuantity": quantity}]
    return dosage


def drafts_of(*resources: Json) -> list[Draft]:
    """Drafts as they arrive in context.draftOrders."""
    return read_drafts([{"resource": resource} for resource in resources])
