"""Whom to follow up early after a stay with diabetes: the 30-day readmission model at encounter-discharge.

Beside the score-based service `discharge-follow-up`, for a narrower group and from its own study: a site switches one
of them on. What a chart cannot tell the model does not ask: the counts of tests and procedures, the dose changes and
the admission type of the study have no equal in it (docs/models/README.md has what that costs).
"""

from datetime import timedelta

from cards.card import TOPICS, Card
from cards.compose.model import ModelCardContent, model_card
from cards.new_orders import service_order
from cards.rules.engine.finding import Silence
from cds_hooks.prefetch import Needs
from cds_hooks.protocol.hooks import ENCOUNTER_DISCHARGE, EncounterDischargeContext
from cds_hooks.services._equation import find_named_in_chart, reason_not_to_advise, today
from cds_hooks.services._model import ModelEstimate, estimate
from cds_hooks.services._service import Advice, Service, ServiceInput, no_card
from cds_hooks.storage.decision import suggestion_uuid
from cds_hooks.trusted_models import served_model
from fhir.mapping.conditions import find_condition_group
from fhir.mapping.features.catalog import features_named
from fhir.mapping.features.feature import map_features
from fhir.mapping.stays import current_stay, discharge_destination

MODEL, TWIN = served_model("readmission_30d"), served_model("readmission_30d_early")
FEATURES = features_named(MODEL.features)
SUMMARY = (
    "Readmission within 30 days: {estimate} (higher than {higher} in 100 of stays with diabetes). "
    "Consider early follow-up."
)
DESTINATION_UNKNOWN = "**Where the stay ends is not charted yet**: the estimate does without it, and is rougher for it."
FOLLOW_UP_WORDS = ("follow-up", "follow up", "post-discharge", "transition of care", "transitional care")
_NOT_HOME = frozenset({"died", "hospice"})
_FOLLOW_UP_DAYS = 7


async def decide(call: ServiceInput) -> Advice:
    """One info card where the estimate is among the highest of the study's stays, else the reason for none."""
    record, context = call.record, call.request.context
    assert isinstance(context, EncounterDischargeContext)  # noqa: S101 - the only hook of this service
    call.prefetch.require("encounters")
    outside = reason_not_to_advise(record, MODEL.manifest.id, at_home=False) or _outside_population(call)
    if outside is not None:
        return outside
    found = await estimate(call.predict, map_features(record, FEATURES), MODEL, TWIN, call.why_withheld)
    advice = Advice(features=found.vector, models=(found.reference,))
    if found.is_recorded:
        advice.scores = found.scores
    if found.refused is not None:
        advice.silences.append(Silence(found.manifest.id, found.refused.reason, found.refused.text))
        return advice
    if found.prediction.percentile < 100 * (1 - call.alert_share):
        share = round(call.alert_share * 100)
        text = f"The estimate is not among the highest {share} in 100 of {found.manifest.reference.words}."
        advice.silences.append(Silence(found.manifest.id, "below-threshold", text))
    else:
        advice.cards.append(_card(call, found))
    return advice


def _outside_population(call: ServiceInput) -> Advice | None:
    record, subject = call.record, MODEL.manifest.id
    stay = current_stay(record)
    if stay is None:
        return no_card(subject, "outside-population", "No stay in hospital is on the chart that could end.")
    if find_condition_group(record, "diabetes") is None:
        return no_card(subject, "outside-population", "The model is of stays with diabetes; none is on record.")
    known = discharge_destination(record)
    if known is not None and known[0].key in _NOT_HOME:
        return no_card(subject, "outside-population", "The stay ends in hospice care or with death.")
    arranged = find_named_in_chart(record, FOLLOW_UP_WORDS, stay.start.age_days(record.as_of_epoch))
    if arranged is not None:
        return no_card(subject, "already-done", f"A follow-up is arranged ({arranged}).")
    return None


def _card(call: ServiceInput, found: ModelEstimate) -> Card:
    record, uuid = call.record, call.card_uuid()
    context = call.request.context
    assert isinstance(context, EncounterDischargeContext)  # noqa: S101 - the only hook of this service
    due = (record.as_of + timedelta(days=_FOLLOW_UP_DAYS)).date().isoformat()
    return model_card(
        found.manifest,
        found.prediction,
        found.vector,
        ModelCardContent(
            summary=SUMMARY,
            label="Order a visit within 7 days",
            description="Draft order for a follow-up visit within 7 days of discharge.",
            order=service_order(
                "Follow-up visit within 7 days of discharge",
                record.patient_id,
                today(call),
                encounter={"reference": f"Encounter/{context.encounter_id}"},
                occurrenceDateTime=due,
            ),
            remark=DESTINATION_UNKNOWN if found.model is TWIN else "",
            topic=TOPICS["readmission"],
            alike="stays like this one",
            seen="came back",
            purpose="For planning after discharge, not for emergencies.",
        ),
        uuid,
        lambda number: suggestion_uuid(uuid, number),
        call.explain_url,
        call.model_url(found.manifest.id),
    )


SERVICE = Service(
    id="readmission-follow-up",
    hooks=(ENCOUNTER_DISCHARGE,),
    title="Whom to follow up early after a stay with diabetes",
    description=(
        "Estimates the chance of readmission within 30 days of a stay with diabetes and, where it is among the "
        "highest, suggests a follow-up visit within a week. For planning, not for emergencies."
    ),
    usage_requirements="For physicians, nurses and care managers at discharge; never shown to patients.",
    needs=Needs.of(
        features=FEATURES, resources=("Condition", "Encounter", "Procedure", "ServiceRequest"), required=("encounters",)
    ),
    decide=decide,
    models=(MODEL, TWIN),
)
