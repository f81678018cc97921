"""Decides which of the vaccines due a card offers to order, and makes the orders and the resource of what is due.

A suggestion is a draft order for a dose; what is due goes with them as a FHIR resource.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from cards.card import Suggestion, order_suggestion
from cards.new_orders import service_order
from cards.text import plain
from cards.vaccines.course import DoseStatus
from cards.vaccines.due import INFLUENZA, VaccinesDue
from cards.vaccines.forecasting import SeriesStatus
from cards.vaccines.groups import GroupForecast
from cards.vaccines.knowledge import VaccineKnowledge
from cards.vaccines.patient import ChartedPerson
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
_OFFERED_ONE_BY_ONE = 5
"""More vaccines than these are offered together: all of a visit can be ordered, or none."""


class Offered(NamedTuple):
    """What a card offers to order, and the names of what has to be checked before it is given."""

    due: list[GroupForecast]
    catch_up: list[GroupForecast]
    season: list[str]
    to_check: list[str]


def offered_vaccines(
    due: VaccinesDue, charted: ChartedPerson, knowledge: VaccineKnowledge, *, is_brief: bool
) -> Offered:
    """Sort what is due: a vaccine that the chart may forbid, or that cannot be judged, is not offered."""
    unspecified = unspecified_doses(due, charted, knowledge)
    held = set(due.groups_to_check)
    if charted.guillain_barre is not None:
        held.add(INFLUENZA)

    def may_be_given(item: GroupForecast) -> bool:
        return item.group not in held and item.label not in unspecified

    # Who has doses of an adult only, and, on a short card, who lacks those of childhood: the registry is asked first.
    without_dose = () if is_brief and due.due else (item for item in due.catch_up if not item.counted_days)
    season = [group for group, _ in due.of_season]
    return Offered(
        [item for item in due.due if may_be_given(item)],
        [item for item in without_dose if may_be_given(item)],
        # Of RSV the current recommendation is looked up first.
        [group for group in season if group == INFLUENZA and group not in held],
        [
            *(item.label for item in (*due.due, *due.catch_up) if not may_be_given(item)),
            *(group for group in season if group != INFLUENZA or group in held),
        ],
    )


def unspecified_doses(due: VaccinesDue, charted: ChartedPerson, knowledge: VaccineKnowledge) -> dict[str, list[str]]:
    """Return the days of the doses whose formulation is not recorded, by the group that is due."""
    days: dict[str, list[str]] = {}
    for dose in charted.history.doses:
        vaccine = knowledge.schedule.vaccines.get(dose.cvx)
        if vaccine is None or "unspecified" not in vaccine.name.lower():
            continue
        antigens = {part.antigen for part in vaccine.antigens}
        for item in (*due.due, *due.catch_up):
            if antigens & set(knowledge.schedule.groups[item.group].antigens):
                days.setdefault(item.label, []).append(dose.given.isoformat())
    return days


def vaccine_suggestions(
    due: VaccinesDue, offered: Offered, patient_id: str, knowledge: VaccineKnowledge
) -> Iterable[Suggestion]:
    """Yield the orders, together where there are many, and what is due as a resource."""
    due_now = [(_order_label(item), item.label, vaccine_order(item, patient_id, knowledge)) for item in offered.due]
    due_now += [
        (f"Order {group}", group, service_order(f"{group} vaccine", patient_id, due.as_of.isoformat()))
        for group in offered.season
    ]
    later = [(_order_label(item), item.label, vaccine_order(item, patient_id, knowledge)) for item in offered.catch_up]
    is_many = len(due_now) + len(later) > _OFFERED_ONE_BY_ONE
    for start, vaccines in (("Order", due_now), ("Order to catch up:", later)):
        if is_many and len(vaccines) > 1:
            label = f"{start} {', '.join(name for _, name, _ in vaccines)}"
            yield order_suggestion(label, "Draft order.", *(order for _, _, order in vaccines))
            continue
        for position, (label, _, order) in enumerate(vaccines):
            # What may be on record elsewhere is not preselected.
            is_recommended = not is_many and position == 0 and vaccines is due_now and bool(offered.due)
            yield order_suggestion(plain(label, 80), "Draft order.", order, is_recommended=is_recommended)
    forecast = immunization_recommendation(due, patient_id, knowledge)
    yield order_suggestion("Save due-dose list to chart", "Due doses.", forecast)


def _order_label(item: GroupForecast) -> str:
    return "Order Tdap (in pregnancy)" if item.for_pregnancy else f"Order {item.label} dose {item.dose_number}"


def vaccine_order(item: GroupForecast, patient_id: str, knowledge: VaccineKnowledge) -> Json:
    """Return a draft ServiceRequest (FHIR R4) for the next dose, with the CVX code where CDC recommends one vaccine."""
    codings = preferred_codings(item, knowledge)
    name = codings[0]["display"] if len(codings) == 1 else item.label
    words = "Tdap vaccine" if item.for_pregnancy else f"{name} vaccine, dose {item.dose_number}"
    order = service_order(words, patient_id, item.as_of.isoformat())
    if len(item.vaccines) == 1:
        order["code"]["coding"] = codings or [{"system": CVX, "code": item.vaccines[0], "display": name}]
    return order


def preferred_codings(item: GroupForecast, knowledge: VaccineKnowledge) -> list[dict[str, str]]:
    """Return the vaccines that CDC prefers for the next dose, if it names any."""
    vaccines = knowledge.schedule.vaccines
    return [{"system": CVX, "code": code, "display": vaccines[code].name} for code in item.vaccines if code in vaccines]


def immunization_recommendation(due: VaccinesDue, patient_id: str, knowledge: VaccineKnowledge) -> Json:
    """Return a FHIR R4 ImmunizationRecommendation of the doses that are due now.

    A later dose is not a recommendation of today, nor is one of which an earlier dose has to be checked first.
    """
    to_check = {item.group for item in due.uncoded} | due.groups_to_check
    due_now = {item.group for item in (*due.due, *due.catch_up)}
    return {
        "resourceType": "ImmunizationRecommendation",
        "patient": {"reference": f"Patient/{patient_id}"},
        "date": due.as_of.isoformat(),
        "recommendation": [
            _recommendation(item, knowledge)
            for item in due.forecasts
            if item.status is SeriesStatus.NOT_COMPLETE and item.group in due_now - to_check
        ],
    }


def _recommendation(item: GroupForecast, knowledge: VaccineKnowledge) -> Json:
    status = "overdue" if item.is_overdue else "due"
    codings = preferred_codings(item, knowledge)
    recommendation: Json = {
        "vaccineCode": [{**({"coding": codings} if codings else {}), "text": item.group}],
        "forecastStatus": {"coding": [{"system": _STATUS_SYSTEM, "code": status}]},
        "series": "; ".join(candidate.series.name for candidate in item.best),
    }
    criteria = [
        {"code": {"coding": [{"system": LOINC, "code": code, "display": display}]}, "value": day.isoformat()}
        for name, (code, display) in _DATE_CODES.items()
        if (day := getattr(item, name)) is not None
    ]
    if criteria:
        recommendation["dateCriterion"] = criteria
    if item.dose_number is not None:
        recommendation["doseNumberPositiveInt"] = item.dose_number
    sources = dict.fromkeys(
        evaluation.dose.source
        for candidate in item.best
        for evaluation in candidate.course.evaluations
        if evaluation.status is DoseStatus.VALID and "/" in evaluation.dose.source
    )
    if sources:
        recommendation["supportingImmunization"] = [{"reference": source} for source in sources]
    return recommendation
