"""Small patients and drafts from the compact form of tests/cases/rules, as the FHIR a client would send."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import orjson

from cards.rules.patient.orders import DraftOrder, read_drafts
from fhir.record.facts import FACT_TYPES
from fhir.record.record import PatientRecord, read_record
from fhir.record.resources import decoder
from fhir.terminology.analytes import ANALYTES
from fhir.terminology.conditions import CONDITION_GROUPS
from fhir.terminology.medications import ORDERABLES, table_rows

Json = dict[str, Any]

PATIENT_ID = "case"
_RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
_UCUM = "http://unitsofmeasure.org"
_OF_SUBJECT: Final = frozenset(
    {"Condition", "Encounter", "MedicationAdministration", "Observation", "Procedure", "ServiceRequest"}
)
_SNOMED, _ICD10 = "http://snomed.info/sct", "http://hl7.org/fhir/sid/icd-10-cm"


def _codes_of_groups() -> Mapping[str, tuple[str, str]]:
    codes: dict[str, tuple[str, str]] = {}
    for row in table_rows("condition_codes.csv"):  # the first row of a group has its plainest codes
        codes.setdefault(row["group"], (_SNOMED, row["snomed"].split(";")[0]))
    for row in table_rows("condition_groups.csv"):
        if row["icd10"]:
            codes.setdefault(row["group"], (_ICD10, row["icd10"].split(";")[0]))
    return codes


_CODES: Final = _codes_of_groups()
"""One code for each group of conditions that has codes."""


def record_of(patient: Json, as_of: datetime) -> PatientRecord:
    """Return the record of a compact patient."""
    record = read_record({"all": decoder.decode(orjson.dumps(bundle_of(patient, as_of)))}, PATIENT_ID, as_of)
    return without(record, patient)


def without(record: PatientRecord, patient: Json) -> PatientRecord:
    """Return the record of a call with which the patient's `not_sent` (analytes, resource types) did not come."""
    if "not_sent" in patient:
        kinds = {str(kind.__struct_config__.tag) for kind in FACT_TYPES}
        return record.with_requested(frozenset({*ANALYTES, *kinds} - set(patient["not_sent"])))
    return record


def bundle_of(patient: Json, as_of: datetime) -> Json:
    """Return the patient's resources as a searchset Bundle."""
    return {
        "resourceType": "Bundle",
        "type": "searchset",
        "entry": [{"resource": resource} for resource in _resources(patient, as_of)],
    }


def _resources(patient: Json, as_of: datetime) -> list[Json]:
    full_patient = _with_clearance({"age": 60, "sex": "male", **patient})
    resources = [_person(full_patient, as_of)]
    for position, (analyte, value, *optional) in enumerate(full_patient.get("labs", ())):
        resources.append(_observation(position, analyte, value, optional, as_of))
    for key, days_ago in _dated(full_patient.get("conditions", ())):
        resources.append(_condition(key, days_ago, as_of))
    for position, entry in enumerate(full_patient.get("active", ())):
        resources.append(_active(position, entry, as_of))
    for position, allergy in enumerate(full_patient.get("allergies", ())):
        resources.append(_allergy(position, allergy))
    resources.extend(_of_case(resource) for resource in full_patient.get("more", ()))
    for position, loinc in enumerate(full_patient.get("ordered", ())):
        resources.append(_service_request(position, loinc))
    if full_patient.get("inpatient"):
        resources.append(_stay(as_of))
    return resources


def _of_case(resource: Json) -> Json:
    """Return a whole resource as one of this patient, where it may name one and names none."""
    return {"subject": _subject(), **resource} if resource.get("resourceType") in _OF_SUBJECT else resource


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


def _observation(position: int, analyte: str, value: float, optional: list[Any], as_of: datetime) -> Json:
    """`[analyte, value, days ago, unit, status]`, the last three optional."""
    days_ago, unit, status = ([*optional, None, None, None])[:3]
    code, usual = ANALYTES[analyte].loinc[0], ANALYTES[analyte].unit
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
    """`days_ago` may be a FHIR date instead. A group that no code names is written by its name alone."""
    onset = days_ago if isinstance(days_ago, str) else (as_of - timedelta(days=days_ago)).date().isoformat()
    concept: Json = {"text": CONDITION_GROUPS[key].meaning if key not in _CODES else key.replace("_", " ")}
    if key in _CODES:
        system, code = _CODES[key]
        concept["coding"] = [{"system": system, "code": code}]
    active = {"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}
    return {
        "resourceType": "Condition",
        "id": f"condition-{key.replace('_', '-')}",
        "clinicalStatus": {"coding": [active]},
        "code": concept,
        "subject": _subject(),
        "onsetDateTime": onset,
    }


def _active(position: int, entry: Any, as_of: datetime) -> Json:
    """Return an order of a name, [name, days ago], or a draft's members beside `days_ago`, `status` and `ended`."""
    if not isinstance(entry, dict):
        ((drug, days_ago),) = _dated([entry])
        entry = {"drug": drug, "days_ago": days_ago}
    order = draft_of({"more": {}, **entry}, f"active-{position}")
    written = as_of - timedelta(days=entry.get("days_ago", 60))
    order |= {"status": entry.get("status", "active"), "authoredOn": written.date().isoformat()}
    if "ended" in entry:
        end = (as_of - timedelta(days=entry["ended"])).isoformat()
        order["dispenseRequest"] = {"validityPeriod": {"start": written.date().isoformat(), "end": end}}
    left_out = {"requester", *(["authoredOn"] if entry.get("undated") else [])}
    return {name: value for name, value in order.items() if name not in left_out}


def _allergy(position: int, allergy: Any) -> Json:
    """Words alone are an allergy with hives; an object is laid over that."""
    more = allergy if isinstance(allergy, dict) else {"code": {"text": allergy}}
    return {
        "resourceType": "AllergyIntolerance",
        "id": f"allergy-{position}",
        "patient": _subject(),
        "reaction": [{"manifestation": [{"text": "hives"}]}],
        **more,
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
    """Return an RxNorm code of our orderables as a coded concept, other text as text only."""
    orderable = ORDERABLES.get(drug)
    if orderable is None:
        return {"text": drug}
    return {"coding": [{"system": _RXNORM, "code": drug, "display": orderable.name}], "text": orderable.name}


def draft_of(draft: Json, identity: str = "draft-1") -> Json:
    """Return a drafted MedicationRequest: `drug`, `dose` ("1 tablet", "500 mg"), `times` a day, `days` and others.

    With `test` (a LOINC code) and `drug` as its words it is a ServiceRequest.
    """
    if "test" in draft:
        return _test_of(draft, identity)
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


def _test_of(draft: Json, identity: str) -> Json:
    code: Json = {"text": draft["drug"]}
    if draft["test"]:
        code["coding"] = [{"system": "http://loinc.org", "code": draft["test"]}]
    return {
        "resourceType": "ServiceRequest",
        "id": identity,
        "status": "draft",
        "intent": "order",
        "code": code,
        "subject": _subject(),
        "authoredOn": "2026-11-20",
        "requester": {"reference": "Practitioner/p"},
        **draft.get("more", {}),
    }


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


def drafts_of(*resources: Json) -> list[DraftOrder]:
    """Drafts as they arrive in context.draftOrders."""
    return read_drafts([{"resource": resource} for resource in resources])
