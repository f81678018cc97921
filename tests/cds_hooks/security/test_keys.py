"""Keys of a JWK Set: each bound to the algorithms of its kind, and left out with a reason where it is of no use."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from cds_hooks.kit.simulator.signing import SigningAlgorithm, new_key
from cds_hooks.security.keys import ALGORITHMS, UnusableKey, read_key, read_key_set

EC = new_key("https://ehr.example.org", "ES384", "k").key_set()["keys"][0]


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "ES512", "RS256", "PS512", "EdDSA"])
def test_a_key_that_names_its_algorithm_is_for_that_one(algorithm: SigningAlgorithm) -> None:
    assert read_key(new_key("https://ehr.example.org", algorithm).key_set()["keys"][0]).algorithms == (algorithm,)


def test_a_key_that_names_none_is_for_those_of_its_kind() -> None:
    assert read_key({name: value for name, value in EC.items() if name != "alg"}).algorithms == ("ES384",)
    jwk = new_key("https://ehr.example.org", "RS256").key_set()["keys"][0]
    rsa_algorithms = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
    assert read_key({name: value for name, value in jwk.items() if name != "alg"}).algorithms == rsa_algorithms


def test_no_symmetric_algorithm_has_a_name_here() -> None:
    assert not [name for name in ALGORITHMS if name.startswith("HS") or name.lower() == "none"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"kid": None}, "kid"),
        ({"kid": ""}, "kid"),
        ({"kid": 7}, "kid"),
        ({"kty": "oct", "k": "c2VjcmV0"}, "private or shared"),
        ({"d": "AQAB"}, "private"),
        ({"kty": "none"}, "kty"),
        ({"kty": None}, "kty"),
        ({"use": "enc"}, "use"),
        ({"key_ops": ["encrypt"]}, "key_ops"),
        ({"key_ops": "verify"}, "key_ops"),
        ({"alg": "ES256"}, "alg"),
        ({"alg": "HS256"}, "alg"),
        ({"alg": "none"}, "alg"),
        ({"alg": None}, "alg"),
        ({"crv": "P-256"}, "numbers"),
        ({"crv": "P-999"}, "numbers"),
        ({"x": "AAAA"}, "numbers"),
        ({"x": 1}, "numbers"),
        ({"y": None}, "numbers"),
        ({"kty": "RSA", "n": "AQAB", "e": "AQAB"}, "numbers"),
        ({"kty": "RSA"}, "numbers"),
        ({"kty": "OKP", "crv": "X25519", "x": "AAAA"}, "numbers"),
    ],
    ids=str,
)
def test_a_key_of_no_use_is_refused_with_the_reason(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnusableKey, match=reason):
        read_key({**EC, **change})


def test_small_keys_and_other_curves_are_refused() -> None:
    breakable = rsa.generate_private_key(65537, 1024)  # noqa: S505 - to be refused
    small = RSAAlgorithm.to_jwk(breakable.public_key(), as_dict=True)
    with pytest.raises(UnusableKey, match="1024 bits"):
        read_key({**small, "kid": "k", "key_ops": ["verify"]})
    other = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256K1()).public_key(), as_dict=True)
    with pytest.raises(UnusableKey, match="curve"):
        read_key({**other, "kid": "k"})


def test_a_kid_that_stands_twice_means_nobody() -> None:
    other = new_key("https://ehr.example.org", "ES384", "k").key_set()["keys"][0]
    good = new_key("https://ehr.example.org", "ES384", "good").key_set()["keys"][0]
    keys, left_out = read_key_set({"keys": [EC, good, other]})
    assert list(keys.by_kid) == ["good"]
    assert left_out == ["keys[2]: its kid stands twice"]


@pytest.mark.parametrize("document", [{}, {"keys": None}, {"keys": "k"}, {"keys": [EC] * 101}])
def test_what_is_no_key_set_has_no_keys(document: dict[str, Any]) -> None:
    keys, left_out = read_key_set(document)
    assert (dict(keys.by_kid), len(left_out)) == ({}, 1)
