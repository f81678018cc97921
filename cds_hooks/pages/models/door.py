"""Who may open the pages of models."""

from cds_hooks.access.roles import STAFF
from cds_hooks.pages.door import Door

DOOR = Door("/models", STAFF, "Models", rank=4)
