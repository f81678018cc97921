"""Who may open the page of approvals, and who may hand in signed files."""

from cds_hooks.access.roles import COMMITTEE, STAFF
from cds_hooks.pages.door import Door

DOOR = Door(
    "/approvals",
    STAFF,
    "Approvals",
    rank=6,
    changes=COMMITTEE,
    refusal="Signed acts are handed in by people who have logged in. Without CDS_LOGIN only the operator does it.",
)
