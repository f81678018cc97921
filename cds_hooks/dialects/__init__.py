"""How each EHR vendor differs from the published protocol: one module a vendor, found by itself (docs/dialects.md)."""

from cds_hooks.dialects.shaping.client import DEVELOPMENT, ClientProfile
from cds_hooks.dialects.shaping.dialect import Dialect
from cds_hooks.dialects.shaping.discovery import is_offered, published_entry
from cds_hooks.dialects.shaping.found import UnknownDialect, find_dialects, profile_for
from cds_hooks.dialects.shaping.shape import shape_cards

__all__ = [
    "DEVELOPMENT",
    "ClientProfile",
    "Dialect",
    "UnknownDialect",
    "find_dialects",
    "is_offered",
    "profile_for",
    "published_entry",
    "shape_cards",
]
