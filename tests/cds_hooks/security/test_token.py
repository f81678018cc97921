"""Tokens taken apart: whatever the bytes, an answer of one kind; and what we take, another reader takes too."""

import json
from base64 import urlsafe_b64encode
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_hooks.errors import Untrusted
from cds_hooks.kit.simulator.signing import SigningKey, sign_token
from cds_hooks.security.token import bearer, read_token
from tests.cds_hooks.security.trusting import PUBLIC_URL, SERVICE

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["alg", "typ", "kid", "jku", "crit", "iss", "aud", "exp", "iat", "jti", "nbf", "sub", "tenant"])
OBJECTS = st.dictionaries(NAMES, JSON, max_size=13)


def _part(value: Any) -> bytes:
    return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")


def _read(value: bytes) -> None:
    try:
        token = read_token(bearer([(b"authorization", value)]))
    except Untrusted:
        return
    assert token.header.kid
    assert token.claims.jti
    assert token.claims.aud


@given(st.binary(max_size=200) | st.binary(max_size=200).map(b"Bearer ".__add__))
def test_any_bytes_are_a_token_or_untrusted(value: bytes) -> None:
    _read(value)


@given(OBJECTS, OBJECTS)
def test_any_json_is_a_token_or_untrusted(header: dict[str, Any], claims: dict[str, Any]) -> None:
    good = {"alg": "ES384", "typ": "JWT", "kid": "k", **header}
    _read(b"Bearer " + _part(good) + b"." + _part(claims) + b".AA")
    complete = {"iss": "i", "aud": "a", "exp": 2, "iat": 1, "jti": "j", **claims}
    _read(b"Bearer " + _part(good) + b"." + _part(complete) + b".AA")


@pytest.mark.parametrize("algorithm", ["ES384", "RS384", "ES256", "RS256", "EdDSA"])
def test_a_token_says_to_us_what_it_says_to_another_reader(signing_keys: dict[str, SigningKey], algorithm: str) -> None:
    key = signing_keys[algorithm]
    compact = sign_token(key, PUBLIC_URL + SERVICE, subject="s", tenant="t", now=4_000_000_000)
    ours = read_token(compact.encode())
    public = jwt.PyJWK(key.key_set()["keys"][0])
    theirs = jwt.decode_complete(
        compact, public, algorithms=[algorithm], audience=PUBLIC_URL + SERVICE, options={"verify_iat": False}
    )
    claims = theirs["payload"]
    assert (ours.header.alg, ours.header.kid) == (theirs["header"]["alg"], theirs["header"]["kid"])
    assert [ours.claims.iss, ours.claims.aud[0], ours.claims.exp, ours.claims.iat, ours.claims.jti] == [
        claims[name] for name in ("iss", "aud", "exp", "iat", "jti")
    ]
    assert (ours.claims.sub, ours.claims.tenant) == ("s", "t")


def test_two_tokens_have_two_jti_and_a_token_is_for_one_url(signing_keys: dict[str, SigningKey]) -> None:
    first, second = (read_token(sign_token(signing_keys["ES256"], "https://x/y").encode()) for _ in range(2))
    assert first.claims.jti != second.claims.jti
    assert first.claims.aud == ("https://x/y",)
    assert first.claims.exp - first.claims.iat == 300
