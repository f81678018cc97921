"""How each EHR vendor differs from the published protocol: one module for each vendor (docs/dialects.md)."""

from cds_hooks.call.dialects._dialect import Dialect
from cds_hooks.call.dialects._shape import (
    DEVELOPMENT,
    ClientProfile,
    UnknownDialect,
    find_dialects,
    is_offered,
    profile_for,
    published_entry,
    shape_cards,
)

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
