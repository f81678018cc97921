"""No informational card about the patients of drills, whose ids begin with `drill-`."""

from cards.card import Card
from cds_hooks.call.hold_back.checks import CheckedCall, SiteCheck


async def check(card: Card, call: CheckedCall) -> str | None:
    """Why the card is not shown: the patient is one of a drill, and the card is an information."""
    if card.indicator == "info" and call.caller.patient.startswith("drill-"):
        return "the patient is one of a drill."
    return None


CHECK = SiteCheck(title="Patients of drills", lets_through="Another patient, or a warning.", card=check)
