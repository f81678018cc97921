"""New orders that a suggestion creates: a medication instead of the draft, a test beside it."""

from datetime import datetime, timedelta
from typing import Any

from cards.amend import concept, milligrams, repeat
from cards.rules.draft import Draft
from cards.rules.rule import LabOrder, NewOrder, Sig
from fhir.terminology.analytes import LOINC, UCUM

Json = dict[str, Any]

# Who it is for and who asks: what a new order takes over from the draft. A reference into the draft's `contained`
# would point to nothing.
_TAKEN_OVER = ("encounter", "authoredOn", "requester")


def medication_order(order: NewOrder, draft: Draft, patient_id: str, identity: str) -> Json:
    """A drafted MedicationRequest for the product, for the draft's patient, encounter and requester."""
    return {
        "resourceType": "MedicationRequest",
        "id": identity,
        "status": "draft",
        "intent": "order",
        "medicationCodeableConcept": concept(order.product),
        **_taken_over(draft, patient_id),
        "dosageInstruction": [_dosage(order.sig)],
    }


def lab_order(order: LabOrder, draft: Draft, patient_id: str, identity: str, as_of: datetime) -> Json:
    """A drafted ServiceRequest for the test; one that is due later carries the day."""
    resource: Json = {
        "resourceType": "ServiceRequest",
        "id": identity,
        "status": "draft",
        "intent": "order",
        "code": {"coding": [{"system": LOINC, "code": order.loinc, "display": order.name}], "text": order.name},
        **_taken_over(draft, patient_id),
    }
    if order.in_days:
        resource["occurrenceDateTime"] = (as_of + timedelta(days=order.in_days)).date().isoformat()
    return resource


def _taken_over(draft: Draft, patient_id: str) -> Json:
    kept: Json = {"subject": {"reference": f"Patient/{patient_id}"}}
    for name in ("subject", *_TAKEN_OVER):
        value = draft.resource.get(name)
        if value and not (isinstance(value, dict) and str(value.get("reference", "")).startswith("#")):
            kept[name] = value
    return kept


def _dosage(sig: Sig) -> Json:
    """The sig as words and, where the dose is not left to the clinician, as structure."""
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
