"""Who may call, and where the server may call: trust file, tokens, keys, addresses (docs/security.md)."""

from cds_hooks.errors import NotAllowed, ReplayStoreFailed, Untrusted
from cds_hooks.security.client import ANONYMOUS, Budgets, TrustedClient
from cds_hooks.security.fhir_base import FhirBase, OutboundRefused
from cds_hooks.security.outbound import OutboundClient
from cds_hooks.security.trust import Trust, open_trust
from cds_hooks.security.trust_file import RegistrableNames, TrustFileError

__all__ = [
    "ANONYMOUS",
    "Budgets",
    "FhirBase",
    "NotAllowed",
    "OutboundClient",
    "OutboundRefused",
    "RegistrableNames",
    "ReplayStoreFailed",
    "Trust",
    "TrustFileError",
    "TrustedClient",
    "Untrusted",
    "open_trust",
]
