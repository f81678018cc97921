"""Who may open the start page."""

from cds_hooks.access.roles import STAFF
from cds_hooks.pages.door import Door

DOOR = Door("/", STAFF, "Start", rank=1)
