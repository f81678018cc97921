"""Reads a JSON Web Token and compares its claims with the trust file, before any signature is checked.

The checks are in the order of CDS Hooks' best practices. None of them is secret or slow, so refusing a token without a
valid signature costs little.

Verification keys from a JSON Web Key Set (RFC 7517), and the strict JSON reader for tokens and key sets.
"""

import json
import re
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeGuard

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from msgspec import Struct

from cds_hooks.errors import Untrusted
from cds_hooks.security.addresses import BadUrl, parse_url
from cds_hooks.security.client import TrustedClient
from fhir.terminology.caching import remembered

if TYPE_CHECKING:
    from jwt.algorithms import Algorithm


class NotAnObject(ValueError):
    """The bytes are not a JSON object, or one that two JSON parsers could read differently."""


def read_object(data: bytes) -> dict[str, Any]:
    """Return the JSON object in these bytes.

    Raises:
        NotAnObject: other JSON, a member that stands twice, NaN, invalid UTF-8, or nesting that is too deep.
    """
    try:
        # decoded here: json itself would also take UTF-16 and UTF-32
        value = _DECODER.decode(data.decode("utf-8", "strict"))
    except (ValueError, RecursionError) as error:
        raise NotAnObject("it is not a JSON object in which each member stands once") from error
    if not isinstance(value, dict):
        raise NotAnObject("it is JSON, but not an object")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member stands twice")
    return members


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_constant)


MOST_KEYS: Final = 100
MOST_KEY_SET_BYTES: Final = 256 * 1024
_LEAST_RSA_BITS: Final = 2048  # RFC 7518, section 3.3
_RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_CURVES: Final = {"secp256r1": ("ES256",), "secp384r1": ("ES384",), "secp521r1": ("ES512",)}

ALGORITHMS: Final = (*_RSA, "ES256", "ES384", "ES512", "EdDSA")
"""The supported signature algorithms, all asymmetric; no other can be configured."""

_READERS: Final = {"RSA": "RS256", "EC": "ES256", "OKP": "EdDSA"}
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "k", "oth"})


@cache
def _verifiers() -> Mapping[str, "Algorithm"]:
    # imported here: PyJWT is 50 ms of a start, and without a trust file there is no key
    from jwt.algorithms import get_default_algorithms

    return {name: verifier for name, verifier in get_default_algorithms().items() if name in ALGORITHMS}


class UnusableKey(ValueError):
    """A key of a set cannot verify signatures here; the message says why, without the key."""


class VerificationKey(Struct, frozen=True, eq=False):
    """A public key; `algorithms` are those its type, its size and its own `alg` allow."""

    kid: str
    algorithms: tuple[str, ...]
    key: Any

    def verifies(self, algorithm: str, signed: bytes, signature: bytes) -> bool:
        """Whether the signature is this key's over these bytes; False for an algorithm that is not the key's."""
        if algorithm not in self.algorithms:
            return False
        return _verifiers()[algorithm].verify(signed, self.key, signature)


class Keys(Struct, frozen=True, eq=False):
    """The keys of a set by `kid`."""

    by_kid: Mapping[str, VerificationKey] = {}


def read_key(jwk: object) -> VerificationKey:
    """Return the key of one JWK.

    Raises:
        UnusableKey: it cannot verify signatures here; the message gives the reason.
    """
    if not isinstance(jwk, dict):
        raise UnusableKey("it is not an object")
    kid = jwk.get("kid")
    if not isinstance(kid, str) or not kid:
        raise UnusableKey("it has no kid, by which tokens name it")
    if not _PRIVATE.isdisjoint(jwk):
        raise UnusableKey("it is a private or shared key; only the public part belongs here")
    operations = jwk.get("key_ops", ["verify"])
    if jwk.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        raise UnusableKey("it is not for signatures (use, key_ops)")
    reader = _READERS.get(str(jwk.get("kty")))
    if reader is None:
        raise UnusableKey("its kty is not RSA, EC or OKP")
    from jwt.exceptions import PyJWTError

    try:
        key = _verifiers()[reader].from_jwk(jwk)
    # the library reports malformed values with many exceptions, among them KeyError and TypeError
    except (PyJWTError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UnusableKey("its numbers are not those of a key of its kty") from error
    possible = _algorithms_of(key)
    algorithms = tuple(name for name in possible if jwk.get("alg", name) == name)
    if not algorithms:
        raise UnusableKey(f"its alg is not one of {', '.join(possible)}, which a key of its kind can have")
    return VerificationKey(kid, algorithms, key)


def read_key_set(document: Mapping[str, Any]) -> tuple[Keys, list[str]]:
    """Return the usable keys of a JWK Set, and a sentence for each key that was left out.

    Keys that share a `kid` are all left out, because it is not clear which of them a token means.
    """
    listed = document.get("keys")
    if not isinstance(listed, list):
        return Keys(), ["it has no array keys"]
    if len(listed) > MOST_KEYS:
        return Keys(), [f"it has more than {MOST_KEYS} keys"]
    keys: dict[str, VerificationKey] = {}
    twice: set[str] = set()
    left_out: list[str] = []
    for at, jwk in enumerate(listed):
        try:
            key = read_key(jwk)
        except UnusableKey as error:
            left_out.append(f"keys[{at}]: {error}")
            continue
        if key.kid in keys:
            twice.add(key.kid)
            left_out.append(f"keys[{at}]: its kid stands twice")
        keys[key.kid] = key
    return Keys({kid: key for kid, key in keys.items() if kid not in twice}), left_out


def _algorithms_of(key: object) -> tuple[str, ...]:
    if isinstance(key, RSAPublicKey):
        if key.key_size < _LEAST_RSA_BITS:
            raise UnusableKey(f"it has {key.key_size} bits; RSA keys have {_LEAST_RSA_BITS} or more")
        return _RSA
    if isinstance(key, EllipticCurvePublicKey):
        algorithms = _CURVES.get(key.curve.name)
        if algorithms is None:
            raise UnusableKey("its curve is not P-256, P-384 or P-521")
        return algorithms
    if isinstance(key, Ed25519PublicKey):
        return ("EdDSA",)
    raise UnusableKey("it is not the public part of an RSA, EC or Ed25519 key")


MOST_BYTES: Final = 8192
_MOST_ID: Final = 1024
_NO_TIME: Final = 1e11  # seconds since the epoch: the year 5138; a larger number is in milliseconds or is no time
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
