"""Who may open the page of interfaces: a dead letter shows a patient's data."""

from cds_hooks.access.roles import Role
from cds_hooks.pages.door import Door

DOOR = Door("/interfaces", frozenset({Role.OPERATOR}), "Interfaces", rank=9, of_patients=True)
