"""The published protocol, as it stands in CDS Hooks 2.0.1."""

from cds_hooks.call.dialects._dialect import Dialect

DIALECT = Dialect("standard", "CDS Hooks as published")
