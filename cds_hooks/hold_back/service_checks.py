"""Checks that services and models answer themselves, before there is a card: declared here, asked where they compute.

`services/` asks about the patient and what is on the chart, `services/_model.py` about the model (`ModelApprovals`).
"""

from typing import Final

from cards.rules.engine.finding import Silence
from cds_hooks.hold_back.checks import Check

NOT_FOR_THIS_USER: Final = "not-for-this-user"
_NO_CLINICIANS: Final = frozenset({"patient", "relatedperson"})


class NotForThisUser(Check):
    """The user is the patient or a related person: what the services say is written for clinicians."""

    codes = (NOT_FOR_THIS_USER,)
    level = "call"
    title = "The user is no clinician"
    lets_through = "A call by a clinician: context.userId names a Practitioner or PractitionerRole."
    hides_findings = False


def refuse_user(service: str, user_id: str | None) -> Silence | None:
    """Return why a service says nothing to this user (CDS Hooks 2.0, userId); None where the user may be a clinician.

    >>> refuse_user("planning", "https://ehr.example/fhir/RelatedPerson/7").reason
    'not-for-this-user'
    >>> refuse_user("planning", "Practitioner/Patient")
    """
    types = {part.strip().casefold() for part in (user_id or "").split("/")[:-1]}
    if not types & _NO_CLINICIANS:
        return None
    text = "The user of this call is the patient or a related person; this service is written for clinicians."
    return Silence(service, NOT_FOR_THIS_USER, text)


class NoEstimate(Check):
    """The patient has died, is in palliative care, or has opted out of decision support."""

    codes = ("deceased", "palliative", "opted-out")
    level = "patient"
    title = "No estimate for this patient: death, palliative care, or an opt-out"
    lets_through = "A change of the chart (docs/operations/restraint.md, who gets no estimate)."
    hides_findings = False


class AlreadyDone(Check):
    """What a card would suggest is on the chart."""

    codes = ("already-done", "already-ordered")
    level = "patient"
    title = "What it would suggest is done or ordered already"
    lets_through = "A change of the chart: the order, procedure or visit that the reason names."
    hides_findings = False


class ModelNotReleased(Check):
    """The model's release, gates or approvals do not let it show cards at this site."""

    codes = ("model-not-released",)
    level = "model"
    title = "The model's release state, gates or approvals"
    lets_through = "The state that CDS_MODEL_STATE asks for: cds-hooks model state, and cds-hooks approve model."
