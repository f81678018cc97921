"""Who may open the page of payers: it shows rules, and nothing of a patient."""

from cds_hooks.access.roles import STAFF
from cds_hooks.pages.door import Door

DOOR = Door("/payers", STAFF, "Payers", rank=5)
