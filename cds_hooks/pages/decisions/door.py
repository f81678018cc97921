"""Who may open the search in the record."""

from cds_hooks.access.roles import DECISION_READERS
from cds_hooks.pages.door import Door

DOOR = Door("/decisions", DECISION_READERS, "Decisions", rank=7, of_patients=True, token=True)
