"""What a service needs, as prefetch templates; and what a call has brought of it.

Templates are derived from features and rules, so nothing is asked for that nothing uses. They keep to the restricted
subset of CDS Hooks 2.0.1 (`lint.py` says to what; a test holds every template to it).
"""

from cds_hooks.prefetch.brought import NOTHING_ASKED, Brought, Cost, KeyState, State
from cds_hooks.prefetch.look import what_was_brought
from cds_hooks.prefetch.needs import Needs, templates_for
from cds_hooks.prefetch.notes import noted
from cds_hooks.prefetch.template import TOKENS_OF_3, Policy, Template, Templates

__all__ = [
    "NOTHING_ASKED",
    "TOKENS_OF_3",
    "Brought",
    "Cost",
    "KeyState",
    "Needs",
    "Policy",
    "State",
    "Template",
    "Templates",
    "noted",
    "templates_for",
    "what_was_brought",
]
