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
    authorization_address,
    code_of,
    fetch_json,
    json_object,
    provider_of,
    redeem,
    verified_claims,
)
from tests.cds_hooks.security.servers import answering
from tests.each import for_rows


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


def test_a_provider_is_read_from_its_document() -> None:
    assert provider_of(DOCUMENT, "us", None) == PROVIDER
    more = DOCUMENT | {
        "authorization_response_iss_parameter_supported": True, "userinfo_endpoint": "https://id.example/who",
        "code_challenge_methods_supported": ["plain", "S256"],
    }  # fmt: skip
    read = provider_of(more, "us", "secret", issuer="https://other.example")
    assert (read.issuer, read.secret, read.names_itself, read.userinfo) == (
        "https://other.example", "secret", True, "https://id.example/who",
    )  # fmt: skip
    assert not provider_of(more | {"authorization_response_iss_parameter_supported": "true"}, "us", None).names_itself
    assert provider_of(DOCUMENT | {"authorization_endpoint": "https://id.example/a?x=1"}, "us", None).authorize


@for_rows(
    "changed",
    [
        {"token_endpoint": None},
        {"token_endpoint": 7},
        {"authorization_endpoint": "http://id.example/authorize"},
        {"jwks_uri": "ftp://id.example"},
        {"userinfo_endpoint": ""},
        {"code_challenge_methods_supported": ["plain"]},
    ],
)
def test_a_document_that_cannot_be_used_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(FlowFailed):
        provider_of(DOCUMENT | changed, "us", None)


def test_the_browser_is_sent_with_a_challenge() -> None:
    address = authorization_address(PROVIDER, "https://cds.example/back", "openid", "st", "verifier", "no", aud="f")
    challenge = _base64_url(sha256(b"verifier").digest())
    assert address == (
        "https://id.example/authorize?response_type=code&client_id=us&redirect_uri=https%3A%2F%2Fcds.example%2Fback"
        f"&scope=openid&state=st&nonce=no&code_challenge={challenge}&code_challenge_method=S256&aud=f"
    )
    query = Provider("i", "https://id.example/a?x=1", "t", "k", "us")
    assert authorization_address(query, "r", "s", "st", "v", "n").startswith("https://id.example/a?x=1&response_type")


NAMED = Provider("https://id.example", "a", "t", "k", "us", names_itself=True)


@for_rows(
    ("query", "provider", "fault"),
    [
        ({"code": "c"}, PROVIDER, None),
        ({"code": "c", "iss": "https://id.example"}, NAMED, None),
        ({"code": "c"}, NAMED, "another authorization server"),
        ({"code": "c", "iss": "https://evil.example"}, PROVIDER, "another authorization server"),
        ({"code": "c", "error": "access_denied"}, PROVIDER, "did not let this person in"),
        ({}, PROVIDER, "sent no code"),
        ({"code": ""}, PROVIDER, "sent no code"),
    ],
)
def test_a_code_is_taken_from_the_server_that_was_asked(query: Any, provider: Provider, fault: str | None) -> None:
    if fault is None:
        assert code_of(query, provider) == "c"
        return
    with pytest.raises(FlowFailed, match=fault):
        code_of(query, provider)


