"""Every fault that is planted in the good server, each with the row whose check has to find it."""

from tests.cds_hooks.contract.planted_discovery import DISCOVERY, TEMPLATES
from tests.cds_hooks.contract.planted_habits import CALLS, FEEDBACK, MISSED, SECURITY, SIGNED
from tests.cds_hooks.contract.planted_responses import ACTIONS, EPIC, RESPONSES

ALL = (*DISCOVERY, *TEMPLATES, *RESPONSES, *ACTIONS, *CALLS, *MISSED, *FEEDBACK, *SECURITY, *SIGNED, *EPIC)
