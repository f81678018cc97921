"""Builds what the card of vaccines due offers: a draft order for a dose, and the whole forecast as a FHIR resource."""

from datetime import date
from typing import Any

from cards.new_orders import service_order
from cards.vaccines.course import DoseStatus
from cards.vaccines.due import DueVaccine, VaccinesDue
from cards.vaccines.forecasting import SeriesStatus
from cards.vaccines.groups import GroupForecast
from cards.vaccines.knowledge import VaccineKnowledge
from fhir.terminology.analytes import LOINC
from fhir.terminology.medications import CVX

Json = dict[str, Any]

# FHIR R4, value set immunization-recommendation-date-criterion (LOINC).
_DATE_CODES = {
    "earliest": ("30981-5", "Earliest date to give"),
    "recommended": ("30980-7", "Date vaccine due"),
    "past_due": ("59778-1", "Date when overdue for immunization"),
}
_STATUS_SYSTEM = "http://terminology.hl7.org/CodeSystem/immunization-recommendation-status"
# FHIR R4, code system immunization-recommendation-status.
_STATUSES = {
    SeriesStatus.NOT_COMPLETE: "due",
    SeriesStatus.COMPLETE: "complete",
    SeriesStatus.IMMUNE: "immune",
    SeriesStatus.CONTRAINDICATED: "contraindicated",
}


def vaccine_order(item: DueVaccine, patient_id: str, as_of: date) -> Json:
    """A draft ServiceRequest (FHIR R4) for the next dose, with the CVX code where CDC recommends one vaccine."""
    order = service_order(f"{item.name} vaccine, dose {item.forecast.dose_number}", patient_id, as_of.isoformat())
    if len(item.forecast.vaccines) == 1:
        order["code"]["coding"] = [{"system": CVX, "code": item.forecast.vaccines[0], "display": item.name}]
    return order


def immunization_recommendation(found: VaccinesDue, patient_id: str, knowledge: VaccineKnowledge) -> Json:
    """A FHIR R4 ImmunizationRecommendation with every forecast that its status code system can say."""
    return {
        "resourceType": "ImmunizationRecommendation",
        "patient": {"reference": f"Patient/{patient_id}"},
        "date": found.as_of.isoformat(),
        "recommendation": [
            _recommendation(item, found.as_of, knowledge) for item in found.forecasts if item.status in _STATUSES
        ],
    }


def _recommendation(item: GroupForecast, as_of: date, knowledge: VaccineKnowledge) -> Json:
    overdue = item.past_due is not None and item.past_due < as_of
    status = "overdue" if overdue else _STATUSES[item.status]
    codings = [
        {"system": CVX, "code": code, "display": knowledge.schedule.vaccines[code].name}
        for code in item.vaccines
        if code in knowledge.schedule.vaccines
    ]
    made: Json = {
        "vaccineCode": [{**({"coding": codings} if codings else {}), "text": item.group}],
        "forecastStatus": {"coding": [{"system": _STATUS_SYSTEM, "code": status}]},
        "series": "; ".join(candidate.series.name for candidate in item.best),
    }
    dates = {"earliest": item.earliest, "recommended": item.recommended, "past_due": item.past_due}
    if criteria := [_criterion(name, day) for name, day in dates.items() if day is not None]:
        made["dateCriterion"] = criteria
    if item.dose_number is not None:
        made["doseNumberPositiveInt"] = item.dose_number
    sources = dict.fromkeys(
        evaluation.dose.source
        for candidate in item.best
        for evaluation in candidate.course.evaluations
        if evaluation.status is DoseStatus.VALID and "/" in evaluation.dose.source
    )
    if sources:
        made["supportingImmunization"] = [{"reference": source} for source in sources]
    return made


def _criterion(name: str, day: date) -> Json:
    code, display = _DATE_CODES[name]
    return {
        "code": {"coding": [{"system": LOINC, "code": code, "display": display}]},
        "value": day.isoformat(),
    }
