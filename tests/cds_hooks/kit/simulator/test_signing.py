"""Keys and tokens of a client under test: what a token says, and files that are a key or none."""

import json
import stat
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from cds_hooks.kit.simulator import signing
from cds_hooks.kit.simulator.signing import (
    Signer,
    SigningAlgorithm,
    SigningKeyError,
    new_key,
    read_key_file,
    sign_token,
    write_key,
)

NOW = 1_800_000_000
URL = "https://cds.example/cds-services/a"
KEY = new_key("https://ehr.example", "ES256", "kit")


def parts(token: str, key: signing.SigningKey = KEY) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a token that this key signed."""
    options: Any = {"verify_aud": False, "verify_exp": False, "verify_iat": False}
    claims = jwt.decode(token, key.private.public_key(), algorithms=list(key.algorithms), options=options)
    return jwt.get_unverified_header(token), claims


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing, "time", lambda: NOW + 0.9)


GOOD = {"iss": "https://ehr.example", "aud": URL, "iat": NOW, "exp": NOW + 300}
HEADER = {"alg": "ES256", "kid": "kit", "typ": "JWT"}


def test_a_token_lives_five_minutes_for_one_address() -> None:
    header, claims = parts(Signer(KEY).token(URL))
    jti = claims.pop("jti")
    assert (header, claims) == (HEADER, GOOD)
    assert len(jti) == 24  # 18 bytes in base64
    assert parts(Signer(KEY).token(URL))[1]["jti"] != jti
    _, claims = parts(Signer(KEY, "user", "hospital").token(URL))
    assert (claims["sub"], claims["tenant"]) == ("user", "hospital")


def test_a_wrong_token_has_members_that_are_set_or_left_out() -> None:
    signer = Signer(KEY)
    header, claims = parts(signer.token(URL, {"kid": "x"}, {"aud": "y", "nbf": 1}, ("iss", "typ", "jti")))
    assert (header, claims) == ({"alg": "ES256", "kid": "x"}, {"aud": "y", "iat": NOW, "exp": NOW + 300, "nbf": 1})
    stranger = signer.stranger
    assert stranger is signer.stranger
    assert (stranger.issuer, stranger.algorithm) == (KEY.issuer, "ES256")
    header, _ = parts(signer.token(URL, key=stranger), stranger)
    assert header == HEADER
    with pytest.raises(jwt.InvalidSignatureError):
        parts(signer.token(URL, key=stranger))


def test_a_token_is_signed_for_an_instant_and_a_lifetime() -> None:
    _, claims = parts(sign_token(KEY, URL, subject="user", tenant="hospital", lifetime_seconds=60, now=NOW - 100.5))
    assert (claims["iat"], claims["exp"], claims["sub"], claims["tenant"]) == (NOW - 101, NOW - 41, "user", "hospital")
    _, claims = parts(sign_token(KEY, URL))
    assert {name: value for name, value in claims.items() if name != "jti"} == GOOD


@pytest.mark.parametrize(
    ("algorithm", "kind", "algorithms"),
    [
        ("ES384", {"kty": "EC", "crv": "P-384"}, ("ES384",)),
        ("ES512", {"kty": "EC", "crv": "P-521"}, ("ES512",)),
        ("EdDSA", {"kty": "OKP", "crv": "Ed25519"}, ("EdDSA",)),
    ],
)
def test_a_key_pair_is_of_its_kind(algorithm: SigningAlgorithm, kind: dict[str, str], algorithms: tuple[str]) -> None:
    key = new_key("https://ehr.example", algorithm)
    assert {name: key.jwk[name] for name in kind} == kind
    assert (key.algorithm, key.algorithms, key.jwk["use"], len(key.jwk["kid"])) == (algorithm, algorithms, "sig", 12)
    assert "key_ops" not in key.jwk
    assert key.key_set() == {"keys": [key.public_jwk]}
    assert "d" in key.jwk
    assert "d" not in key.public_jwk
    assert parts(Signer(key).token(URL), key)[0]["alg"] == algorithm


def test_a_key_of_rsa_signs_with_every_algorithm_of_its_kind() -> None:
    key = new_key("https://ehr.example", "RS384", "kit")
    assert key.private.key_size == 3072
    assert key.algorithms == ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
    assert set(key.public_jwk) == {"kty", "n", "e", "kid", "alg", "use"}


def test_the_public_key_is_given_in_the_forms_in_which_servers_keep_it() -> None:
    pem, stripped, der, jwk, jwks = KEY.public_forms()
    assert (pem[:27], pem[-1:], stripped) == (b"-----BEGIN PUBLIC KEY-----\n", b"\n", pem[:-1])
    assert serialization.load_der_public_key(der) == KEY.private.public_key()
    assert (json.loads(jwk), json.loads(jwks)) == (KEY.public_jwk, {"keys": [KEY.public_jwk]})


def test_a_key_is_written_once_for_its_owner_alone_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    write_key(KEY, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_key_file(path) == KEY
    with pytest.raises(FileExistsError):
        write_key(KEY, path)


NOT_MADE = "is not one that cds-hooks trust token made."


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (None, "cannot be read: No such file or directory."),
        (b"{", "is not JSON."),
        (b"[]", NOT_MADE),
        ({"issuer": "i"}, NOT_MADE),
        ({"key": KEY.jwk}, NOT_MADE),
        ({"key": KEY.jwk, "issuer": 5}, NOT_MADE),
        ({"key": [], "issuer": "i"}, NOT_MADE),
        ({"key": KEY.public_jwk, "issuer": "i"}, NOT_MADE),
        ({"key": KEY.jwk | {"alg": "HS256"}, "issuer": "i"}, NOT_MADE),
    ],
)
def test_what_is_no_key_is_refused_with_a_sentence(document: Any, why: str, tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    if document is not None:
        path.write_bytes(document if isinstance(document, bytes) else json.dumps(document).encode())
    with pytest.raises(SigningKeyError) as refused:
        read_key_file(path)
    assert str(refused.value) == f"The key file {path} {why}"
