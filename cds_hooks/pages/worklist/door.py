"""Who may open the worklist."""

from cds_hooks.access.roles import Role
from cds_hooks.pages.door import Door

DOOR = Door("/worklist", frozenset({Role.CLINICIAN, Role.PHARMACIST}), "Worklist", rank=3, of_patients=True)
