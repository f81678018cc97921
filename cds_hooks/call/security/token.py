"""Reads a JSON Web Token and compares its claims with the trust file, before any signature is checked.

The checks are in the order of CDS Hooks' best practices. None of them is secret or slow, so refusing a token without a
valid signature costs little.
"""

import re
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, TypeGuard

from msgspec import Struct

from cds_hooks.call.security.addresses import BadUrl, parse_url
from cds_hooks.call.security.keys import NotAnObject, read_object
from cds_hooks.call.security.trust import TrustedClient
from cds_hooks.errors import Untrusted
from fhir.terminology.caching import remembered

MOST_BYTES: Final = 8192
_MOST_ID: Final = 1024
_NO_TIME: Final = 1e11  # seconds since the epoch: the year 5138; a larger number is in milliseconds or is not a time
_FROM_URL: Final = bytes.maketrans(b"-_", b"+/")
_COMPACT = re.compile(rb"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
# a key, or the address of a key, that the token itself supplies; `crit` demands extensions, and none is supported
_NEVER_IN_HEADER: Final = ("jwk", "x5c", "x5u", "crit", "b64", "zip", "enc")


class Header(Struct, frozen=True):
    """The header of a token: what it says about its signature."""

    alg: str
    kid: str
    jku: str | None


class Claims(Struct, frozen=True):
    """The claims of a token: what it says about its sender. Times are seconds since the epoch."""

    iss: str
    aud: tuple[str, ...]
    exp: float
    iat: float
    jti: str
    nbf: float | None
    sub: str | None
    tenant: str | None


class Token(Struct, frozen=True):
    """A token in its parts; `signed` are the bytes that the signature covers."""

    header: Header
    claims: Claims
    signed: bytes
    signature: bytes


def bearer(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the token in the Authorization header of an ASGI scope.

    Raises:
        Untrusted: there is no such header, there are several, or it has another scheme.
    """
    values = [value for name, value in headers if name.lower() == b"authorization"]
    if not values:
        raise Untrusted("no-token")
    if len(values) > 1:
        raise Untrusted("two-tokens")
    if len(values[0]) > MOST_BYTES:
        raise Untrusted("too-long")
    scheme, _, token = values[0].partition(b" ")
    if scheme.lower() != b"bearer":
        raise Untrusted("scheme")
    return token


def read_token(compact: bytes) -> Token:
    """Return the parts of a token in compact form.

    Raises:
        Untrusted: it has another form, or lacks what CDS Hooks requires.
    """
    match = _COMPACT.fullmatch(compact)
    if match is None:
        raise Untrusted("malformed")
    header, claims, signature = match.groups()
    return Token(_header(header), _claims(_decoded_object(claims)), compact[: match.end(2)], _decoded(signature))


# all tokens of a client have the same header until its key changes
@remembered("headers of tokens", entries=256, longest=200)
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
    iss, jti, sub, tenant = (members.get(name) for name in ("iss", "jti", "sub", "tenant"))
    exp, iat, nbf = (members.get(name) for name in ("exp", "iat", "nbf"))
    if not (_is_id(iss) and _is_id(jti) and _is_time(exp) and _is_time(iat) and (nbf is None or _is_time(nbf))):
        raise Untrusted("claims")
    if not (sub is None or isinstance(sub, str)) or not (tenant is None or isinstance(tenant, str)):
        raise Untrusted("claims")
    return Claims(iss, _audience(members.get("aud")), exp, iat, jti, nbf, sub, tenant)


def _audience(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list) and value and all(isinstance(audience, str) for audience in value):
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


_FEEDBACK = "/feedback"


@dataclass(frozen=True, slots=True)
class ClientRegister:
    """Finds the client of a trust file from the claims of a token."""

    clients: tuple[TrustedClient, ...] = ()
    by_issuer: dict[str, tuple[TrustedClient, ...]] = field(init=False)
    origins: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        issuers = {issuer for client in self.clients for issuer in client.issuers}
        object.__setattr__(
            self, "by_issuer", {issuer: tuple(c for c in self.clients if issuer in c.issuers) for issuer in issuers}
        )
        object.__setattr__(
            self, "origins", frozenset(cors_origin for c in self.clients for cors_origin in c.cors_origins)
        )

    def client_of(self, claims: Claims) -> TrustedClient:
        """Return the client that the claims name.

        Raises:
            Untrusted: there is no such client.
        """
        for client in self.by_issuer.get(claims.iss, ()):
            if client.subjects and claims.sub not in client.subjects:
                continue
            if client.tenant is not None and claims.tenant != client.tenant:
                continue
            return client
        raise Untrusted("issuer")


def claimed_client(token: Token, register: ClientRegister, endpoints: Collection[str], now: float) -> TrustedClient:
    """Return the client that the token claims to be from; its signature is not checked here.

    `endpoints` are the URLs by which the called address is known; `now` is in seconds since the epoch. The caller still
    has to check the signature with one of that client's keys.

    Raises:
        Untrusted: the header or a claim differs from what that client is registered to send.
    """
    client = register.client_of(token.claims)
    _check_header(token.header, client)
    if not any(audience in endpoints or audience in client.audiences for audience in token.claims.aud):
        raise Untrusted("audience", client.name)
    _check_times(token.claims, client, now)
    return client


def _check_header(header: Header, client: TrustedClient) -> None:
    if header.alg not in client.algorithms:
        raise Untrusted("algorithm", client.name)
    if header.jku is not None and header.jku != client.jku:
        raise Untrusted("jku", client.name)


def _check_times(claims: Claims, client: TrustedClient, now: float) -> None:
    skew = client.budgets.skew_seconds
    if claims.exp <= now - skew:
        raise Untrusted("expired", client.name)
    if claims.iat > now + skew or (claims.nbf is not None and claims.nbf > now + skew):
        raise Untrusted("not-yet", client.name)
    if not 0 < claims.exp - claims.iat <= client.budgets.max_lifetime_seconds:
        raise Untrusted("lifetime", client.name)


@remembered("addresses that a token may name", entries=128, longest=200)
def endpoints_of(public_url: str, path: str) -> frozenset[str]:
    """Return the URLs that `aud` may name for a call of this path: its own and, for feedback, its service's.

    CDS Hooks does not define the audience of feedback (checklist row SEC-14). The three names of loopback are treated
    as one.
    """
    paths = {path, path.removesuffix(_FEEDBACK)}
    return frozenset(base + path for base in _spellings(public_url.rstrip("/")) for path in paths)


def _spellings(public_url: str) -> list[str]:
    try:
        url = parse_url(public_url)
    except BadUrl:
        return [public_url]
    names = ("127.0.0.1", "localhost", "::1")
    if url.host not in names:
        return [public_url]
    shown = (f"[{name}]" if ":" in name else name for name in names)
    return [f"{url.scheme}://{name}:{url.port}{url.path.rstrip('/')}" for name in shown] + [public_url]
