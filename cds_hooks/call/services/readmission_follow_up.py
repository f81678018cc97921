"""Whom to follow up early after a stay with diabetes: the 30-day readmission model at encounter-discharge.

A patient gets one card with one figure: the scores of `discharge-follow-up`, which were tried elsewhere, come first,
here too, and the model is shown where none of them is. So both services say the same where both would show a card, and
of a client that calls both one shows the card (`cds_hooks/call/hold_back/visit.py`).

What a chart cannot tell the model does not ask: the counts of tests and procedures, the dose changes and the admission
type of the study have no equal in it (docs/models/README.md has what that costs).
"""

from datetime import timedelta

from msgspec.structs import replace

from cards.card import TOPICS, Card, CardText
from cards.compose.model import model_card
from cards.text import decapitalized
from cds_hooks.call.prefetch.needs import Needs
from cds_hooks.call.protocol.hooks import ENCOUNTER_DISCHARGE, EncounterDischargeContext
from cds_hooks.call.services._equation import offer
from cds_hooks.call.services._exclusions import Exclusion, first_reason
from cds_hooks.call.services._follow_up import FEATURES as SCORE_FEATURES
from cds_hooks.call.services._follow_up import FOLLOW_UP_DAYS, NO_FOLLOW_UP, advise_by_scores, facility_of
from cds_hooks.call.services._model import ChartModel, ModelEstimate
from cds_hooks.call.services._service import Advice, Advisor, ServiceInput, advise_by_model
from cds_hooks.call.trusted_models import served_model
from fhir.mapping.conditions import find_condition
from fhir.mapping.features.catalog import features_named
from fhir.mapping.features.feature import map_features

MODEL, TWIN = served_model("readmission_30d"), served_model("readmission_30d_early")
FEATURES = features_named(MODEL.features)
SUMMARY = "Readmission within 30 days: {estimate}. Consider early follow-up."
CARD = CardText(
    summary=SUMMARY,
    topic=TOPICS["readmission"],
    alike="stays like this one",
    seen="came back",
    closing="For planning after discharge, not for emergencies.",
)
"""The words of the card."""
WITHOUT_DIABETES = Exclusion(
    "outside-population",
    "The model is for stays with diabetes; no diabetes is on record.",
    lambda record: find_condition(record, "diabetes") is None,
)
DESTINATION_UNKNOWN = (
    "**The discharge destination is not charted yet**: the estimate does not use it and is less exact."
)


async def find(call: ServiceInput) -> Advice:
    """One info card where a score or the estimate of the model is high, else the reason for none."""
    by_scores = advise_by_scores(call)
    return by_scores if by_scores.cards else await _by_model(call)


async def _by_model(call: ServiceInput) -> Advice:
    """One info card where the estimate is among the highest of the study's stays, else the reason for none."""
    without = first_reason((WITHOUT_DIABETES,), MODEL.manifest.id, call.record)
    if without is not None:
        return Advice(silences=[without])
    vector = OF_CHART.inputs(call.record)
    return await advise_by_model(call, OF_CHART, vector, lambda estimate: _card(call, estimate))


def _card(call: ServiceInput, estimate: ModelEstimate) -> Card:
    record, context = call.record, call.request.context
    assert isinstance(context, EncounterDischargeContext)  # noqa: S101 - the only hook of this service
    due = (record.as_of + timedelta(days=FOLLOW_UP_DAYS)).date().isoformat()
    facility = facility_of(record)
    setting = "" if facility is None else f"**Goes to {facility}**: agree the follow-up with the team there.\n\n"
    visit = "Follow-up visit" if facility is None else f"Follow-up agreed with {facility}"
    return model_card(
        estimate.manifest,
        estimate.prediction,
        estimate.vector,
        replace(
            CARD,
            opening=f"{setting}Why: ",
            offers=(
                offer(
                    call,
                    f"Order a {'visit' if facility is None else 'follow-up'} within 7 days",
                    f"Draft order: {decapitalized(visit)} within 7 days of discharge.",
                    f"{visit} within 7 days of discharge",
                    encounter={"reference": f"Encounter/{context.encounter_id}"},
                    occurrenceDateTime=due,
                ),
            ),
            beside=(DESTINATION_UNKNOWN,) if estimate.model is TWIN else (),
        ),
        call.card_identity(call.model_url(estimate.manifest.id)),
    )


OF_CHART = ChartModel(MODEL, TWIN, (*NO_FOLLOW_UP, WITHOUT_DIABETES), lambda record: map_features(record, FEATURES))

ADVISOR = Advisor(
    id="readmission-follow-up",
    hooks=(ENCOUNTER_DISCHARGE,),
    title="Whom to follow up early after a stay with diabetes",
    description=(
        "Estimates the chance of readmission within 30 days of a stay with diabetes and, where it is among the "
        "highest, suggests a follow-up visit within a week. Where HOSPITAL or LACE is high, their card comes first."
    ),
    usage_requirements="For physicians, nurses and care managers at discharge; never shown to patients.",
    needs=Needs.of(
        features=(*FEATURES, *SCORE_FEATURES),
        resources=("Appointment", "Condition", "Encounter", "Procedure", "ServiceRequest"),
        required=("encounters",),
    ),
    exclusions=NO_FOLLOW_UP,
    subject="readmission_30d",
    find=find,
    models=(MODEL, TWIN),
    of_chart=OF_CHART,
)
