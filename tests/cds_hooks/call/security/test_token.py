"""Tokens taken apart: whatever the bytes, an answer of one kind; and what we take, another reader takes too."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_hooks.call.security.register import FileTrust
from cds_hooks.call.security.token import bearer, read_token
from cds_hooks.errors import Untrusted, operation_outcome
from cds_hooks.tools.kit.simulator.signing import SigningKey, sign_token
from tests.cds_hooks.call.security.conftest import DATA, make_site
from tests.cds_hooks.call.security.forging import Forger, decoded
from tests.cds_hooks.call.security.trusting import PUBLIC_URL, SERVICE, Clock, run

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


ROWS: list[dict[str, Any]] = [json.loads(line) for line in (DATA / "jwt.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory, signing_keys: dict[str, SigningKey]) -> Iterator[FileTrust]:
    """The server that is attacked."""
    opened = make_site(tmp_path_factory.mktemp("jwt"), signing_keys, Clock()).open()
    yield opened
    run(opened.aclose())


@pytest.fixture
def forger(signing_keys: dict[str, SigningKey], attacker: SigningKey) -> Forger:
    """Makes the tokens, at the server's time."""
    return Forger(signing_keys, attacker, Clock().now)


def _call(trust: FileTrust, authorizations: list[bytes]) -> str:
    headers = [(b"host", b"cds.example.org"), *((b"authorization", each) for each in authorizations)]
    return run(trust.client_of(headers, SERVICE)).name


@pytest.mark.parametrize("algorithm", ["ES384", "RS384", "ES256", "RS256", "EdDSA"])
def test_a_good_token_of_every_kind_gets_in(trust: FileTrust, forger: Forger, algorithm: str) -> None:
    row = {"header": {"alg": algorithm, "kid": f"key-{algorithm}"}, "sign": algorithm}
    if algorithm == "RS256":
        signed_by_its_own = forger.keys["RS256"]
        forger.keys = {**forger.keys, "RS384": signed_by_its_own}
    assert _call(trust, forger.authorizations({}, forger.token(row))) == "Example"


@pytest.mark.parametrize("row", ROWS, ids=[row["name"] for row in ROWS])
def test_a_forged_token_is_refused(trust: FileTrust, forger: Forger, row: dict[str, Any]) -> None:
    token = forger.token(row)
    if "first" in row:
        assert _call(trust, forger.authorizations({}, forger.token({"claims": row["first"]}))) == "Example"
    if row.get("first_token"):
        claims = json.loads(decoded(token.split(".")[1]))
        unmangled = forger.token({"claims": claims})
        assert _call(trust, forger.authorizations({}, unmangled)) == "Example"
    for _ in range(row.get("times", 1) - 1):
        assert _call(trust, forger.authorizations(row, token)) == "Example"
    with pytest.raises(Untrusted) as refused:
        _call(trust, forger.authorizations(row, token))
    assert refused.value.reason == row["reason"]
    assert (refused.value.status, operation_outcome(refused.value)) == (401, operation_outcome(Untrusted("no-token")))
    assert token not in repr(refused.value)
