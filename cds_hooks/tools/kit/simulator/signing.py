"""The client's side of authentication, for tests and trials: makes a key pair and signs tokens with it."""

import json
import os
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from time import time
from typing import Any, Final, Literal, get_args

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

from cds_hooks.tools.kit.simulator.chart import unreadable

SigningAlgorithm = Literal["ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "EdDSA"]
_RSA_BITS: Final = 3072
_RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_CURVES: Final[Mapping[str, ec.EllipticCurve]] = {
    "ES256": ec.SECP256R1(),
    "ES384": ec.SECP384R1(),
    "ES512": ec.SECP521R1(),
}
_ONLY_PUBLIC: Final = frozenset({"kty", "kid", "alg", "use", "crv", "x", "y", "n", "e"})
_LIFETIME_SECONDS: Final = 300
_NONE: Final[Mapping[str, Any]] = {}


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

    @property
    def algorithm(self) -> str:
        """The algorithm with which it is registered."""
        return str(self.jwk["alg"])

    @property
    def algorithms(self) -> tuple[str, ...]:
        """Every algorithm that a key of its kind can sign with, its own among them."""
        return _RSA if self.algorithm in _RSA else (self.algorithm,)

    @property
    def public_jwk(self) -> dict[str, Any]:
        """The public part (RFC 7517)."""
        return {name: value for name, value in self.jwk.items() if name in _ONLY_PUBLIC}

    def key_set(self) -> dict[str, Any]:
        """Return the JWK Set that the server is given: the public part only."""
        return {"keys": [self.public_jwk]}

    def public_forms(self) -> tuple[bytes, ...]:
        """Return the public key as servers keep it: PEM with and without a last newline, DER, JWK, JWK Set."""
        public = self.private.public_key()
        subject = serialization.PublicFormat.SubjectPublicKeyInfo
        pem: bytes = public.public_bytes(serialization.Encoding.PEM, subject)
        der: bytes = public.public_bytes(serialization.Encoding.DER, subject)
        return pem, pem.strip(), der, json.dumps(self.public_jwk).encode(), json.dumps(self.key_set()).encode()

    def sign(self, header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
        """Return a token with exactly this header and these claims, right or wrong, to try what a server refuses."""
        algorithm = get_default_algorithms()[header.get("alg", self.algorithm)]
        parts = [encoded(json.dumps(part, separators=(",", ":")).encode()) for part in (dict(header), dict(claims))]
        signature = algorithm.sign(".".join(parts).encode(), self.private)
        return ".".join([*parts, encoded(signature)])

    @cached_property
    def stranger(self) -> "SigningKey":
        """Another key of the same kind, which the server does not know."""
        return new_key(self.issuer, self.jwk["alg"])

    def token(
        self,
        url: str,
        header: Mapping[str, Any] = _NONE,
        claims: Mapping[str, Any] = _NONE,
        without: Collection[str] = (),
        key: "SigningKey | None" = None,
    ) -> str:
        """Return a token for one call of this URL, with a `jti` of its own.

        It is good as it is, or wrong: with these members of header and claims set or left out, or signed by another
        key.
        """
        now = int(time())
        times = {"iat": now, "exp": now + _LIFETIME_SECONDS, "jti": secrets.token_urlsafe(18)}
        body = {"iss": self.issuer, "aud": url} | times | dict(claims)
        head = {"alg": self.algorithm, "kid": self.jwk["kid"], "typ": "JWT"} | dict(header)
        return (key or self).sign(
            {name: value for name, value in head.items() if name not in without},
            {name: value for name, value in body.items() if name not in without},
        )


def sign_token(
    key: SigningKey,
    url: str,
    *,
    subject: str | None = None,
    tenant: str | None = None,
    lifetime_seconds: int = _LIFETIME_SECONDS,
    now: float | None = None,
) -> str:
    """Return a token for one call of `url`; `now` in seconds since the epoch, else the clock's."""
    issued = int(time() if now is None else now)
    named = {name: value for name, value in (("sub", subject), ("tenant", tenant)) if value is not None}
    return key.token(url, claims={"iat": issued, "exp": issued + lifetime_seconds, **named})


def new_key(issuer: str, algorithm: SigningAlgorithm = "ES384", kid: str | None = None) -> SigningKey:
    """Make a key pair."""
    jwk = get_default_algorithms()[algorithm].to_jwk(_private(algorithm), as_dict=True)
    labels = {"kid": kid or secrets.token_urlsafe(9), "alg": algorithm, "use": "sig"}
    return SigningKey({**{name: value for name, value in jwk.items() if name != "key_ops"}, **labels}, issuer)


def write_key(key: SigningKey, path: Path) -> None:
    """Write the private key to a new file that only its owner can read; FileExistsError where there is one."""
    content = json.dumps({"issuer": key.issuer, "key": key.jwk}, indent=2) + "\n"
    with open(path, "x", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(content)


_NO_KEY_FILE: Final = (
    "The file that --key names is not there; `python -m cds_hooks.tools.kit token --help` says how one is made."
)


def read_key_file(path: Path) -> SigningKey:
    """Read the key of a file that `write_key` made; SigningKeyError where it is none."""
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        # A path that is no file is not printed: it may be a key that was pasted where its path is expected.
        raise SigningKeyError(f"The key file {unreadable(path, error)}." if path.exists() else _NO_KEY_FILE) from error
    except (ValueError, RecursionError) as error:
        raise SigningKeyError(f"The key file {path} is not JSON.") from error
    jwk, issuer = (document.get("key"), document.get("issuer")) if isinstance(document, dict) else (None, None)
    if not isinstance(jwk, dict) or not isinstance(issuer, str) or not _is_private_key(jwk):
        raise SigningKeyError(f"The key file {path} is not one that python -m cds_hooks.tools.kit token made.")
    return SigningKey(jwk, issuer)


def _is_private_key(jwk: Mapping[str, Any]) -> bool:
    return jwk.get("alg") in get_args(SigningAlgorithm) and "d" in jwk


def encoded(data: bytes) -> str:
    """Return the bytes in base64url without padding, as the parts of a token."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _private(algorithm: str) -> Any:
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    if algorithm in _CURVES:
        return ec.generate_private_key(_CURVES[algorithm])
    return rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS)
