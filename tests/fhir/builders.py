"""FHIR resources and small records for tests, each kind built in one place.

Each function returns a whole resource of patient p1. `patient` is the id or the reference of another patient; `more`
adds or replaces elements, and an element that is None is left out.
"""

from datetime import UTC, datetime
from typing import Any

import orjson

from fhir.record.record import PatientRecord, read_record
from fhir.record.resources import MedicationRequest, decoder

Json = dict[str, Any]
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
SNOMED = "http://snomed.info/sct"
ICD10 = "http://hl7.org/fhir/sid/icd-10-cm"
LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
SUBJECT = {"reference": "Patient/p1"}
AS_OF = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
WOMAN = {"resourceType": "Patient", "id": "p1", "gender": "female", "birthDate": "1956-11-20"}
MAN = WOMAN | {"gender": "male"}


def made(kind: str, **elements: Any) -> Json:
    """A resource of this type without the elements that are None."""
    return {"resourceType": kind} | {name: value for name, value in elements.items() if value is not None}


def subject_of(patient: str | Json | None) -> Json | None:
    """The reference to a patient by id; a reference stays as it is."""
    return {"reference": f"Patient/{patient}"} if isinstance(patient, str) else patient


def concept(words: str | Json | None = None, code: str | None = None, system: str = ICD10) -> Json:
    """A concept with one code, with words, or with both; a whole concept stays as it is."""
    if isinstance(words, dict):
        return words
    return ({"coding": [{"system": system, "code": code}]} if code else {}) | ({"text": words} if words else {})


def quantity(value: float | None, unit: str | None, **more: Any) -> Json:
    """A quantity with a UCUM unit."""
    whole = {"value": value, "unit": unit, "system": UCUM, "code": unit} | more
    return {name: part for name, part in whole.items() if part is not None}


def observation(
    loinc: str | Json,
    value: float | None = None,
    unit: str | None = None,
    when: str | None = "2026-11-01",
    *,
    patient: str | Json | None = "p1",
    **more: Any,
) -> Json:
    """A final Observation by its LOINC code; one without value and unit has no quantity."""
    code = loinc if isinstance(loinc, dict) else concept(code=loinc, system=LOINC)
    measured = None if value is None and unit is None else quantity(value, unit)
    return made(
        "Observation", **{
            "id": f"o-{loinc}-{value}-{when}", "status": "final", "code": code,
            "subject": subject_of(patient), "effectiveDateTime": when, "valueQuantity": measured, **more,
        },
    )  # fmt: skip


def problem(
    words: str | Json | None = None,
    code: str | None = None,
    system: str = ICD10,
    *,
    status: str | None = "active",
    patient: str | Json | None = "p1",
    **more: Any,
) -> Json:
    """A Condition with this clinical status."""
    clinical = {"coding": [{"code": status}]} if status else None
    return made(
        "Condition",
        **{"clinicalStatus": clinical, "code": concept(words, code, system), "subject": subject_of(patient), **more},
    )


def medication_order(
    medication: str | Json | None,
    *,
    status: str | None = "active",
    intent: str | None = "order",
    patient: str | Json | None = "p1",
    **more: Any,
) -> Json:
    """A MedicationRequest; a text is a medication by its words."""
    named = {"text": medication} if isinstance(medication, str) else medication
    return made(
        "MedicationRequest", **{
            "status": status, "intent": intent, "medicationCodeableConcept": named, "subject": subject_of(patient),
            **more,
        },
    )  # fmt: skip


def medication_statement(
    medication: str | Json, *, status: str = "active", patient: str | Json | None = "p1", **more: Any
) -> Json:
    """A MedicationStatement; a text is a medication by its words."""
    named = {"text": medication} if isinstance(medication, str) else medication
    return made(
        "MedicationStatement",
        **{"status": status, "medicationCodeableConcept": named, "subject": subject_of(patient), **more},
    )


def encounter(
    code: str | Json | None = "AMB",
    status: str | None = "in-progress",
    *,
    patient: str | Json | None = "p1",
    **more: Any,
) -> Json:
    """An Encounter by the code of its class."""
    class_ = {"code": code} if isinstance(code, str) else code
    return made("Encounter", **{"status": status, "class": class_, "subject": subject_of(patient), **more})


def procedure(
    words: str | Json | None = None,
    code: str | None = None,
    system: str = SNOMED,
    *,
    status: str | None = "completed",
    when: str | None = None,
    patient: str | Json | None = "p1",
    **more: Any,
) -> Json:
    """A Procedure."""
    return made(
        "Procedure", **{
            "status": status, "code": concept(words, code, system), "subject": subject_of(patient),
            "performedDateTime": when, **more,
        },
    )  # fmt: skip


