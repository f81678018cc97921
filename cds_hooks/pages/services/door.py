"""Who may open the list of services."""

from cds_hooks.access.roles import STAFF
from cds_hooks.pages.door import Door

DOOR = Door("/services", STAFF, "Services", rank=3)
"""Everybody who works here."""
