"""Whom to see soon after discharge: the scores HOSPITAL, else LACE, at encounter-discharge.

`ESTIMATES` are asked in their order, and the first that can be worked out and is high is shown: HOSPITAL before LACE.
Bands: HOSPITAL high from 7 points (JAMA Intern Med 2016), LACE high from 10.
"""

import re
from collections.abc import Callable
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from cards.card import TOPICS, CardText
from cds_hooks.call.prefetch.needs import Needs
from cds_hooks.call.protocol.hooks import ENCOUNTER_DISCHARGE
from cds_hooks.call.services._equation import EquationQuestion, advise_by_equation, offer
from cds_hooks.call.services._exclusions import Exclusion
from cds_hooks.call.services._follow_up import NO_FOLLOW_UP, facility_of, of_stay, offer_of_follow_up, stay_of
from cds_hooks.call.services._service import Advice, Advisor, ServiceInput
from fhir.mapping.conditions import condition_time, find_condition
from fhir.mapping.features.feature import Missing, map_features
from fhir.mapping.features.measured import Measured
from fhir.mapping.stays import Stay, discharge_destination
from fhir.record.datatypes import DAY_SECONDS, parse_time
from fhir.record.record import PatientRecord
from fhir.record.resources import Condition
from fhir.terminology.conditions import ends_pregnancy
from models_onnx.equations.calculate import EquationResult, RecordInputs, features_of, inputs_from_record
from models_onnx.equations.declaration import Equation, get_equation
from models_onnx.errors import EquationRefused

_ADULT_YEARS = 18
# LACE is for medical and surgical wards, HOSPITAL for medical services.
_OTHER_WARD = re.compile(
    r"psychiatr|behaviou?ral health|mental health|obstetric|maternity|\blabou?r (?:and|&) delivery", re.I
)
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


def _child(record: PatientRecord) -> int | None:
    age = record.age_years()
    return age if age is not None and age < _ADULT_YEARS else None


def _is_of_other_ward(record: PatientRecord) -> bool:
    encounter = stay_of(record).encounter
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
    begun = stay_of(record).start.instant
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


def find(call: ServiceInput) -> Advice:
    """One card of the first score that can be worked out and is high, else the reasons of both."""
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
    stay = stay_of(call.record)
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
    at_home = "The discharge destination is not charted; the score is for people who go home. "
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
                **of_stay(call),
            ),
        ),
        beside=tuple(line for charted in beside if (line := _beside_line(charted))),
        closing=(
            f"{at_home if discharge_destination(call.record) is None else ''}Stays and visits elsewhere are not "
            "counted."
        ),
    )


def _beside_line(charted: RecordInputs) -> str:
    try:
        result = charted.calculate()
    except EquationRefused:
        return ""
    band = f": {result.band_words}" if result.band_words else ""
    unlike = "" if result.band_id == "high" else " The two scores disagree; the higher risk is shown."
    return f"**{charted.equation.title} {int(result.number)}**{band}.{unlike}"


ADVISOR = Advisor(
    id="discharge-follow-up",
    hooks=(ENCOUNTER_DISCHARGE,),
    title="Whom to see soon after discharge",
    description=(
        "HOSPITAL and LACE of adults who go home: where one is high and no follow-up is arranged, suggests a visit "
        "within a week."
    ),
    usage_requirements="For physicians, nurses and care managers at discharge; never shown to patients.",
    needs=Needs.of(
        features=FEATURES, resources=("Appointment", "Condition", "Encounter", "Procedure", "ServiceRequest")
    ),
    exclusions=(*NO_FOLLOW_UP, *NO_SCORES),
    subject=HOSPITAL.id,
    find=find,
)
