"""Who may open the documentation."""

from cds_hooks.access.roles import STAFF
from cds_hooks.pages.door import Door

DOOR = (Door("/docs", STAFF, "Documentation", rank=9), Door("/api", STAFF), Door("/openapi.json", STAFF))
