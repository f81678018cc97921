"""Verification keys from a JSON Web Key Set (RFC 7517), and the strict JSON reader for tokens and key sets."""

import json
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from msgspec import Struct, field

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

    by_kid: Mapping[str, VerificationKey] = field(default_factory=dict)


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
        raise UnusableKey("its numbers make no valid key of its kty") from error
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
