"""Tokens that the tester signs: good ones for every request, and ones with a single thing wrong."""

import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from time import time
from typing import Any

LIFETIME_SECONDS = 300
_NOTHING: Mapping[str, Any] = {}

Sign = Callable[[Mapping[str, Any], Mapping[str, Any]], str]
"""From a header and claims to a token in compact form; the algorithm is that of the header."""


@dataclass(frozen=True)
class Stranger:
    """A key that the server under test does not know: its public JWK with `kid` and `alg`, and how it signs."""

    jwk: Mapping[str, Any]
    sign: Sign


@dataclass(frozen=True)
class Signer:
    """A client that the server under test knows: whose tokens these are, by which key, and how one is signed.

    The signature is made by who calls the kit, so the kit needs no cryptography. `algorithms` are all that the key can
    sign with; `algorithm` is the registered one. `public_keys` is the public key in the forms in which servers hold it
    (PEM, DER, JWK), `stranger` another key that the server does not know.
    """

    issuer: str
    algorithm: str
    kid: str
    sign: Sign
    subject: str = ""
    tenant: str = ""
    algorithms: tuple[str, ...] = ()
    public_keys: tuple[bytes, ...] = ()
    stranger: Stranger | None = None

    def token(
        self,
        url: str,
        header: Mapping[str, Any] = _NOTHING,
        claims: Mapping[str, Any] = _NOTHING,
        without: Collection[str] = (),
        sign: Sign | None = None,
    ) -> str:
        """A token for a request to this URL: good as it is, or with these members set or left out.

        `sign` is given where another key than the client's signs it.
        """
        now = int(time())
        told = {"sub": self.subject, "tenant": self.tenant}
        good = {
            "iss": self.issuer,
            "aud": url,
            "iat": now,
            "exp": now + LIFETIME_SECONDS,
            "jti": secrets.token_urlsafe(16),
            **{name: value for name, value in told.items() if value},
        }
        head = {"alg": self.algorithm, "kid": self.kid, "typ": "JWT"} | dict(header)
        body = good | dict(claims)
        return (sign or self.sign)(
            {name: value for name, value in head.items() if name not in without},
            {name: value for name, value in body.items() if name not in without},
        )
