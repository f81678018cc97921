"""Who is followed up early after discharge: for whom no visit is proposed, what is arranged, and the order."""

import re
from datetime import timedelta
from typing import Any

from cards.card import Suggestion
from cards.text import decapitalized
from cds_hooks.call.services._equation import offer
from cds_hooks.call.services._exclusions import NO_ESTIMATE_OF_STAY, Exclusion, find_named_in_chart
from cds_hooks.call.services._service import ServiceInput
from fhir.mapping.stays import OTHER_HOSPITALS, Stay, current_stay, discharge_destination
from fhir.record.datatypes import DAY_SECONDS, parse_time
from fhir.record.record import PatientRecord
from fhir.record.resources import Appointment

FOLLOW_UP_WORDS = (
    *("follow-up", "follow up", "post-discharge", "transition of care", "transitional care"),
    *("nachsorge", "nachkontrolle", "kontrolltermin", "wiedervorstellung", "nacontrole", "controleafspraak"),
    *("consultation de suivi", "rendez-vous de suivi", "visite de suivi", "consultation de contrôle"),
    *("seguimiento", "seguimento", "visita de control", "consulta de control", "cita de control"),
    *("visita di controllo", "visita de controle", "återbesök", "uppföljning", "opfølgning", "oppfølging"),
)
_FOLLOW_UP_DAYS = 7
_EARLY_DAYS = 14.0
"""What is arranged for later than this is not an early follow-up; the project's own choice."""
# "Follow-up CT chest" is a study, which brings nobody to a visit.
_OF_A_STUDY = re.compile(
    r"^(?!.*(?:visit|appointment|clinic|consult|call|office|pcp|provider)).*"
    r"(?:\bct\b|\bmr[ia]?\b|\bpet\b|x-?ray|ultraso|mammogra|colonoscop|endoscop|echocardiogra|imaging|\bscan\b"
    r"|tomogra|resonance|\blabs?\b|laborator|blood test|urinalysis|culture|(?:tumor|krebs)nachsorge)"
    # "Follow-up visit in 8 weeks" is not an early one.
    r"|\b(?:[3-9]|[1-9]\d|three|four|five|six|eight|ten|twelve)[ -]?(?:to[ -]\d{1,2}[ -]?)?"
    r"(?:weeks?|wks?|wochen|semaines|semanas|settimane|weken)\b"
    r"|\b(?:\d{1,2}|an?|one|two|three|four|six|nine|twelve)[ -]?"
    r"(?:months?|mos?|years?|yrs?|monat\w{0,2}|mois|mes(?:es)?|mes[ei]|maand\w{0,2})\b",
    re.IGNORECASE | re.DOTALL,
)
# fhir/terminology/tables/discharge_destinations.csv: a team there cares for the patient, and follows up.
FACILITIES = frozenset({"skilled_nursing", "intermediate_care", "rehabilitation"})


def _goes_to(record: PatientRecord, *destinations: str) -> str | None:
    """Return where the stay ends, in words with their article, if it is one of these."""
    destination = discharge_destination(record)
    if destination is None or destination[0].key not in destinations:
        return None
    words = decapitalized(destination[0].words)
    return words if words.startswith("another ") else f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def facility_of(record: PatientRecord) -> str | None:
    """Return the nursing or rehabilitation facility to which the patient goes, in words; else None."""
    return _goes_to(record, *FACILITIES)


def _arranged(record: PatientRecord) -> str | None:
    """Return the visit that is arranged after this stay, as Type/id."""
    begun = stay_of(record).start.age_days(record.as_of_epoch)
    source = find_named_in_chart(record, FOLLOW_UP_WORDS, begun, not_with=_OF_A_STUDY, until_days=_EARLY_DAYS)
    return source or booked_follow_up(record)


def stay_of(record: PatientRecord) -> Stay:
    """Return the stay that ends."""
    stay = current_stay(record)
    assert stay is not None  # noqa: S101 - who has none is excluded before
    return stay


NO_FOLLOW_UP = (
    *NO_ESTIMATE_OF_STAY,
    Exclusion(
        "outside-population",
        "The stay ends in hospice care or with death.",
        lambda record: _goes_to(record, "died", "hospice"),
    ),
    Exclusion(
        "outside-population",
        "The patient goes to {found}: the team there decides who follows up.",
        lambda record: _goes_to(record, *OTHER_HOSPITALS),
    ),
    Exclusion("already-done", "A follow-up is arranged ({found}).", _arranged),
)
"""For whom no follow-up is proposed, whatever the risk."""


# FHIR R4, appointmentstatus: agreed on, or waiting for somebody to agree.
_BOOKED = frozenset({"booked", "pending", "arrived", "checked-in"})


def booked_follow_up(record: PatientRecord) -> str | None:
    """Return the booked visit of the next two weeks that is not a study, as Type/id; None where there is none."""
    for appointment in record.facts(Appointment):
        time = parse_time(appointment.start)
        actors = [participant.actor for participant in appointment.participant if participant.actor is not None]
        patients = [actor.reference for actor in actors if actor.reference and "Patient/" in actor.reference]
        is_of_patient = not patients or any(who.endswith(f"/{record.patient_id}") for who in patients)
        if time is None or appointment.status not in _BOOKED or not is_of_patient:
            continue
        kind = appointment.appointmentType
        concepts = (*appointment.serviceType, *((kind,) if kind is not None else ()))
        words = " ".join([appointment.description or "", *(concept.words for concept in concepts)])
        is_early = 0 < time.instant + DAY_SECONDS - record.as_of_epoch <= (_EARLY_DAYS + 1) * DAY_SECONDS
        if is_early and _OF_A_STUDY.search(words) is None:
            return f"Appointment/{appointment.id}"
    return None


def offer_of_follow_up(call: ServiceInput, facility: str | None = None) -> Suggestion:
    """Return the order of a visit within a week of discharge, in a facility one of a follow-up agreed with its team."""
    due = (call.record.as_of + timedelta(days=_FOLLOW_UP_DAYS)).date().isoformat()
    visit = "Follow-up visit" if facility is None else f"Follow-up agreed with {facility}"
    return offer(
        call,
        f"Order a {'visit' if facility is None else 'follow-up'} within 7 days",
        f"Draft order: {decapitalized(visit)} within 7 days of discharge.",
        f"{visit} within 7 days of discharge",
        **of_stay(call),
        occurrenceDateTime=due,
    )


def of_stay(call: ServiceInput) -> dict[str, Any]:
    """Return what an order says of the stay."""
    encounter = call.request.context.encounter_id
    return {"encounter": {"reference": f"Encounter/{encounter}"}} if encounter else {}
