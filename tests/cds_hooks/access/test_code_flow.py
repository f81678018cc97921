"""The parts of a login at a provider: its description, the way there and back, the code, and the ID token."""

import asyncio
from base64 import urlsafe_b64encode
from hashlib import sha256, sha512
from time import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import ECAlgorithm, OKPAlgorithm

from cds_hooks.access.code_flow import (
    FlowFailed,
    Provider,
    fetch_json,
    provider_of,
    verified_claims,
)
from tests.cds_hooks.security.servers import answering
from tests.each import for_rows, rows_of


def _base64_url(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


DOCUMENT = {
    "issuer": "https://id.example",
    "authorization_endpoint": "https://id.example/authorize",
    "token_endpoint": "https://id.example/token",
    "jwks_uri": "https://id.example/keys",
}


PROVIDER = Provider(
    "https://id.example", "https://id.example/authorize", "https://id.example/token", "https://id.example/keys", "us"
)


@for_rows(
    "changed",
    rows_of(__file__, "a_document_that_cannot_be_used_is_refused"),
)
def test_a_document_that_cannot_be_used_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(FlowFailed):
        provider_of(DOCUMENT | changed, "us", None)


HALF = {"ES256": sha256(b"at").digest()[:16], "EdDSA": sha512(b"at").digest()[:32]}


def _id_token(claims: dict[str, Any], algorithm: str) -> tuple[str, dict[str, Any]]:
    """A signed ID token of a minute, and the key set of who signed it; its times are given in seconds from now."""
    private = Ed25519PrivateKey.generate() if algorithm == "EdDSA" else ec.generate_private_key(ec.SECP256R1())
    body: dict[str, Any] = {"iss": PROVIDER.issuer, "sub": "7", "exp": 60, "iat": 0} | claims
    body |= {name: int(time()) + body[name] for name in ("exp", "iat", "nbf") if body.get(name) is not None}
    text = jwt.encode({name: value for name, value in body.items() if value is not None}, private, algorithm)
    reader: Any = OKPAlgorithm if algorithm == "EdDSA" else ECAlgorithm
    return text, {"keys": [reader.to_jwk(private.public_key(), as_dict=True)]}


@for_rows(
    ("claims", "algorithm", "is_good"),
    rows_of(__file__, "an_id_token_is_of_this_login_this_client_and_this_access_token"),
)
def test_an_id_token_is_of_this_login_this_client_and_this_access_token(
    claims: dict[str, Any], algorithm: str, *, is_good: bool
) -> None:
    text, keys = _id_token(claims, algorithm)
    answer = {"id_token": text, "access_token": "at"}
    if is_good:
        assert verified_claims(answer, keys, PROVIDER, "n")["sub"] == "7"
        return
    with pytest.raises(FlowFailed, match="The ID token cannot be accepted"):
        verified_claims(answer, keys, PROVIDER, "n")


@pytest.mark.parametrize(("length", "is_read"), [(256 * 1024, True), (256 * 1024 + 1, False)])
def test_an_answer_of_a_provider_has_256_kilobytes_at_most(length: int, *, is_read: bool) -> None:
    body = b'{"a":"' + b"x" * (length - 8) + b'"}'
    with answering(lambda _: (200, {}, body)) as seen:
        if is_read:
            assert list(asyncio.run(fetch_json(seen.base, None, {}))) == ["a"]
            return
        with pytest.raises(FlowFailed) as refused:
            asyncio.run(fetch_json(seen.base, None, {}))
        assert str(refused.value) == "The authorization server's answer is too large."


@pytest.mark.parametrize("algorithm", ["HS256", "none"])
def test_an_id_token_that_names_no_signature_of_the_provider_lets_nobody_in(algorithm: str) -> None:
    _, keys = _id_token({}, "ES256")
    body = {"iss": PROVIDER.issuer, "sub": "7", "aud": "us", "nonce": "n", "iat": int(time()), "exp": int(time()) + 60}
    secret = "" if algorithm == "none" else str(keys["keys"][0]["x"]) * 2
    forged = jwt.encode(body, secret, algorithm)
    with pytest.raises(FlowFailed, match="The ID token cannot be accepted"):
        verified_claims({"id_token": forged, "access_token": "at"}, keys, PROVIDER, "n")
