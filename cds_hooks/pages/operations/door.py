"""Who may open the page of operations."""

from cds_hooks.access.roles import Role
from cds_hooks.pages.door import Door

DOOR = Door("/ops", frozenset({Role.OPERATOR, Role.AUDITOR, Role.MODEL_OWNER}), "Operations", rank=8, token=True)
