"""One-time codes of an authenticator app, the second factor of a login (TOTP, RFC 6238: SHA-1, six digits, 30 s)."""

import base64
import binascii
import hmac
import secrets
from typing import Final
from urllib.parse import quote, urlencode

from cds_hooks.access.roles import Role

STEP_SECONDS: Final = 30
_DIGITS: Final = 6
_SECRET_BYTES: Final = 20  # RFC 4226, section 4, requirement 6

NEEDS_SECOND_FACTOR: Final = frozenset({Role.OPERATOR, Role.APPROVER})
"""Who operates or approves needs one where the pages are reached from other machines."""


def new_secret() -> str:
    """Return a random secret in base 32, as authenticator apps read it."""
    return base64.b32encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def enrolment_address(secret: str, account: str, server: str) -> str:
    """Return the address that an authenticator app reads, as a QR code or typed in."""
    label = quote(f"{server}:{account}")
    return f"otpauth://totp/{label}?{urlencode({'secret': secret, 'issuer': server})}"


def code_at(secret: str, step: int) -> str:
    """Return the code of a step of 30 seconds since the epoch.

    >>> code_at("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", 1)  # RFC 6238, appendix B: 94287082 at 59 s
    '287082'
    """
    digest = hmac.digest(base64.b32decode(secret), step.to_bytes(8, "big"), "sha1")
    offset = digest[-1] & 0xF
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFF_FFFF
    return f"{number % 10**_DIGITS:0{_DIGITS}d}"


def step_of(secret: str, code: str, now: float) -> int | None:
    """Return the step whose code this is, of the present one and its two neighbours; None where it is none of them."""
    typed = code.replace(" ", "").encode()
    present = int(now // STEP_SECONDS)
    try:
        steps = [
            step
            for step in (present, present - 1, present + 1)
            if hmac.compare_digest(code_at(secret, step).encode(), typed)
        ]
    except binascii.Error:
        return None
    return steps[0] if steps else None
