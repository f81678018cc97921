"""What is said to a caller that is not trusted: outside always the same, inside a reason class.

HookError (cds_hooks/errors.py)
├── Untrusted           401   the call's token does not show a client of the trust file
├── NotAllowed          403   the client is known, but not registered for this service or hook
└── ReplayStoreFailed   503   whether the token was used before cannot be said
"""

from typing import Final, Literal

from cds_hooks.errors import HookError, operation_outcome

Reason = Literal[
    "algorithm",
    "audience",
    "claims",
    "expired",
    "header",
    "issuer",
    "jku",
    "key",
    "keys-away",
    "lifetime",
    "malformed",
    "no-token",
    "not-yet",
    "replayed",
    "scheme",
    "signature",
    "too-long",
    "two-tokens",
]
"""Counter label and log field; docs/security.md says what each means and what to do."""


class Untrusted(HookError):
    """The token is missing or does not hold; `reason` is for the log and the counters, never for the caller."""

    status = 401
    code = "login"
    # RFC 9110, section 15.5.2; without `error=`, which would say why
    headers = ((b"www-authenticate", b"Bearer"),)

    def __init__(self, reason: Reason, client: str = "") -> None:
        """`client` is the name in the trust file that the token claims to be, where it got that far."""
        super().__init__("This call does not come from a client that is trusted here.")
        self.reason: Reason = reason
        self.client = client


class NotAllowed(HookError):
    """A trusted client calls what it is not registered for."""

    status = 403
    code = "forbidden"


class ReplayStoreFailed(HookError):
    """The store of used tokens cannot be read or written."""

    status = 503
    code = "transient"


UNTRUSTED_BODY: Final = operation_outcome(Untrusted("no-token"))
"""The one body of every 401."""
