"""Whom to see soon after discharge: HOSPITAL, else LACE, at encounter-discharge (`_follow_up.py`)."""

from cds_hooks.call.prefetch.needs import Needs
from cds_hooks.call.protocol.hooks import ENCOUNTER_DISCHARGE
from cds_hooks.call.services._follow_up import FEATURES, HOSPITAL, NO_FOLLOW_UP, NO_SCORES, advise_by_scores
from cds_hooks.call.services._service import Advice, Advisor, ServiceInput


async def find(call: ServiceInput) -> Advice:
    """One card where a score is high and no follow-up is arranged, else the reason for none."""
    return advise_by_scores(call)


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
