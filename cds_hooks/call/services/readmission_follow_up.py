"""Whom to follow up early after a stay with diabetes: the 30-day readmission model at encounter-discharge.

The service `discharge` shows one follow-up with one figure: that of the scores of `discharge-follow-up`, which were
tried elsewhere, where one of them is high.

What a chart cannot tell the model does not ask: the counts of tests and procedures, the dose changes and the admission
type of the study have no equal in it (docs/models/README.md has what that costs).
"""

from functools import partial

from msgspec.structs import replace

from cards.card import TOPICS, CardText
from cds_hooks.call.prefetch.needs import Needs
from cds_hooks.call.protocol.hooks import ENCOUNTER_DISCHARGE
from cds_hooks.call.services._exclusions import Exclusion
from cds_hooks.call.services._follow_up import NO_FOLLOW_UP, facility_of, offer_of_follow_up
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


def find(call: ServiceInput) -> Advice:
    """One info card where the estimate of the model is high, else the reason for none."""
    return advise_by_model(call, OF_CHART, OF_CHART.inputs(call.record), partial(_text, call))


def _text(call: ServiceInput, estimate: ModelEstimate) -> CardText:
    facility = facility_of(call.record)
    setting = "" if facility is None else f"**Goes to {facility}**: agree the follow-up with the team there.\n\n"
    offers, is_twin = (offer_of_follow_up(call, facility),), estimate.model is TWIN
    return replace(CARD, opening=f"{setting}Why: ", offers=offers, beside=(DESTINATION_UNKNOWN,) if is_twin else ())


OF_CHART = ChartModel(MODEL, TWIN, (*NO_FOLLOW_UP, WITHOUT_DIABETES), lambda record: map_features(record, FEATURES))

ADVISOR = Advisor(
    id="readmission-follow-up",
    hooks=(ENCOUNTER_DISCHARGE,),
    title="Whom to follow up early after a stay with diabetes",
    description=(
        "Estimates the chance of readmission within 30 days of a stay with diabetes and, where it is among the "
        "highest, suggests a follow-up visit within a week."
    ),
    usage_requirements="For physicians, nurses and care managers at discharge; never shown to patients.",
    needs=Needs.of(
        features=FEATURES,
        resources=("Appointment", "Condition", "Encounter", "Procedure", "ServiceRequest"),
        required=("encounters",),
    ),
    exclusions=OF_CHART.exclusions,
    subject="readmission_30d",
    find=find,
    models=(MODEL, TWIN),
    of_chart=OF_CHART,
)
