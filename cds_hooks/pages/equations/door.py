"""Who may open the pages of equations."""

from cds_hooks.access.roles import STAFF
from cds_hooks.pages.door import Door

DOOR = Door("/equations", STAFF)
