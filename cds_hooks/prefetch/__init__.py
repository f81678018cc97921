"""Prefetch: the templates of a service, the state of each key in a call, and fetching what is missing.

Templates are derived from features and rules, so nothing is asked for that nothing uses. They keep to the restricted
subset of CDS Hooks 2.0.1 (`template.py` says to what; a test holds every template to it).
"""

from cds_hooks.prefetch.inspect import inspect_prefetch
from cds_hooks.prefetch.needs import Needs, templates_for
from cds_hooks.prefetch.state import (
    NO_PREFETCH,
    FetchCost,
    KeyState,
    PrefetchState,
    State,
    Templates,
    with_prefetch_note,
)
from cds_hooks.prefetch.template import TOKENS_OF_3, KeyPolicy, Template

__all__ = [
    "NO_PREFETCH",
    "TOKENS_OF_3",
    "FetchCost",
    "KeyPolicy",
    "KeyState",
    "Needs",
    "PrefetchState",
    "State",
    "Template",
    "Templates",
    "inspect_prefetch",
    "templates_for",
    "with_prefetch_note",
]
