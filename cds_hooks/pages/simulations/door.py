"""Who may open simulations."""

from cds_hooks.access.roles import COMMITTEE
from cds_hooks.pages.door import Door

DOOR = Door("/simulations", COMMITTEE, of_patients=True)
