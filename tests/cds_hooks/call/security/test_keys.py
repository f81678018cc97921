"""Keys of a JWK Set: each bound to the algorithms of its kind, and left out with a reason where it is of no use."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from cds_hooks.call.security.addresses import KeySetUrl, Reach, parse_url, reach_of
from cds_hooks.call.security.keys import UnusableKey, read_key, read_key_set
from cds_hooks.call.security.outbound import OutboundClient
from cds_hooks.call.security.register import KeySetLifetimes, RemoteKeys
from cds_hooks.tools.kit.simulator.signing import SigningKey, new_key
from tests.cds_hooks.call.security.servers import Seen, answering
from tests.cds_hooks.call.security.trusting import Clock, run
from tests.each import each_row
from tests.waiting import until_async

EC = new_key("https://ehr.example.org", "ES384", "k").key_set()["keys"][0]


@each_row(("change", "reason"), ids=str)
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


Scenario = Callable[[RemoteKeys], Awaitable[None]]


class KeyServer:
    """What a key server answers; it can be changed while it runs."""

    def __init__(self, *keys: SigningKey) -> None:
        self.status = 200
        self.headers: dict[str, str] = {}
        self.publish(*keys)

    def publish(self, *keys: SigningKey) -> None:
        self.body = json.dumps({"keys": [each for key in keys for each in key.key_set()["keys"]]}).encode()

    def __call__(self, path: str) -> tuple[int, dict[str, str], bytes]:
        del path
        return self.status, self.headers, self.body


@pytest.fixture(scope="module")
def old() -> SigningKey:
    return new_key("https://ehr.example.org", "ES256", "old")


@pytest.fixture(scope="module")
def new() -> SigningKey:
    return new_key("https://ehr.example.org", "ES256", "new")


def _with_keys(seen: Seen, clock: Clock, scenario: Scenario, **keeping: float) -> None:
    async def play() -> None:
        outbound = OutboundClient()
        url = parse_url(f"{seen.base}/jwks")
        keys = RemoteKeys(KeySetUrl(url, reach_of(url, Reach())), outbound.fetch, KeySetLifetimes(**keeping), clock)
        try:
            await scenario(keys)
        finally:
            await keys.aclose()
            await outbound.aclose()
        assert asyncio.all_tasks() == {asyncio.current_task()}, "nothing goes on after the end"

    run(play())


async def _find(keys: RemoteKeys, kid: str) -> bool:
    return (keys.key(kid) or await keys.key_after_fetching(kid)) is not None


def test_a_key_that_was_withdrawn_while_nobody_called_is_not_believed(
    old: SigningKey, new: SigningKey, clock: Clock
) -> None:
    async def withdraw(keys: RemoteKeys) -> None:
        assert await _find(keys, "old")
        server.publish(new)
        clock.now += 5 * 3600
        assert not await _find(keys, "old"), "the first call after the night waits for the set of today"
        assert len(seen.requests) == 2
        server.status = 500
        clock.now += 5 * 3600
        assert await _find(keys, "new"), "through an outage it is as good as there is"

    server = KeyServer(old)
    with answering(server) as seen:
        _with_keys(seen, clock, withdraw, refresh_seconds=900)


def test_keys_are_used_through_an_outage_and_not_for_ever(old: SigningKey, clock: Clock) -> None:
    async def outage(keys: RemoteKeys) -> None:
        assert await _find(keys, "old")
        server.status = 503
        clock.now += 3599
        assert await _find(keys, "old")
        assert len(seen.requests) == 2
        clock.now += 2
        assert keys.key("old") is None
        assert not keys.usable
        assert not await _find(keys, "old")
        server.status = 200
        clock.now += 60
        assert await _find(keys, "old"), "and again when it is over"

    server = KeyServer(old)
    with answering(server) as seen:
        _with_keys(seen, clock, outage, refresh_seconds=900, outage_seconds=3600)


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (500, {}, b"{}"),
        (404, {}, b"{}"),
        (204, {}, b""),
        (200, {}, b"not JSON"),
        (200, {}, b"[]"),
        (200, {}, b"{}"),
        (200, {}, b'{"keys": []}'),
        (200, {}, b'{"keys": {}}'),
        (200, {}, b'{"keys": [1, null, {"kty": "oct", "k": "c2VjcmV0", "kid": "old"}]}'),
        (200, {}, b'{"keys": [], "keys": []}'),
        (200, {}, b" " * 300_000),
        (200, {"content-encoding": "gzip"}, b"\x1f\x8b"),
        (302, {"location": "http://127.0.0.1:1/jwks"}, b""),
        (301, {"location": "/other"}, b""),
    ],
)
def test_what_is_no_key_set_leaves_no_key_and_is_not_asked_for_again_at_once(
    status: int, headers: dict[str, str], body: bytes, clock: Clock
) -> None:
    async def ask(keys: RemoteKeys) -> None:
        assert keys.keep_fresh()  # before anybody calls
        for _ in range(20):
            assert not await _find(keys, "old")
        assert not keys.usable
        assert not keys.is_away  # this may be a moment of the network
        assert len(seen.requests) == 1
        for pause in (5, 10, 20, 40, 60, 60):
            clock.now += pause
            await asyncio.gather(*(_find(keys, "old") for _ in range(5)))
        assert len(seen.requests) == 7
        assert keys.is_away

    with answering(lambda _: (status, headers, body)) as seen:
        _with_keys(seen, clock, ask)


def test_a_key_set_that_turns_bad_does_not_take_the_good_keys_away(old: SigningKey, clock: Clock) -> None:
    async def turn(keys: RemoteKeys) -> None:
        assert await _find(keys, "old")
        server.body = b"<html>maintenance</html>"
        clock.now += 901
        assert await _find(keys, "old")
        await until_async(lambda: len(seen.requests) == 2)
        assert await _find(keys, "old")

    server = KeyServer(old)
    with answering(server) as seen:
        _with_keys(seen, clock, turn)
