"""Trust where it seldom goes: keys that were left alone for long, calls that a proxy sends, odd keys and entries."""

import asyncio
import json
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed448, x25519

from cds_hooks.kit.simulator.signing import SigningKey, new_key
from cds_hooks.security.addresses import KeySetUrl, Reach, parse_url
from cds_hooks.security.keys import UnusableKey, read_key, read_key_set
from cds_hooks.security.register import KeySetLifetimes, RemoteKeys
from cds_hooks.security.trust import proxied_call
from cds_hooks.security.trust_file import TrustFileError, read_trust_file
from cds_hooks.settings.checks import networks_of
from tests.cds_hooks.security.trusting import CLIENT, Clock, Site
from tests.each import for_rows

NOW = 1_795_000_000.0
SOURCE = KeySetUrl(parse_url("https://ehr.example.org/jwks"), Reach())


@pytest.fixture(scope="module")
def key() -> SigningKey:
    return new_key("https://ehr.example.org", "ES256", "k")


class KeyServer:
    """A key set that is fetched when the test lets it be."""

    def __init__(self, *keys: SigningKey) -> None:
        self.body = json.dumps({"keys": [each for one in keys for each in one.key_set()["keys"]]}).encode()
        self.fetched = 0
        self.open = asyncio.Event()
        self.open.set()

    async def __call__(self, source: KeySetUrl) -> bytes:
        assert source is SOURCE
        self.fetched += 1
        await self.open.wait()
        return self.body


async def _settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_key_set_is_used_to_the_end_of_its_times(key: SigningKey) -> None:
    server, clock = KeyServer(key), Clock()
    server.open.set()
    keys = RemoteKeys(SOURCE, server, KeySetLifetimes(900.0, 86_400.0), clock)
    assert await keys.key_after_fetching("k") is not None
    clock.now += 900.0
    assert keys.key("k") is not None
    await _settle()
    assert server.fetched == 1
    server.open.clear()
    clock.now += 900.0
    assert keys.key("k") is not None, "twice the time is not over yet"
    clock.now += 0.5
    assert keys.key("k") is None
    clock.now += 84_599.5
    assert keys.usable
    clock.now += 0.5
    assert not keys.usable
    keys.cancel()


PROXY = ("10.0.0.7", 443)


@for_rows(
    ("peer", "networks", "ids", "is_one"),
    [
        (PROXY, "10.0.0.0/24", [b"a"], True),
        (PROXY, "10.0.0.0/24", [b"a" * 200], True),
        (PROXY, "10.0.0.0/24", [b"a" * 201], False),
        (PROXY, "10.0.0.0/24", [b""], False),
        (PROXY, "10.0.0.0/24", [], False),
        (PROXY, "10.0.0.0/24", [b"a", b"b"], False),
        (PROXY, "", [b"a"], False),
        (("10.0.1.7", 443), "10.0.0.0/24", [b"a"], False),
        (None, "10.0.0.0/24", [b"a"], False),  # a Unix socket has no address
    ],
)
def test_a_call_has_the_id_that_one_declared_proxy_gave_it(
    peer: tuple[str, int] | None, networks: str, ids: list[bytes], *, is_one: bool
) -> None:
    headers = [(b"host", b"x"), *((b"x-request-id", value) for value in ids), (b"authorization", b"Bearer t")]
    call = proxied_call({"client": peer, "headers": headers}, networks_of(networks))
    assert (call.id if call is not None else None) == (ids[0].decode() if is_one else None)
    if call is not None:
        others = [proxied_call({"client": peer, "headers": changed}, networks_of(networks))
                  for changed in (headers, headers[:-1], [*headers[:-1], (b"authorization", b"Bearer u")])]  # fmt: skip
        assert [other is not None and other.fingerprint == call.fingerprint for other in others] == [True, False, False]


def test_a_key_of_another_curve_of_its_kind_or_a_set_in_another_form_is_no_key(key: SigningKey) -> None:
    def okp(name: str, public: Any) -> dict[str, Any]:
        raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return {"kty": "OKP", "crv": name, "x": urlsafe_b64encode(raw).decode().rstrip("="), "kid": "k"}

    for name, private in (("Ed448", ed448.Ed448PrivateKey), ("X25519", x25519.X25519PrivateKey)):
        with pytest.raises(UnusableKey, match=r"public part of an RSA, EC or Ed25519 key|numbers"):
            read_key(okp(name, private.generate().public_key()))
    for jwk, reason in ((7, "it is not an object"), ({}, "it has no kid, by which tokens name it")):
        with pytest.raises(UnusableKey) as refused:
            read_key(jwk)
        assert str(refused.value) == reason
    jwk = key.key_set()["keys"][0]
    keys = read_key_set({"keys": [jwk, {**jwk, "kid": "l"}] + [7] * 98})
    assert (sorted(keys[0].by_kid), len(keys[1]), keys[1][0]) == (["k", "l"], 98, "keys[2]: it is not an object")
    assert read_key_set({"keys": [jwk] * 101})[1] == ["it has more than 100 keys"]
    assert not keys[0].by_kid["k"].verifies("ES384", b"", b"")


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ('smart_origins = ["https://login.example.org/x"]', "an origin has no path and no query"),
        ('smart_origins = ["https://login.example.org/?x=1"]', "an origin has no path and no query"),
        ('smart_origins = ["https://127.1"]', "its host is a number that is not an address in its usual form"),
        ('networks = ["10.0.0.1/8"]', "is not a network as 10.20.0.0/16 (without host bits)"),
        ('networks = ["169.254.0.0/16"]', "holds addresses that are never called: 169.254.0.0/16"),
        ('ca_file = "jwks.json"', "holds no certificates that can be read (PEM)"),
        ('ca_file = "none.pem"', "holds no certificates that can be read (PEM)"),
    ],
)
def test_an_entry_of_a_client_that_cannot_be_used_is_named(site: Site, line: str, fault: str) -> None:
    site.write(f"{CLIENT}{line}\n")
    with pytest.raises(TrustFileError) as refused:
        read_trust_file(site.file)
    assert refused.value.kind == "content"
    assert any(fault in problem for problem in refused.value.problems), refused.value.problems
