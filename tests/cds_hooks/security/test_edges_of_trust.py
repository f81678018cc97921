"""Trust where it seldom goes: keys that were left alone for long, stalled pools, a store that is away, odd entries."""

import asyncio
import json
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from ipaddress import ip_network
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import certifi
import httpcore
import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed448, x25519

from cds_hooks.errors import ReplayStoreFailed
from cds_hooks.kit.simulator.signing import SigningKey, new_key
from cds_hooks.security.addresses import AddressRule, KeySetUrl, PoolKey, Reach, parse_url
from cds_hooks.security.keys import UnusableKey, read_key, read_key_set
from cds_hooks.security.outbound import ConnectionPools, TransportRefused, _require_plain
from cds_hooks.security.register import KeySetLifetimes, RemoteKeys
from cds_hooks.security.replay import PostgresReplayStore, SqliteReplayStore, open_replay_store
from cds_hooks.security.trust import is_proxy, proxied_call
from cds_hooks.security.trust_file import TrustFileError, read_trust_file
from cds_hooks.security.trust_setup import AddressTrial, _base, _key_set, _why
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


async def test_no_more_than_256_calls_wait_for_a_set_and_a_cancelled_fetch_gives_nothing(key: SigningKey) -> None:
    server = KeyServer(key)
    server.open.clear()
    keys = RemoteKeys(SOURCE, server, KeySetLifetimes(), Clock())
    waiting = [asyncio.ensure_future(keys.key_after_fetching("k")) for _ in range(256)]
    await _settle()
    assert await keys.key_after_fetching("k") is None
    server.open.set()
    assert all(found is not None for found in await asyncio.gather(*waiting))
    assert server.fetched == 1
    server.open.clear()
    other = RemoteKeys(SOURCE, server, KeySetLifetimes(), Clock())
    late = asyncio.ensure_future(other.key_after_fetching("k"))
    await _settle()
    other.cancel()
    with pytest.raises(asyncio.CancelledError):
        await late


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


async def test_a_key_of_an_algorithm_that_the_client_does_not_use_is_not_counted(key: SigningKey) -> None:
    server = KeyServer(key)
    server.open.set()
    for algorithm, text in (("ES256", "1 usable key"), ("RS384", "0 usable keys")):
        client: Any = SimpleNamespace(name="A", algorithms=frozenset({algorithm}))
        trial = await _key_set(cast("Any", SimpleNamespace(fetch=server)), client, SOURCE)
        assert trial.said == text


@for_rows(("length", "is_read"), [(b"9", True), (b"10", True), (b"11", False), (b"x", True)])
def test_an_answer_may_be_as_long_as_its_limit(length: bytes, *, is_read: bool) -> None:
    answer = httpcore.Response(200, headers=[(b"Content-Length", length)])
    with nullcontext() if is_read else pytest.raises(TransportRefused, match="larger than the 10 bytes"):
        _require_plain(answer, 10)


# Connections


async def _nobody(host: str, port: int) -> Sequence[str]:
    del host, port
    await asyncio.sleep(60)
    return ()


def _pool_key(name: str) -> PoolKey:
    return PoolKey(name, "fhir", "http://fhir.example.org", Reach(AddressRule((ip_network("127.0.0.0/8"),))))


async def test_eight_timeouts_in_a_row_replace_a_pool_and_are_counted() -> None:
    pools, counted = ConnectionPools(_nobody), Counter[tuple[str, str, str]]()
    pools.count = lambda *event: counted.update([event])
    pool = pools.pool(_pool_key("ehr"))
    timeout = {"timeout": {"connect": 0.001, "pool": 1.0, "read": 1.0, "write": 1.0}}
    before = pool._connections
    for number in range(1, 9):
        assert pool._connections is before
        with pytest.raises(httpcore.ConnectTimeout):
            await pool.send(httpcore.Request("GET", "http://fhir.example.org/", extensions=timeout), 1000)
        assert counted["ehr", "fhir", "timeout"] == number
    assert pool._connections is not before
    assert counted["ehr", "fhir", "pool-replaced"] == 1
    assert (pool._is_stalled, pool._timeouts, before.under_way, before.retired) == (True, 0, 0, True)
    await pools.aclose()


async def test_of_more_than_512_pools_the_one_that_was_used_longest_ago_is_retired() -> None:
    pools = ConnectionPools(_nobody)
    first, second = pools.pool(_pool_key("0")), pools.pool(_pool_key("1"))
    before = second._connections
    for number in range(2, 512):
        pools.pool(_pool_key(f"{number}"))
    assert pools.pool(_pool_key("0")) is first
    assert not before.retired
    pools.pool(_pool_key("one more"))
    assert before.retired
    assert pools.pool(_pool_key("0")) is first
    assert pools.pool(_pool_key("1")) is not second
    await pools.aclose()


