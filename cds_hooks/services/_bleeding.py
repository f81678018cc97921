"""What speaks against a talk about an anticoagulant, and which anticoagulant was stopped: facts with their dates."""

from typing import Final

from cards.rules.engine.finding import Silence
from cards.text import format_number, plain
from cds_hooks.services._equation import find_named_in_chart
from fhir.mapping.conditions import ConditionHit, find_condition_group
from fhir.mapping.medications.active import active_medications, ended_medications, orders_not_active
from fhir.record.record import PatientRecord

# RE-LY (Connolly 2009) left out people with gastrointestinal bleeding within a year: table 5 of PMC3956385.
_BLEEDING_DAYS: Final = 365.0
_NEWEST_DAYS: Final = 90.0
_VERY_LOW: Final = (("hemoglobin", "Haemoglobin", 8.0, "g/dL"), ("platelets", "Platelets", 50.0, "×10³/µL"))
"""Below these: grade 3 of CTCAE 5.0 (2017), for haemoglobin with 'transfusion indicated'."""
_STOPPED_DAYS: Final = 365.0
_BY_MOUTH: Final = frozenset({"vka", "doac"})
# CPT: closure of the left atrial appendage with an implant (33340), exclusion of it in surgery (33267 to 33269).
_CLOSED: Final = (
    *(f"http://www.ama-assn.org/go/cpt|{code}" for code in ("33340", "33267", "33268", "33269")),
    "appendage clos",
    "appendage occlu",
    "appendage exclu",
    "appendage ligat",
    "closure of left atrial appendage",
    "occlusion of left atrial appendage",
    "exclusion of left atrial appendage",
    "closure of the left atrial appendage",
    "occlusion of the left atrial appendage",
    "watchman",
)
_EVER: Final = 200 * 365.25


def reason_against(record: PatientRecord, subject: str) -> Silence | None:
    """Why no talk is suggested: bleeding, very low blood counts, a closed appendage; None where nothing is found."""
    inside = find_condition_group(record, "intracranial_bleeding")
    if inside is not None:
        text = "whether to anticoagulate after it is a decision of its own, so no score is shown."
        return Silence(subject, "contraindicated", f"Bleeding inside the skull is on record ({_named(inside)}): {text}")
    bleeding = find_condition_group(record, "bleeding_major")
    if bleeding is not None and _is_recent(bleeding, record):
        text = f"Major bleeding of the last year is on record ({_named(bleeding)}): no talk is suggested."
        return Silence(subject, "contraindicated", text)
    for analyte, words, limit, unit in _VERY_LOW:
        found = record.newest(analyte, _NEWEST_DAYS)
        if found is not None and found.value < limit:
            value = f"{format_number(found.value, [limit])} {unit} ({found.time.date})"
            return Silence(
                subject,
                "contraindicated",
                f"{words} {value} is under {limit:g} {unit} (CTCAE 5.0, grade 3): no talk is suggested.",
            )
    closed = find_named_in_chart(record, _CLOSED, _EVER)
    if closed is not None:
        return Silence(subject, "already-done", f"The left atrial appendage is closed ({closed}).")
    return None


def _is_recent(hit: ConditionHit, record: PatientRecord) -> bool:
    if hit.time is None:
        return hit.status != "past"
    return hit.time.age_days(record.as_of_epoch) <= _BLEEDING_DAYS


def _named(hit: ConditionHit) -> str:
    words = plain(hit.words or hit.code, 60)
    return f"{words}, {hit.time.date}" if hit.time is not None else words


def stopped_anticoagulant(record: PatientRecord) -> str | None:
    """The anticoagulant by mouth that was stopped in the last year, with the date that the chart gives; None for none.

    FHIR R4 does not say when an order was stopped unless its period ends: then the date is that of the order.
    """
    if any(each.identity.classes & _BY_MOUTH for each in active_medications(record)):
        return None
    for ended in ended_medications(record, _STOPPED_DAYS):
        if ended.identity.classes & _BY_MOUTH and ended.ended is not None:
            return f"{plain(ended.name, 40)} ended {ended.ended.date}"
    for order in orders_not_active(record):
        known = order.authored
        if order.identity.classes & _BY_MOUTH and known is not None and known.age_days(record.as_of_epoch) <= 365.0:
            return f"{plain(order.name, 40)} stopped (ordered {known.date})"
    return None