async def test_a_code_is_redeemed_with_the_id_in_the_form_or_with_the_secret_in_a_header() -> None:
    sent: list[Any] = []

    async def fetch(address: str, form: Any, headers: Any) -> dict[str, Any]:
        sent.append((address, form, headers))
        return {"id_token": "t"}

    form = {"grant_type": "authorization_code", "code": "c", "redirect_uri": "r", "code_verifier": "v"}
    assert await redeem(fetch, PROVIDER, "c", "r", "v") == {"id_token": "t"}
    await redeem(fetch, Provider("i", "a", "https://id.example/token", "k", "us", "p:w"), "c", "r", "v")
    assert sent == [
        ("https://id.example/token", form | {"client_id": "us"}, {"accept": "application/json"}),
        ("https://id.example/token", form, {"accept": "application/json", "authorization": "Basic dXM6cCUzQXc="}),
    ]


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
    [
        ({"nonce": "n", "aud": "us"}, "ES256", True),
        ({"nonce": "n", "aud": "us"}, "EdDSA", True),
        ({"nonce": None, "aud": "us"}, "ES256", False),
        ({"nonce": "n", "aud": "us", "iss": "https://evil.example"}, "ES256", False),
        ({"nonce": "n", "aud": "us", "iss": None}, "ES256", False),
        ({"nonce": "n", "aud": "us", "sub": None}, "ES256", False),
        ({"nonce": "n", "aud": "us", "iat": None}, "ES256", False),
        ({"nonce": "n", "aud": "us", "exp": None}, "ES256", False),
        ({"nonce": "n", "aud": "us", "exp": -70}, "ES256", False),
        ({"nonce": "n", "aud": "us", "exp": -30}, "ES256", True),
        ({"nonce": "n", "aud": "us", "iat": 600}, "ES256", False),
        ({"nonce": "n", "aud": "us", "nbf": 600}, "ES256", False),
        ({"nonce": "n", "aud": None}, "ES256", False),
        ({"nonce": "n", "aud": []}, "ES256", False),
        ({"nonce": "n", "aud": "other"}, "ES256", False),
        ({"nonce": "x", "aud": "us"}, "ES256", False),
        ({"nonce": "n", "aud": ["us"]}, "ES256", True),
        ({"nonce": "n", "aud": ["us", "other"]}, "ES256", False),
        ({"nonce": "n", "aud": ["us", "other"], "azp": "us"}, "ES256", True),
        ({"nonce": "n", "aud": "us", "azp": "other"}, "ES256", False),
        ({"nonce": "n", "aud": "us", "at_hash": _base64_url(HALF["ES256"])}, "ES256", True),
        ({"nonce": "n", "aud": "us", "at_hash": _base64_url(HALF["EdDSA"])}, "EdDSA", True),
        ({"nonce": "n", "aud": "us", "at_hash": _base64_url(HALF["EdDSA"])}, "ES256", False),
    ],
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


@for_rows(
    ("status", "body", "fault"),
    [
        (500, b"{}", "The authorization server refused: it answered 500."),
        (201, b"{}", "The authorization server refused: it answered 201."),
        (200, b"{", "The authorization server's answer is no JSON."),
        (200, b"[]", "The authorization server's answer is no JSON object."),
    ],
)
def test_an_answer_of_an_authorization_server_is_a_json_object(status: int, body: bytes, fault: str) -> None:
    with pytest.raises(FlowFailed) as refused:
        json_object(status, body)
    assert str(refused.value) == fault
    assert json_object(200, b'{"a":1}') == {"a": 1}


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


def test_a_provider_that_is_away_is_named_by_the_kind_of_the_fault() -> None:
    with pytest.raises(FlowFailed) as refused:
        asyncio.run(fetch_json("http://127.0.0.1:9", {"a": "b"}, {}))
    assert str(refused.value) == "The authorization server cannot be reached (ConnectError)."


@pytest.mark.parametrize("token", [{}, {"id_token": None}, {"id_token": 7}])
def test_an_answer_without_an_id_token_lets_nobody_in(token: dict[str, Any]) -> None:
    provider = Provider("https://id.example", "a", "t", "k", "us")
    with pytest.raises(FlowFailed) as refused:
        verified_claims(token, {"keys": []}, provider, "n")
    assert str(refused.value) == ("The authorization server sent no ID token; the scope openid may not be allowed.")
    with pytest.raises(FlowFailed, match=r"^The ID token cannot be accepted \(DecodeError\)\.$"):
        verified_claims({"id_token": "x"}, {"keys": []}, provider, "n")