def service_request(
    words: str | Json | None = None,
    code: str | None = None,
    system: str = LOINC,
    *,
    status: str | None = "active",
    intent: str | None = "order",
    patient: str | Json | None = "p1",
    **more: Any,
) -> Json:
    """A ServiceRequest."""
    return made(
        "ServiceRequest", **{
            "status": status, "intent": intent, "code": concept(words, code, system), "subject": subject_of(patient),
            **more,
        },
    )  # fmt: skip


def report(
    words: str | Json | None = None,
    code: str | None = None,
    system: str = LOINC,
    *,
    status: str = "final",
    patient: str | Json | None = "p1",
    **more: Any,
) -> Json:
    """A DiagnosticReport."""
    return made(
        "DiagnosticReport",
        **{"status": status, "code": concept(words, code, system), "subject": subject_of(patient), **more},
    )


def allergy(
    words: str | Json | None = None,
    code: str | None = None,
    system: str = RXNORM,
    *,
    status: str | None = "active",
    patient: str | Json | None = "p1",
    **more: Any,
) -> Json:
    """An AllergyIntolerance with this clinical status."""
    clinical = {"coding": [{"code": status}]} if status else None
    return made(
        "AllergyIntolerance",
        **{"clinicalStatus": clinical, "code": concept(words, code, system), "patient": subject_of(patient), **more},
    )


def bundle(*resources: Json, **more: Any) -> Json:
    """A searchset Bundle of these resources."""
    return made("Bundle", **{"type": "searchset", "entry": [{"resource": one} for one in resources], **more})


def lean(resource: Json) -> Any:
    """The lean struct of a resource."""
    return decoder.decode(orjson.dumps(resource))


def record_of(
    *resources: Json, patient: Json | None = None, as_of: datetime = AS_OF, prefetch: Json | None = None, **how: Any
) -> PatientRecord:
    """The record of p1 (a woman of 70) from these resources; `prefetch` in place of the patient."""
    values = {**(prefetch or {"patient": lean(patient or WOMAN)}), "rest": lean(bundle(*resources))}
    return read_record(values, "p1", as_of, **how)


def condition(code: str, system: str = SNOMED, status: str | None = "active", **more: Any) -> Json:
    """A Condition with one code and its display."""
    coding = {"system": system, "code": code, "display": f"condition {code}"}
    return problem({"coding": [coding]}, status=status, id=f"c-{code}") | more


def creatinine(value: float, when: str = "2026-11-10T08:00:00Z", unit: str = "mg/dL") -> Json:
    """A creatinine."""
    return observation("2160-0", value, unit, when)


def egfr(value: float, when: str = "2026-11-10T08:00:00Z", unit: str = "mL/min/{1.73_m2}") -> Json:
    """A reported eGFR."""
    return observation("33914-3", value, unit, when)


def weight(value: float, when: str = "2026-11-01") -> Json:
    """A body weight in kg."""
    return observation("29463-7", value, "kg", when)


def coded(code: str, display: str | None = None, system: str = RXNORM) -> Json:
    """A concept with one RxNorm code."""
    return {"coding": [{"system": system, "code": code} | ({"display": display} if display else {})]}


def request(medication: Json | str, identifier: str = "m1", **more: Any) -> Json:
    """An active order of 2026-11-01."""
    return medication_order(medication, id=identifier, authoredOn="2026-11-01") | more


def statement(medication: Json | str, identifier: str = "s1", **more: Any) -> Json:
    """An active statement."""
    return medication_statement(medication, id=identifier) | more


def order(medication: Json | str, *dosages: Json, **more: Any) -> MedicationRequest:
    """A drafted order as the lean reader gives it."""
    decoded: MedicationRequest = lean(request(medication, **({"dosageInstruction": list(dosages)} | more)))
    return decoded


def dispense(medication: Json | str, identifier: str = "d1", **more: Any) -> Json:
    """A completed dispense of 2026-11-01 for 30 days."""
    supply = {"value": 30, "unit": "days", "system": UCUM, "code": "d"}
    taken = medication_statement(medication, status="completed", id=identifier, whenHandedOver="2026-11-01")
    return taken | {"resourceType": "MedicationDispense", "daysSupply": supply} | more


def administration(medication: Json | str, identifier: str = "a1", **more: Any) -> Json:
    """A medication that was given on 2026-11-19."""
    dosage = {"text": "1000 mg", "dose": {"value": 1000, "unit": "mg", "code": "mg"}}
    taken = medication_statement(medication, status="completed", id=identifier, effectiveDateTime="2026-11-19")
    return taken | {"resourceType": "MedicationAdministration", "dosage": dosage} | more
