"""Who is followed up early after discharge: what the services share, and the scores, which both of them ask first.

`ESTIMATES` are asked in their order, and the first that can be worked out and is high is shown: HOSPITAL before LACE.
Bands: HOSPITAL high from 7 points (JAMA Intern Med 2016), LACE high from 10.
"""

import re
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from cards.card import TOPICS, CardText, OrderSuggestion
from cards.text import decapitalized
from cds_hooks.call.services._equation import EquationQuestion, advise_by_equation, offer
from cds_hooks.call.services._exclusions import NO_ESTIMATE_OF_STAY, Exclusion, find_named_in_chart
from cds_hooks.call.services._service import Advice, ServiceInput
from fhir.mapping.conditions import condition_time, find_condition
from fhir.mapping.features.feature import Missing, map_features
from fhir.mapping.features.measured import Measured
from fhir.mapping.stays import OTHER_HOSPITALS, Stay, current_stay, discharge_destination
from fhir.record.datatypes import DAY_SECONDS, parse_time
from fhir.record.record import PatientRecord
from fhir.record.resources import Appointment, Condition
from fhir.terminology.conditions import ends_pregnancy
from models_onnx.equations.calculate import EquationResult, RecordInputs, features_of, inputs_from_record
from models_onnx.equations.declaration import Equation, get_equation
from models_onnx.errors import EquationRefused

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
_ADULT_YEARS = 18
# LACE is for medical and surgical wards, HOSPITAL for medical services.
_OTHER_WARD = re.compile(
    r"psychiatr|behaviou?ral health|mental health|obstetric|maternity|\blabou?r (?:and|&) delivery", re.I
)
# fhir/terminology/tables/discharge_destinations.csv: a team there cares for the patient, and follows up.
FACILITIES = frozenset({"skilled_nursing", "intermediate_care", "rehabilitation"})
HOSPITAL, LACE = get_equation("hospital_score"), get_equation("lace")
FEATURES = features_of(HOSPITAL, LACE)


class FollowUpScore(Struct, frozen=True):
    """One score of who comes back: the equation, the words of its opening line, and from which score on it is shown."""

    equation: Equation
    opening: Callable[[EquationResult], str]


def _hospital_opening(result: EquationResult) -> str:
    return (
        f"**HOSPITAL {int(result.number)} of 13**: high. About **23 in 100** people with 7 points or more were "
        "readmitted within 30 days for an avoidable reason (JAMA Intern Med 2016)."
    )


def _lace_opening(result: EquationResult) -> str:
    ((_, expected),) = result.rates()
    return (
        f"**LACE {int(result.number)} of 19**: high (10 or more). About **{expected:.0f} in 100** people with this "
        "score are expected to die or to be readmitted unplanned within 30 days (van Walraven 2010)."
    )


ESTIMATES = (FollowUpScore(HOSPITAL, _hospital_opening), FollowUpScore(LACE, _lace_opening))


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
    begun = _stay(record).start.age_days(record.as_of_epoch)
    source = find_named_in_chart(record, FOLLOW_UP_WORDS, begun, not_with=_OF_A_STUDY, until_days=_EARLY_DAYS)
    return source or booked_follow_up(record)


def _stay(record: PatientRecord) -> Stay:
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
        time = parse_time(appointment.start or "")
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


def _child(record: PatientRecord) -> int | None:
    age = record.age_years()
    return age if age is not None and age < _ADULT_YEARS else None


def _is_of_other_ward(record: PatientRecord) -> bool:
    encounter = _stay(record).encounter
    concepts = (*encounter.type, *((encounter.serviceType,) if encounter.serviceType is not None else ()))
    places = (encounter.serviceProvider, *(location.location for location in encounter.location))
    words = [
        *(concept.words for concept in concepts),
        *(location.display for location in places if location is not None),
    ]
    return any(_OTHER_WARD.search(word) for word in words)


def _is_obstetric(record: PatientRecord) -> bool:
    return find_condition(record, "pregnancy") is not None or _gave_birth(record)


def _gave_birth(record: PatientRecord) -> bool:
    begun = _stay(record).start.instant
    for condition in record.facts(Condition):
        time = condition_time(condition, record)
        in_stay = time is not None and time.instant + DAY_SECONDS >= begun
        codings = condition.code.coding if condition.code is not None else ()
        if in_stay and any(ends_pregnancy(coding.system, coding.code, coding.display) for coding in codings):
            return True
    return False