# Used tokens


async def test_a_store_of_used_tokens_that_is_away_says_so(tmp_path: Path) -> None:
    store, away = (
        SqliteReplayStore(tmp_path / "used.sqlite3"),
        open_replay_store("postgresql://nobody@127.0.0.1:1/x"),
    )
    store._connection.execute("DROP TABLE used")
    texts = []
    for one in (store, away):
        with pytest.raises(ReplayStoreFailed) as failed:
            await one.was_used_by("https://ehr", "x", "call")
        texts.append(failed.value.text)
    await store.aclose()
    waiting = asyncio.ensure_future(away.first_use("https://ehr", "x", NOW, NOW))
    await asyncio.sleep(0)
    await away.aclose()
    assert waiting.done()
    with pytest.raises(ReplayStoreFailed):
        await waiting
    assert isinstance(away, PostgresReplayStore)
    assert texts == ["The server cannot check the call's token. Try again later."] * 2


async def test_a_server_is_ready_where_a_token_of_its_own_can_be_noted(tmp_path: Path) -> None:
    site = Site(tmp_path, Clock())
    (tmp_path / "jwks.json").write_text('{"keys": []}')
    site.write(CLIENT)
    trust = site.open()
    await trust.check()
    await trust.check()
    assert trust._replays._connection.execute("SELECT count(*) FROM used").fetchone() == (2,)  # type: ignore[attr-defined]
    trust._replays._connection.execute("DROP TABLE used")  # type: ignore[attr-defined]
    with pytest.raises(ReplayStoreFailed):
        await trust.check()
    await trust.aclose()


# Calls that a proxy sends


@for_rows(
    ("address", "is_one"),
    [("10.0.0.7", True), ("::ffff:10.0.0.7", True), ("10.0.1.7", False), ("fd00::1", False), ("no address", False)],
)
def test_a_proxy_is_in_a_declared_network(address: str, *, is_one: bool) -> None:
    assert is_proxy(address, networks_of("10.0.0.0/24")) is is_one


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


# Keys and the trust file


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


def test_origins_and_certificates_of_a_client_are_read(site: Site) -> None:
    pem = "-----BEGIN CERTIFICATE-----" + Path(certifi.where()).read_text().partition("-----BEGIN CERTIFICATE-----")[2]
    pem = pem.partition("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n"
    (site.folder / "ca.pem").write_text(pem, encoding="ascii")
    site.write(f'{CLIENT}smart_origins = ["https://a.example/", "http://127.0.0.1:9"]\nca_file = "ca.pem"\n')
    file = read_trust_file(site.file)
    (client,) = file.clients
    assert client.smart_origins == {"https://a.example", "http://127.0.0.1:9"}
    assert client.fhir[0].reach.authorities == pem
    assert set(file.files) == {site.file, site.folder / "jwks.json", site.folder / "ca.pem"}


def test_what_came_of_an_address_is_told_in_a_line() -> None:
    reached = AddressTrial("ehr", "https://a.example", True, "1 usable key")
    assert str(reached) == "ok     ehr: https://a.example: 1 usable key"
    assert str(AddressTrial("ehr", "https://a.example", False, "away")) == "FAILED ehr: https://a.example: away"
    assert reached.facts() == {"client": "ehr", "address": "https://a.example", "reached": True, "said": "1 usable key"}
    request = httpx.Request("GET", "https://a.example")
    refused = httpx.HTTPStatusError("x", request=request, response=httpx.Response(503, request=request))
    assert [
        _why(error) for error in (TransportRefused("address", "Not there."), refused, OSError("gone"), OSError())
    ] == ["Not there.", "answers 503", "gone", "OSError"]


@pytest.mark.parametrize(("status", "is_reached"), [(200, True), (401, True), (499, True), (500, False), (503, False)])
async def test_a_fhir_server_is_reached_unless_it_fails_itself(status: int, *, is_reached: bool) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(status))
    outbound = SimpleNamespace(
        open=lambda _: httpx.AsyncClient(transport=transport, base_url="https://a.example/fhir/")
    )
    base = SimpleNamespace(url="https://a.example/fhir", reach="public")
    trial = await _base(cast(Any, outbound), cast(Any, SimpleNamespace(name="ehr")), cast(Any, base))
    assert trial == AddressTrial("ehr", "https://a.example/fhir", is_reached, f"GET metadata answers {status}")
