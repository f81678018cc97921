"""The client's side of authentication, for tests and trials: makes a key pair and signs tokens with it."""

import json
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from time import time
from typing import Any, Final, Literal

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

from cds_hooks.security.keys import ALGORITHMS, NotAnObject, read_object
from models_onnx.artifact.keys import new_private_file

SigningAlgorithm = Literal["ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "EdDSA"]
_RSA_BITS: Final = 3072
_RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_ONLY_PUBLIC: Final = frozenset({"kty", "kid", "alg", "use", "crv", "x", "y", "n", "e"})


class SigningKeyError(Exception):
    """The file is not a key that tokens can be signed with; the message is a sentence without the key."""


@dataclass(frozen=True)
class SigningKey:
    """A private key, and whose tokens it signs."""

    jwk: dict[str, Any]
    """RFC 7517, with the private members, `kid` and `alg`."""
    issuer: str

    @cached_property
    def private(self) -> Any:
        """The key itself; to read one of RSA takes a tenth of a second, because its primes are checked."""
        return get_default_algorithms()[self.jwk["alg"]].from_jwk(self.jwk)

    def key_set(self) -> dict[str, Any]:
        """The JWK Set that the server is given: the public part only."""
        return {"keys": [{name: value for name, value in self.jwk.items() if name in _ONLY_PUBLIC}]}


def new_key(issuer: str, algorithm: SigningAlgorithm = "ES384", kid: str | None = None) -> SigningKey:
    """A fresh key pair."""
    jwk = get_default_algorithms()[algorithm].to_jwk(_private(algorithm), as_dict=True)
    named = {"kid": kid or secrets.token_urlsafe(9), "alg": algorithm, "use": "sig"}
    return SigningKey({**{name: value for name, value in jwk.items() if name != "key_ops"}, **named}, issuer)


def write_key(key: SigningKey, path: Path) -> None:
    """Writes the private key to a new file that only its owner can read; FileExistsError where there is one."""
    content = json.dumps({"issuer": key.issuer, "key": key.jwk}, indent=2) + "\n"
    with new_private_file(path) as file:
        file.write(content.encode())


def read_key_file(path: Path) -> SigningKey:
    """The key of a file that `write_key` made; SigningKeyError where it is none."""
    try:
        document = read_object(path.read_bytes())
    except OSError as error:
        raise SigningKeyError(f"The key file {path} cannot be read: {error.strerror}.") from error
    except NotAnObject as error:
        raise SigningKeyError(f"The key file {path} is not JSON.") from error
    jwk, issuer = document.get("key"), document.get("issuer")
    if not isinstance(jwk, dict) or jwk.get("alg") not in ALGORITHMS or "d" not in jwk or not isinstance(issuer, str):
        raise SigningKeyError(f"The key file {path} is not one that cds-hooks trust dev-key made.")
    return SigningKey(jwk, issuer)


def sign_token(
    key: SigningKey,
    url: str,
    *,
    subject: str | None = None,
    tenant: str | None = None,
    lifetime_seconds: int = 300,
    now: float | None = None,
) -> str:
    """A token for one call of `url`, with a `jti` of its own; `now` in seconds since the epoch, else the clock's."""
    issued = int(time() if now is None else now)
    claims: dict[str, Any] = {
        "iss": key.issuer,
        "aud": url,
        "iat": issued,
        "exp": issued + lifetime_seconds,
        "jti": secrets.token_urlsafe(18),
    }
    claims |= {name: value for name, value in (("sub", subject), ("tenant", tenant)) if value is not None}
    return jwt.encode(claims, key.private, algorithm=key.jwk["alg"], headers={"kid": key.jwk["kid"], "typ": "JWT"})


def sign_claims(key: SigningKey, header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
    """A token with exactly this header and these claims, right or wrong: for trying out what a server refuses."""
    algorithm = get_default_algorithms()[header.get("alg", key.jwk["alg"])]
    parts = [_encoded(json.dumps(part, separators=(",", ":")).encode()) for part in (dict(header), dict(claims))]
    signature = algorithm.sign(".".join(parts).encode(), key.private)
    return ".".join([*parts, _encoded(signature)])


def public_forms(key: SigningKey) -> tuple[bytes, ...]:
    """The public key in the forms in which servers keep it: PEM with and without a last newline, DER, JWK, JWK Set."""
    public = key.private.public_key()
    subject = serialization.PublicFormat.SubjectPublicKeyInfo
    pem: bytes = public.public_bytes(serialization.Encoding.PEM, subject)
    der: bytes = public.public_bytes(serialization.Encoding.DER, subject)
    keys = key.key_set()
    return pem, pem.strip(), der, json.dumps(keys["keys"][0]).encode(), json.dumps(keys).encode()


def algorithms_of(key: SigningKey) -> tuple[str, ...]:
    """Every algorithm that a key of its kind can sign with, its own among them."""
    return _RSA if key.jwk["alg"] in _RSA else (key.jwk["alg"],)


def _encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _private(algorithm: str) -> Any:
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    if algorithm.startswith("ES"):
        curves: dict[str, ec.EllipticCurve] = {
            "ES256": ec.SECP256R1(),
            "ES384": ec.SECP384R1(),
            "ES512": ec.SECP521R1(),
        }
        return ec.generate_private_key(curves[algorithm])
    return rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS)
