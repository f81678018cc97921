"""A service's entry in discovery as a client of one version of CDS Hooks gets it."""

from typing import Any, Final

from cds_hooks.dialects.shaping.client import ClientProfile
from cds_hooks.dialects.shaping.dialect import Version
from cds_hooks.protocol.hooks import MEDICATION_REFILL, ORDER_DISPATCH, Hook

# Their pages say specificationVersion 2.0: not to be offered to earlier clients (HOOK-07).
_SINCE_2_0: Final = frozenset({ORDER_DISPATCH, MEDICATION_REFILL})
_BEFORE_2_0: Final = frozenset({"1.0", "1.1"})
_PUBLISHED: Final[dict[Version, str]] = {"3.0-ballot": "STU3", "3.0": "3.0.0"}
"""What `version` says: the ballot's codes and the later build's numbers differ (DISC-10, TRAP-15)."""


def is_offered(hook: Hook, client: ClientProfile) -> bool:
    """Whether a client of this version can be expected to know the hook."""
    return not (client.version in _BEFORE_2_0 and hook.name in _SINCE_2_0)


def published_entry(entry: dict[str, Any], hook: Hook, client: ClientProfile) -> dict[str, Any]:
    """The entry, which is that of CDS Hooks 2.0.1, as the client's version has it."""
    if client.version in _BEFORE_2_0:
        return {name: value for name, value in entry.items() if name != "usageRequirements"}  # DISC-09
    if client.version not in _PUBLISHED:
        return entry
    entry = {**entry, "version": _PUBLISHED[client.version]}
    # The ballot has no hookVersion yet (checklist section 6.2).
    return entry if client.version == "3.0-ballot" else {**entry, "hookVersion": hook.version}
