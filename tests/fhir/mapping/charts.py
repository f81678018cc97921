"""Small charts with medications, conditions and laboratory values of one patient, p1."""

from datetime import UTC, datetime
from typing import Any

from fhir.mapping.medications.identity import MedicationIdentity, identify
from fhir.record.datatypes import CodeableConcept, Coding
from fhir.record.record import PatientRecord, read_record
from fhir.record.resources import MedicationRequest
from tests.fhir.builders import medication_order, medication_statement, problem
from tests.fhir.record.charts import bundle, lean, observation

AS_OF = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
SNOMED = "http://snomed.info/sct"
ICD10 = "http://hl7.org/fhir/sid/icd-10-cm"
SUBJECT = {"reference": "Patient/p1"}
WOMAN = {"resourceType": "Patient", "id": "p1", "gender": "female", "birthDate": "1956-11-20"}
MAN = WOMAN | {"gender": "male"}

__all__ = [
    "AS_OF", "ICD10", "MAN", "RXNORM", "SNOMED", "SUBJECT", "WOMAN", "administration",
    "coded", "condition", "creatinine", "dispense",
    "egfr",
    "identity_of", "observation", "order", "record_of", "request", "statement", "weight",
]  # fmt: skip


def record_of(
    *resources: dict[str, Any], patient: dict[str, Any] | None = None, as_of: datetime = AS_OF
) -> PatientRecord:
    """The record of p1 (a woman of 70) from these resources."""
    return read_record({"patient": lean(patient or WOMAN), "rest": lean(bundle(*resources))}, "p1", as_of)


def condition(code: str, system: str = SNOMED, status: str | None = "active", **more: Any) -> dict[str, Any]:
    """A Condition with one code; `status` None leaves out the clinical status."""
    resource: dict[str, Any] = problem(
        {"coding": [{"system": system, "code": code, "display": f"condition {code}"}]}, status=None, id=f"c-{code}"
    )
    if status is not None:
        resource["clinicalStatus"] = {"coding": [{"code": status}]}
    return resource | more


def creatinine(value: float, when: str = "2026-11-10T08:00:00Z", unit: str = "mg/dL") -> dict[str, Any]:
    """A creatinine."""
    return observation("2160-0", value, unit, when)


def egfr(value: float, when: str = "2026-11-10T08:00:00Z", unit: str = "mL/min/{1.73_m2}") -> dict[str, Any]:
    """A reported eGFR."""
    return observation("33914-3", value, unit, when)


def weight(value: float, when: str = "2026-11-01") -> dict[str, Any]:
    """A body weight in kg."""
    return observation("29463-7", value, "kg", when)


def coded(code: str, display: str | None = None, system: str = RXNORM) -> dict[str, Any]:
    """A concept with one RxNorm code."""
    coding = {"system": system, "code": code} | ({"display": display} if display else {})
    return {"coding": [coding]}


def request(medication: dict[str, Any] | str, identifier: str = "m1", **more: Any) -> dict[str, Any]:
    """An active order; a text is a medication by its words."""
    concept = {"text": medication} if isinstance(medication, str) else medication
    return medication_order(concept, id=identifier, authoredOn="2026-11-01") | more


def statement(medication: dict[str, Any] | str, identifier: str = "s1", **more: Any) -> dict[str, Any]:
    """An active statement."""
    concept = {"text": medication} if isinstance(medication, str) else medication
    return medication_statement(concept, id=identifier) | more


def order(medication: dict[str, Any] | str, *dosages: dict[str, Any], **more: Any) -> MedicationRequest:
    """A drafted order as the lean reader gives it."""
    decoded: MedicationRequest = lean(request(medication, **({"dosageInstruction": list(dosages)} | more)))
    return decoded


def identity_of(words: str | None = None, code: str | None = None) -> MedicationIdentity:
    """What an order by these words and this RxNorm code is identified as."""
    coding = (Coding(RXNORM, code),) if code else ()
    return identify(MedicationRequest(medicationCodeableConcept=CodeableConcept(coding, words)))


def dispense(medication: dict[str, Any] | str, identifier: str = "d1", **more: Any) -> dict[str, Any]:
    """A completed dispense of 2026-11-01 for 30 days; a text is a medication by its words."""
    concept = {"text": medication} if isinstance(medication, str) else medication
    return {
        "resourceType": "MedicationDispense", "id": identifier, "status": "completed",
        "medicationCodeableConcept": concept, "subject": SUBJECT, "whenHandedOver": "2026-11-01",
        "daysSupply": {"value": 30, "unit": "days", "system": "http://unitsofmeasure.org", "code": "d"},
    } | more  # fmt: skip


def administration(medication: dict[str, Any] | str, identifier: str = "a1", **more: Any) -> dict[str, Any]:
    """A medication that was given on 2026-11-19; a text is a medication by its words."""
    concept = {"text": medication} if isinstance(medication, str) else medication
    return {
        "resourceType": "MedicationAdministration", "id": identifier, "status": "completed",
        "medicationCodeableConcept": concept, "subject": SUBJECT, "effectiveDateTime": "2026-11-19",
        "dosage": {"text": "1000 mg", "dose": {"value": 1000, "unit": "mg", "code": "mg"}},
    } | more  # fmt: skip
