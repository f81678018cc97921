"""Builds the new orders that a suggestion creates: a medication, a laboratory test, a service, and their parts."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from cards.rules.language.rule import LabOrder, NewOrder, Product, Sig
from cards.rules.patient.orders import DraftOrder
from fhir.mapping.declined import is_open_order
from fhir.mapping.study_words import ORDERABLE_TESTS, OrderableTest
from fhir.record.record import PatientRecord
from fhir.record.resources import ServiceRequest
from fhir.terminology.analytes import LOINC, UCUM
from fhir.terminology.medications import RXNORM

Json = dict[str, Any]

# Who it is for and who asks: what a new order takes over from the draft. A reference into the draft's `contained`
# would point to nothing.
_TAKEN_OVER = ("encounter", "authoredOn", "requester")
# An order of another day was asked for then and there by somebody else: what a review adds to it is of today.
_IN_FORCE = "active"


def medication_order(order: NewOrder, draft: DraftOrder, patient_id: str, identity: str) -> Json:
    """Return a drafted MedicationRequest for the product, for the draft's patient, encounter and requester."""
    return {
        "resourceType": "MedicationRequest",
        "id": identity,
        "status": "draft",
        "intent": "order",
        "medicationCodeableConcept": concept(order.product),
        **_taken_over(draft, patient_id),
        "dosageInstruction": [_dosage(order.sig)],
    }


def lab_order(order: LabOrder, draft: DraftOrder, patient_id: str, identity: str, as_of: datetime) -> Json:
    """Return a drafted ServiceRequest for the test; one that is due later carries the day."""
    resource: Json = {
        "resourceType": "ServiceRequest",
        "id": identity,
        "status": "draft",
        "intent": "order",
        "code": {"coding": [{"system": LOINC, "code": order.loinc, "display": order.name}], "text": order.name},
        **_taken_over(draft, patient_id),
    }
    if draft.resource.get("status") == _IN_FORCE:
        resource["authoredOn"] = as_of.date().isoformat()
    if order.in_days:
        resource["occurrenceDateTime"] = (as_of + timedelta(days=order.in_days)).date().isoformat()
    return resource


def _taken_over(draft: DraftOrder, patient_id: str) -> Json:
    taken_over: Json = {"subject": {"reference": f"Patient/{patient_id}"}}
    is_of_now = draft.resource.get("status") != _IN_FORCE
    for name in ("subject", *(_TAKEN_OVER if is_of_now else ())):
        value = draft.resource.get(name)
        if value and not (isinstance(value, dict) and str(value.get("reference", "")).startswith("#")):
            taken_over[name] = value
    return taken_over


def _dosage(sig: Sig) -> Json:
    """Return the sig as words and, where the dose is not left to the clinician, as structure."""
    dosage: Json = {"text": sig.text}
    if sig.dose_mg is None:
        return dosage
    dosage["timing"] = {"repeat": repeat(sig)}
    if sig.as_needed:
        dosage["asNeededBoolean"] = True
    if sig.dose_mg_high is None:
        dosage["doseAndRate"] = [{"doseQuantity": milligrams(sig.dose_mg)}]
    else:
        low, high = milligrams(sig.dose_mg), milligrams(sig.dose_mg_high)
        dosage["doseAndRate"] = [{"doseRange": {"low": low, "high": high}}]
    if sig.max_mg_per_day is not None:
        dosage["maxDosePerPeriod"] = {
            "numerator": milligrams(sig.max_mg_per_day),
            "denominator": {"value": 1, "unit": "day", "system": UCUM, "code": "d"},
        }
    return dosage


# The parts of an order, also of one that is amended (cards/amend.py)


def concept(product: Product) -> Json:
    """Return the product as a CodeableConcept."""
    return {"coding": [{"system": RXNORM, "code": product.rxcui, "display": product.name}], "text": product.name}


def milligrams(value: float) -> Json:
    """Return a mass as a Quantity."""
    return {"value": exact(value), "unit": "mg", "system": UCUM, "code": "mg"}


def days(value: int) -> Json:
    """Return a duration as a Quantity."""
    return {"value": value, "unit": "days", "system": UCUM, "code": "d"}


def exact(value: float) -> float | int:
    """Return the number, without a decimal point where it has no decimals."""
    return int(value) if float(value).is_integer() else value


def repeat(sig: Sig) -> Json:
    """How often, as a Timing.repeat."""
    if sig.once:
        return {"count": 1}
    if sig.every_hours is not None:
        return {"frequency": 1, "period": sig.every_hours, "periodUnit": "h"}
    if sig.times_per_week is not None:
        weekly: Json = {"frequency": sig.times_per_week, "period": 1, "periodUnit": "wk"}
        return weekly if sig.weekday is None else {**weekly, "dayOfWeek": [sig.weekday]}
    often: Json = {"frequency": sig.times_per_day, "period": 1, "periodUnit": "d"}
    if sig.when is not None:
        often["when"] = [sig.when]
    return often


def orderable_test_for(lacking: Collection[str]) -> OrderableTest | None:
    """Return the one test that answers everything that is lacking; None where there is none, or nothing is lacking."""
    if not lacking:
        return None
    return next((test for test in ORDERABLE_TESTS if set(lacking) <= test.answers), None)


def is_ordered(record: PatientRecord, test: OrderableTest) -> bool:
    """Whether the test is ordered and still to be done."""
    for request in record.facts(ServiceRequest):
        if request.code is None or not is_open_order(request, record):
            continue
        if request.code.has(test.loinc) or any(map(test.called.search, request.code.texts)):
            return True
    return False


def order_of_test(test: OrderableTest, patient_id: str, date: str) -> dict[str, Any]:
    """Return a drafted ServiceRequest (FHIR R4) for the test."""
    return {
        "resourceType": "ServiceRequest",
        "status": "draft",
        "intent": "order",
        "code": {"coding": [{"system": LOINC, "code": test.loinc, "display": test.name}], "text": test.name},
        "subject": {"reference": f"Patient/{patient_id}"},
        "authoredOn": date,
    }


def service_order(text: str, patient_id: str, date: str, **more: Any) -> dict[str, Any]:
    """Return a drafted ServiceRequest for what has no code with an available source: text only."""
    return {
        "resourceType": "ServiceRequest",
        "status": "draft",
        "intent": "order",
        "code": {"text": text},
        "subject": {"reference": f"Patient/{patient_id}"},
        "authoredOn": date,
        **more,
    }