NO_SCORES = tuple(
    Exclusion("outside-population", text, find)
    for text, find in (
        ("The patient goes to {found}: the scores are for discharge home.", facility_of),
        (
            "Age is not known: no usable birth date. The scores are for adults.",
            lambda record: record.age_years() is None,
        ),
        ("The scores are for adults; the patient is {found}.", _child),
        ("The scores are for medical and surgical stays, not for obstetrics or psychiatry.", _is_of_other_ward),
        ("The scores are not for obstetric stays: a pregnancy or a birth is on record.", _is_obstetric),
    )
)
"""For which stays neither score is: the model of `readmission-follow-up` may be."""


def advise_by_scores(call: ServiceInput) -> Advice:
    """Return the card of the first score that can be worked out and is high, else the reasons of all.

    Asked where none of `NO_FOLLOW_UP` and `NO_SCORES` holds.
    """
    vector = map_features(call.record, FEATURES)
    charts = [
        (estimate, _of_this_stay(call, inputs_from_record(estimate.equation, call.record, vector=vector)))
        for estimate in ESTIMATES
    ]
    advices: list[Advice] = []
    for score, charted in charts:
        beside = [other for other_score, other in charts if other_score is not score]
        below, text = f"{score.equation.title} is not high.", partial(_text, call, score, beside)
        advice = advise_by_equation(call, charted, EquationQuestion("score", frozenset({"high"}), below, text))
        if advice.cards:
            return advice
        advices.append(advice)
    first = advices[0]
    first.silences = [silence for advice in advices for silence in advice.silences]
    first.models = tuple(model for advice in advices for model in advice.models)
    return first


def _of_this_stay(call: ServiceInput, charted: RecordInputs) -> RecordInputs:
    """Without laboratory values from before the stay: HOSPITAL asks for the last ones before discharge."""
    stay = _stay(call.record)
    old = {
        name: Missing(
            value.feature, "stale", f"{value.feature.words} is from before this stay ({value.effective[:10]})."
        )
        for name, value in charted.evidence.items()
        if isinstance(value.feature, Measured) and _is_before(value.effective, stay)
    }
    current_values = {name: value for name, value in charted.given.items() if name not in old}
    return replace(charted, given=current_values, missing={**charted.missing, **old})


def _is_before(effective: str, stay: Stay) -> bool:
    time = parse_time(effective)
    return time is not None and time.instant + DAY_SECONDS < stay.start.instant


def _text(call: ServiceInput, estimate: FollowUpScore, beside: list[RecordInputs], result: EquationResult) -> CardText:
    is_home = "The discharge destination is not charted; the score is for people who go home. "
    return CardText(
        summary=(
            f"{estimate.equation.title} {int(result.number)}: high risk of readmission within 30 days. Consider a "
            "visit within 7 days."
        ),
        opening=estimate.opening(result),
        topic=TOPICS["follow-up"],
        offers=(
            offer_of_follow_up(call),
            offer(
                call,
                "Order a call within 3 days",
                "Draft order for a telephone call within 3 days of discharge: medicines, symptoms, appointments.",
                "Follow-up call within 3 days of discharge",
                **_of_stay(call),
            ),
        ),
        beside=tuple(line for charted in beside if (line := _beside_line(charted))),
        closing=(
            f"{is_home if discharge_destination(call.record) is None else ''}Stays and visits elsewhere are not "
            "counted. Not for emergencies."
        ),
    )


def offer_of_follow_up(call: ServiceInput, facility: str | None = None) -> OrderSuggestion:
    """Return the order of a visit within a week of discharge, in a facility one of a follow-up agreed with its team."""
    due = (call.record.as_of + timedelta(days=_FOLLOW_UP_DAYS)).date().isoformat()
    visit = "Follow-up visit" if facility is None else f"Follow-up agreed with {facility}"
    return offer(
        call,
        f"Order a {'visit' if facility is None else 'follow-up'} within 7 days",
        f"Draft order: {decapitalized(visit)} within 7 days of discharge.",
        f"{visit} within 7 days of discharge",
        **_of_stay(call),
        occurrenceDateTime=due,
    )


def _of_stay(call: ServiceInput) -> dict[str, Any]:
    encounter = call.request.context.encounter_id
    return {"encounter": {"reference": f"Encounter/{encounter}"}} if encounter else {}


def _beside_line(charted: RecordInputs) -> str:
    try:
        result = charted.calculate()
    except EquationRefused:
        return ""
    band = f" ({result.band_words})" if result.band_words else ""
    return f"**{charted.equation.title} {int(result.number)}**{band}."
