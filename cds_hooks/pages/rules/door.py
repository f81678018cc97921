"""Who may open the pages of rules."""

from cds_hooks.access.roles import STAFF
from cds_hooks.pages.door import Door

DOOR = Door("/rules", STAFF, "Rules", rank=5)
