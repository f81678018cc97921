"""Takes a JSON Web Token apart (RFC 7515, 7519) without believing any of it; only its form is checked here."""

import re
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TypeGuard

from cds_hooks.security.json_object import NotAnObject, read_object
from cds_hooks.security.untrusted import Untrusted

MOST_BYTES: Final = 8192
_MOST_ID: Final = 1024
_NO_TIME: Final = 1e11  # seconds since the epoch: the year 5138; what is larger is milliseconds, or no time
_FROM_URL: Final = bytes.maketrans(b"-_", b"+/")
_COMPACT = re.compile(rb"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
# a key, or a place of a key, that the token brings itself; `crit` asks for extensions, of which none is known here
_NEVER_IN_HEADER: Final = ("jwk", "x5c", "x5u", "crit", "b64", "zip", "enc")


@dataclass(frozen=True, slots=True)
class Header:
    """What a token says of its signature."""

    alg: str
    kid: str
    jku: str | None


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says of its sender; times are seconds since the epoch."""

    iss: str
    aud: tuple[str, ...]
    exp: float
    iat: float
    jti: str
    nbf: float | None
    sub: str | None
    tenant: str | None


@dataclass(frozen=True, slots=True)
class Token:
    """A token in its parts; `signed` is what the signature is over."""

    header: Header
    claims: Claims
    signed: bytes
    signature: bytes


def bearer(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The token of the one Authorization header of an ASGI scope; Untrusted for none, several, or another scheme."""
    found = [value for name, value in headers if name.lower() == b"authorization"]
    if not found:
        raise Untrusted("no-token")
    if len(found) > 1:
        raise Untrusted("two-tokens")
    if len(found[0]) > MOST_BYTES:
        raise Untrusted("too-long")
    scheme, _, token = found[0].partition(b" ")
    if scheme.lower() != b"bearer":
        raise Untrusted("scheme")
    return token


def read_token(compact: bytes) -> Token:
    """The parts of a token in compact form; Untrusted where it has another form or lacks what CDS Hooks requires."""
    match = _COMPACT.fullmatch(compact)
    if match is None:
        raise Untrusted("malformed")
    header, claims, signature = match.groups()
    return Token(_header(header), _claims(_decoded_object(claims)), compact[: match.end(2)], _decoded(signature))


# the same for all calls of a client until its key changes
@lru_cache(maxsize=256)
def _header(segment: bytes) -> Header:
    members = _decoded_object(segment)
    if any(name in members for name in _NEVER_IN_HEADER):
        raise Untrusted("header")
    alg, kid, jku = members.get("alg"), members.get("kid"), members.get("jku")
    if members.get("typ") != "JWT" or not isinstance(alg, str) or not _is_id(kid):
        raise Untrusted("header")
    if jku is not None and not isinstance(jku, str):
        raise Untrusted("header")
    return Header(alg, kid, jku)


def _claims(members: dict[str, Any]) -> Claims:
    told = members.get
    iss, jti, exp, iat, nbf, sub = told("iss"), told("jti"), told("exp"), told("iat"), told("nbf"), told("sub")
    tenant = told("tenant")
    if not (_is_id(iss) and _is_id(jti) and _is_time(exp) and _is_time(iat) and (nbf is None or _is_time(nbf))):
        raise Untrusted("claims")
    if not (sub is None or isinstance(sub, str)) or not (tenant is None or isinstance(tenant, str)):
        raise Untrusted("claims")
    return Claims(iss, _audience(members.get("aud")), exp, iat, jti, nbf, sub, tenant)


def _audience(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
        return tuple(value)
    raise Untrusted("claims")


def _is_id(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and 0 < len(value) <= _MOST_ID


def _is_time(value: object) -> TypeGuard[float]:
    # true is a number to Python, and 1e999 reads as infinity, which never expires
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _NO_TIME


def _decoded_object(segment: bytes) -> dict[str, Any]:
    try:
        return read_object(_decoded(segment))
    except NotAnObject as error:
        raise Untrusted("malformed") from error


def _decoded(segment: bytes) -> bytes:
    try:
        return a2b_base64(segment.translate(_FROM_URL) + b"==="[: -len(segment) % 4])
    except Base64Error as error:
        raise Untrusted("malformed") from error
