"""Who may open the tester's page."""

from cds_hooks.access.roles import Role
from cds_hooks.pages.door import Door

DOOR = Door("/try", frozenset({Role.OPERATOR}), "Try a service", rank=2)
