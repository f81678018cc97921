"""Who may call, and where the server may call: trust file, tokens, keys, addresses (docs/security.md)."""

from cds_hooks.errors import NotAllowed, ReplayStoreFailed, Untrusted
from cds_hooks.security.addresses import Budgets, FhirBase, OutboundRefused
from cds_hooks.security.client import ANONYMOUS, TrustedClient
from cds_hooks.security.trust import Trust, open_trust
from cds_hooks.security.trust_file import RegistrableNames, TrustFileError

__all__ = [
    "ANONYMOUS",
    "Budgets",
    "FhirBase",
    "NotAllowed",
    "OutboundRefused",
    "RegistrableNames",
    "ReplayStoreFailed",
    "Trust",
    "TrustFileError",
    "TrustedClient",
    "Untrusted",
    "open_trust",
]
