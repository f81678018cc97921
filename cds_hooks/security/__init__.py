"""Who may call, and where the server may call: trust file, tokens, keys, addresses (docs/security.md)."""

from cds_hooks.security.client import ANONYMOUS, Budgets, TrustedClient
from cds_hooks.security.outbound import FhirBase, OutboundClient
from cds_hooks.security.refused import Refused
from cds_hooks.security.trust import Trust, open_trust
from cds_hooks.security.trust_file import Known, TrustFileError
from cds_hooks.security.untrusted import NotAllowed, ReplayStoreFailed, Untrusted

__all__ = [
    "ANONYMOUS",
    "Budgets",
    "FhirBase",
    "Known",
    "NotAllowed",
    "OutboundClient",
    "Refused",
    "ReplayStoreFailed",
    "Trust",
    "TrustFileError",
    "TrustedClient",
    "Untrusted",
    "open_trust",
]
