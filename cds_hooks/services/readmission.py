"""Whom to follow up early after a stay with diabetes: the 30-day readmission model at encounter-discharge.

Beside the score-based service `discharge-follow-up`, for a narrower group and from its own study: a site switches one
of them on. What a chart cannot tell the model does not ask: the counts of tests and procedures, the dose changes and
the admission type of the study have no equal in it (docs/models/README.md has what that costs).
"""

from datetime import timedelta

from cards.card import Card
from cards.compose_model import Planned, model_card
from cards.orderable_tests import service_order
from cards.rules.finding import Silence
from cards.topics import TOPICS
from cds_hooks.advising import named_in_chart, nobody_to_advise, silent, today
from cds_hooks.estimating import Estimated, estimate
from cds_hooks.prefetch import Needs
from cds_hooks.protocol.hooks import ENCOUNTER_DISCHARGE, EncounterDischargeContext
from cds_hooks.service import Advice, Service, Situation
from cds_hooks.storage.identifiers import suggestion_uuid
from fhir.mapping.condition_groups import has_group
from fhir.mapping.features import features_named
from fhir.mapping.hospital_use import current_stay
from fhir.mapping.stay_facts import discharge_destination
from fhir.mapping.vector import map_features
from models_onnx.registry import load_model

MODEL, TWIN = load_model("readmission_30d"), load_model("readmission_30d_early")
FEATURES = features_named(MODEL.features)
SUMMARY = (
    "Readmission within 30 days: about {people} in 100 (higher than {higher} in 100 of stays with diabetes). "
    "Consider early follow-up."
)
DESTINATION_UNKNOWN = "**Where the stay ends is not charted yet**: the estimate does without it, and is rougher for it."
FOLLOW_UP_WORDS = ("follow-up", "follow up", "post-discharge", "transition of care", "transitional care")
_NOT_HOME = frozenset({"died", "hospice"})
_FOLLOW_UP_DAYS = 7


async def decide(situation: Situation) -> Advice:
    """One info card where the estimate is among the highest of the study's stays, else the reason for none."""
    record, context = situation.record, situation.request.context
    assert isinstance(context, EncounterDischargeContext)  # noqa: S101 - the only hook of this service
    record.encounter_id = context.encounter_id
    situation.prefetch.require("encounters")
    outside = nobody_to_advise(record, MODEL.manifest.id, at_home=False) or _outside_population(situation)
    if outside is not None:
        return outside
    found = await estimate(situation.predict, map_features(record, FEATURES), MODEL, TWIN)
    advice = Advice(features=found.vector, models=(found.reference,))
    if found.is_recorded:
        advice.scores = found.scores
    if found.refused is not None:
        advice.silences.append(Silence(found.manifest.id, found.refused.reason, found.refused.text))
        return advice
    if found.prediction.percentile < 100 * (1 - situation.alert_share):
        share = round(situation.alert_share * 100)
        text = f"The estimate is not among the highest {share} in 100 of {found.manifest.reference.words}."
        advice.silences.append(Silence(found.manifest.id, "below-threshold", text))
    else:
        advice.cards.append(_card(situation, found))
    return advice


def _outside_population(situation: Situation) -> Advice | None:
    record, subject = situation.record, MODEL.manifest.id
    stay = current_stay(record)
    if stay is None:
        return silent(subject, "outside-population", "No stay in hospital is on the chart that could end.")
    if has_group(record, "diabetes") is None:
        return silent(subject, "outside-population", "The model is of stays with diabetes; none is on record.")
    known = discharge_destination(record)
    if known is not None and known[0].key in _NOT_HOME:
        return silent(subject, "outside-population", "The stay ends in hospice care or with death.")
    arranged = named_in_chart(record, FOLLOW_UP_WORDS, stay.start.age_days(record.as_of_epoch))
    if arranged is not None:
        return silent(subject, "already-done", f"A follow-up is arranged ({arranged}).")
    return None


def _card(situation: Situation, found: Estimated) -> Card:
    record, uuid = situation.record, situation.card_uuid()
    context = situation.request.context
    assert isinstance(context, EncounterDischargeContext)  # noqa: S101 - the only hook of this service
    due = (record.as_of + timedelta(days=_FOLLOW_UP_DAYS)).date().isoformat()
    return model_card(
        found.manifest,
        found.prediction,
        found.vector,
        Planned(
            summary=SUMMARY,
            label="Order a visit within 7 days",
            description="Draft order for a follow-up visit within 7 days of discharge.",
            order=service_order(
                "Follow-up visit within 7 days of discharge",
                record.patient_id,
                today(situation),
                encounter={"reference": f"Encounter/{context.encounter_id}"},
                occurrenceDateTime=due,
            ),
            remark=DESTINATION_UNKNOWN if found.model is TWIN else "",
            topic=TOPICS["readmission"],
            alike="stays like this one",
            purpose="For planning after discharge, not for emergencies.",
        ),
        uuid,
        lambda number: suggestion_uuid(uuid, number),
        situation.explain_url,
        situation.model_url(found.manifest.id),
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
)
