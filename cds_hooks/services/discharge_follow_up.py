"""Whom to see soon after discharge: HOSPITAL, and LACE beside it, at encounter-discharge.

`ESTIMATES` are asked in their order, and the first that can be worked out and is high speaks. The trained model has a
service of its own beside this one, for stays with diabetes (`readmission.py`). Bands: HOSPITAL high from 7 points (JAMA
Intern Med 2016), LACE high from 10.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from cards.card import TOPICS
from cards.compose.equation import EquationCardContent, OrderSuggestion
from cards.new_orders import service_order
from cds_hooks.prefetch import Needs
from cds_hooks.protocol.hooks import ENCOUNTER_DISCHARGE, EncounterDischargeContext
from cds_hooks.services._equation import (
    EquationQuestion,
    advise_by_equation,
    find_named_in_chart,
    reason_not_to_advise,
    today,
)
from cds_hooks.services._service import Advice, Service, ServiceInput, no_card
from fhir.mapping.features.feature import Missing, map_features
from fhir.mapping.features.measured import Measured
from fhir.mapping.stays import Stay, current_stay, discharge_destination
from fhir.record.datatypes import DAY_SECONDS, parse_time
from models_onnx.equations.calculate import EquationResult
from models_onnx.equations.declaration import Equation, get_equation
from models_onnx.equations.record_inputs import RecordInputs, features_of, inputs_from_record
from models_onnx.errors import EquationRefused

HOSPITAL, LACE = get_equation("hospital_score"), get_equation("lace")
FEATURES = features_of(HOSPITAL, LACE)
FOLLOW_UP_WORDS = ("follow-up", "follow up", "post-discharge", "transition of care", "transitional care")
_FOLLOW_UP_DAYS = 7
# fhir/terminology/tables/discharge_destinations.csv: LACE and HOSPITAL are for people who go home.
_HOME = frozenset({"home", "home_health", "home_infusion"})


@dataclass(frozen=True, slots=True)
class FollowUpScore:
    """One way to tell who comes back: the equation, the words of its opening line, and from when on it speaks."""

    equation: Equation
    opening: Callable[[EquationResult], str]


def _hospital_opening(result: EquationResult) -> str:
    return (
        f"**HOSPITAL {int(result.number)} of 13**: high. About **23 in 100** people with 7 points or more came back to "
        "hospital within 30 days for a reason that might have been avoided (JAMA Intern Med 2016)."
    )


def _lace_opening(result: EquationResult) -> str:
    return (
        f"**LACE {int(result.number)} of 19**: high (10 or more). Expected to die or to come back unplanned within 30 "
        "days: 2 in 100 at 0 points, 44 in 100 at 19 (van Walraven 2010)."
    )


ESTIMATES = (FollowUpScore(HOSPITAL, _hospital_opening), FollowUpScore(LACE, _lace_opening))


async def decide(call: ServiceInput) -> Advice:
    """One card where a score is high and no follow-up is arranged, else the reason for none."""
    record, context = call.record, call.request.context
    assert isinstance(context, EncounterDischargeContext)  # noqa: S101 - the only hook of this service
    past = reason_not_to_advise(record, HOSPITAL.id, at_home=False)
    if past is not None:
        return past
    outside = _goes_elsewhere(call)
    if outside is not None:
        return outside
    arranged = find_named_in_chart(record, FOLLOW_UP_WORDS, _days_of_stay(call))
    if arranged is not None:
        return no_card(HOSPITAL.id, "already-done", f"A follow-up is arranged ({arranged}).")
    return _first_that_speaks(call)


def _first_that_speaks(call: ServiceInput) -> Advice:
    vector = map_features(call.record, FEATURES)
    charts = [
        (each, _of_this_stay(call, inputs_from_record(each.equation, call.record, vector=vector))) for each in ESTIMATES
    ]
    advices = [advise_by_equation(call, charted, _question(call, each, charts)) for each, charted in charts]
    speaking = next((advice for advice in advices if advice.cards), None)
    if speaking is not None:
        return speaking
    first = advices[0]
    first.silences = [silence for advice in advices for silence in advice.silences]
    first.models = tuple(model for advice in advices for model in advice.models)
    return first


def _of_this_stay(call: ServiceInput, charted: RecordInputs) -> RecordInputs:
    """Without laboratory values from before the stay: HOSPITAL asks for the last ones before discharge."""
    stay = current_stay(call.record)
    if stay is None:
        return charted
    old = {
        name: Missing(
            found.feature, "stale", f"{found.feature.words} is from before this stay ({found.effective[:10]})."
        )
        for name, found in charted.evidence.items()
        if isinstance(found.feature, Measured) and _is_before(found.effective, stay)
    }
    given = {name: value for name, value in charted.given.items() if name not in old}
    return replace(charted, given=given, missing={**charted.missing, **old})


def _is_before(effective: str, stay: Stay) -> bool:
    time = parse_time(effective)
    return time is not None and time.instant + DAY_SECONDS < stay.start.instant


def _goes_elsewhere(call: ServiceInput) -> Advice | None:
    if current_stay(call.record) is None:
        return no_card(HOSPITAL.id, "outside-population", "No stay in hospital is on the chart that could end.")
    known = discharge_destination(call.record)
    if known is not None and known[0].key not in _HOME:
        return no_card(
            HOSPITAL.id, "outside-population", "The patient does not go home: the scores are for discharge home."
        )
    return None


def _days_of_stay(call: ServiceInput) -> float:
    stay = current_stay(call.record)
    return stay.start.age_days(call.record.as_of_epoch) if stay is not None else 0.0


def _question(
    call: ServiceInput, estimate: FollowUpScore, charts: list[tuple[FollowUpScore, RecordInputs]]
) -> EquationQuestion:
    def said(_: RecordInputs, result: EquationResult) -> EquationCardContent:
        beside = [charted for each, charted in charts if each.equation is not estimate.equation]
        return _said(call, estimate, result, beside)

    below = f"{estimate.equation.title} is not high."
    return EquationQuestion("score", _is_high, below, said)


def _is_high(result: EquationResult) -> bool:
    return result.band is not None and result.band.id == "high"


def _said(
    call: ServiceInput, estimate: FollowUpScore, result: EquationResult, beside: list[RecordInputs]
) -> EquationCardContent:
    record = call.record
    due = (record.as_of + timedelta(days=_FOLLOW_UP_DAYS)).date().isoformat()
    context = call.request.context
    encounter = getattr(context, "encounter_id", None)
    more = {"encounter": {"reference": f"Encounter/{encounter}"}} if encounter else {}
    return EquationCardContent(
        summary=(
            f"{estimate.equation.title} {int(result.number)}: high risk of coming back within 30 days. Consider a "
            "visit within a week of discharge."
        ),
        opening=estimate.opening(result),
        topic=TOPICS["follow-up"],
        offers=(
            OrderSuggestion(
                "Order a visit within 7 days",
                "Draft order for a follow-up visit within 7 days of discharge.",
                service_order(
                    "Follow-up visit within 7 days of discharge",
                    record.patient_id,
                    today(call),
                    occurrenceDateTime=due,
                    **more,
                ),
            ),
            OrderSuggestion(
                "Order a call within 3 days",
                "Draft order for a telephone call within 3 days of discharge: medicines, symptoms, appointments.",
                service_order("Follow-up call within 3 days of discharge", record.patient_id, today(call), **more),
            ),
        ),
        beside=tuple(line for charted in beside if (line := _beside_line(charted))),
        closing="A chart of one site counts too few earlier stays and visits. Not for emergencies.",
    )


def _beside_line(charted: RecordInputs) -> str:
    try:
        result = charted.calculate()
    except EquationRefused:
        return ""
    band = f" ({result.band.words})" if result.band is not None else ""
    return f"**{charted.equation.title} {int(result.number)}**{band}."


SERVICE = Service(
    id="discharge-follow-up",
    hooks=(ENCOUNTER_DISCHARGE,),
    title="Whom to see soon after discharge",
    description=(
        "HOSPITAL and LACE of adults who go home: where one is high and no follow-up is arranged, suggests a visit "
        "within a week."
    ),
    usage_requirements="For physicians, nurses and care managers at discharge; never shown to patients.",
    needs=Needs.of(features=FEATURES, resources=("Condition", "Encounter", "Procedure", "ServiceRequest")),
    decide=decide,
)
