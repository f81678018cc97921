"""Who may open the pages of single decisions."""

from cds_hooks.access.roles import DECISION_READERS, Role
from cds_hooks.pages.door import Door

DOOR = Door(
    "/explain",
    DECISION_READERS | {Role.CLINICIAN, Role.CLINICIAN_LINK},
    of_patients=True,
    token=True,
    by_link=True,
    refusal="Open it from its card again, or ask the operator. The card in the chart says what it rests on.",
)
