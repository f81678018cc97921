"""No connection leaves the list: 300 addresses, each as fhirServer, as `next` link, as redirect and as key set."""

import json
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import monotonic, sleep
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from cds_hooks.kit.simulator.signing import SigningKey
from cds_hooks.security.addresses import (
    BadUrl,
    Budgets,
    FhirBase,
    OutboundRefused,
    Reach,
    is_loopback,
    parse_url,
    reach_of,
)
from cds_hooks.security.client import ANONYMOUS, RegisteredBase
from cds_hooks.security.outbound import OutboundClient
from cds_hooks.security.trust import DevelopmentTrust, FileTrust
from cds_hooks.security.trust_file import TrustFileError
from tests.cds_hooks.security.conftest import DATA, make_site
from tests.cds_hooks.security.servers import Canary, Seen
from tests.cds_hooks.security.trusting import CLIENT, Clock, Site, nowhere, run
from tests.each import for_each

ROWS: list[dict[str, Any]] = [json.loads(line) for line in (DATA / "ssrf.jsonl").read_text().splitlines()]

FAILURES = (httpx.HTTPError, httpx.InvalidURL, ValueError)

_connected: list[Any] | None = None


def _listen_to_sockets(event: str, arguments: tuple[Any, ...]) -> None:
    if _connected is not None and event == "socket.connect":
        _connected.append(arguments[1])


sys.addaudithook(_listen_to_sockets)


@contextmanager
def connections() -> Iterator[list[Any]]:
    """The address of every connection that this process tries to make meanwhile, as Python's audit events tell."""
    global _connected
    _connected = []
    try:
        yield _connected
    finally:
        _connected = None


def _url(row: dict[str, Any], canary: Canary, server: Seen) -> str:
    return str(row["url"]).replace("{port}", str(canary.port)).replace("{fhir}", str(server.port))


def _loopback_base(server: Seen) -> FhirBase:
    url = parse_url(f"{server.base}/r4")
    return FhirBase(url, url, reach_of(url, Reach()), Budgets(fetch_milliseconds=2000))


def _public_base() -> FhirBase:
    url = parse_url("https://fhir.example.org/r4")
    return FhirBase(url, url, Reach())


def test_the_corpus_is_as_large_as_it_should_be() -> None:
    assert len({row["url"] for row in ROWS}) >= 300


@pytest.fixture(scope="module")
def trust(
    tmp_path_factory: pytest.TempPathFactory, signing_keys: dict[str, SigningKey], running_fhir_server: Seen
) -> Iterator[FileTrust]:
    """A trust file whose client has one FHIR server with a name and one on loopback."""
    site = make_site(tmp_path_factory.mktemp("ssrf"), signing_keys, Clock())
    site.write(CLIENT.replace('fhir = ["', f'fhir = ["{running_fhir_server.base}/r4", "'))
    opened = site.open()
    yield opened
    run(opened.aclose())


@pytest.mark.parametrize("kind", sorted({row["kind"] for row in ROWS}))
def test_an_address_outside_the_list_is_not_connected_to(
    kind: str, trust: FileTrust, canary: Canary, fhir_server: Seen
) -> None:
    for_each(
        [(row["url"], (row, trust, canary, fhir_server)) for row in ROWS if row["kind"] == kind], _is_not_connected_to
    )


def _is_not_connected_to(row: dict[str, Any], trust: FileTrust, canary: Canary, fhir_server: Seen) -> None:
    url = _url(row, canary, fhir_server)
    fhir_server.requests.clear()
    before = canary.connections
    with connections() as made:
        _as_fhir_server(trust, url)
        _without_trust_file(url, allowed=row.get("dev", False))
        run(_as_link_and_redirect(fhir_server, url))
    assert {address[:2] for address in made} <= {("127.0.0.1", fhir_server.port)}
    assert all(path == "/r4" or path.startswith(("/r4/", "/r4?")) for path in fhir_server.paths)
    assert canary.connections == before


def _as_fhir_server(trust: FileTrust, url: str) -> None:
    client = trust._live.register().clients[0]
    with pytest.raises(OutboundRefused) as refused:
        trust.may_fetch(client, url)
    assert refused.value.reason in ("malformed", "not-registered")
    assert len(url) < 2 or url not in str(refused.value)


def _without_trust_file(url: str, *, allowed: bool) -> None:
    """On loopback every server may be read; that the others are not is what is shown here."""
    trust = DevelopmentTrust()
    if allowed:
        assert is_loopback(trust.may_fetch(ANONYMOUS, url).url)
    else:
        with pytest.raises(OutboundRefused):
            trust.may_fetch(ANONYMOUS, url)


async def _as_link_and_redirect(server: Seen, url: str) -> None:
    """As the address of a next page or an absolute reference, and as what such a page answers with."""
    outbound = OutboundClient(nowhere)
    try:
        for base in (_loopback_base(server), _public_base()):
            with pytest.raises(OutboundRefused):
                base.check(url)
            async with outbound.open(base, "canary-token") as http:
                with suppress(*FAILURES):
                    # a relative one stays below the base, whatever it says; that is seen at the server
                    await http.get(url, follow_redirects=True)
                with suppress(*FAILURES):
                    await http.get("redirect", params={"to": url}, follow_redirects=True)
    finally:
        await outbound.aclose()


def test_what_is_on_the_list_is_connected_to_in_the_same_ways(
    trust: FileTrust, canary: Canary, fhir_server: Seen
) -> None:
    """The same measurement where there is something to see: without it the tests above would prove nothing."""
    client = trust._live.register().clients[0]
    trust.may_fetch(client, f"{fhir_server.base}/r4/")
    before = canary.connections
    with connections() as made:
        run(_as_link_and_redirect_allowed(fhir_server))
        socket.create_connection(("127.0.0.1", canary.port)).close()
    assert ("127.0.0.1", fhir_server.port) in made
    assert ("127.0.0.1", canary.port) in made
    redirect = f"/r4/redirect?to={quote(fhir_server.base + '/r4/Patient/2', safe='')}"
    assert fhir_server.paths == ["/r4/Patient/1", redirect, "/r4/Patient/2"]
    end = monotonic() + 5
    while canary.connections == before and monotonic() < end:
        sleep(0.01)
    assert canary.connections == before + 1


async def _as_link_and_redirect_allowed(server: Seen) -> None:
    outbound = OutboundClient(nowhere)
    async with outbound.open(_loopback_base(server)) as http:
        await http.get(f"{server.base}/r4/Patient/1")
        await http.get("redirect", params={"to": f"{server.base}/r4/Patient/2"}, follow_redirects=True)
    await outbound.aclose()


def test_what_is_refused_as_an_address_is_not_repaired_by_reading_it_once_more() -> None:
    for row in ROWS:
        with suppress(BadUrl):
            url = parse_url(str(row["url"]).replace("{port}", "8080").replace("{fhir}", "8081"))
            assert parse_url(str(url)) == url, row["url"]


def test_the_trust_file_itself_cannot_open_the_metadata_services(site: Site) -> None:
    metadata = [row["url"] for row in ROWS if row["kind"] == "metadata and link-local" and "://1" in row["url"]]
    for address in metadata:
        site.write(CLIENT.replace("https://fhir.example.org/r4", address.split("?")[0]))
        with pytest.raises(TrustFileError):
            site.open()


async def _answer_of(base: RegisteredBase, addresses: list[str]) -> str:
    async def resolver(host: str, port: int) -> list[str]:
        del host, port
        return addresses

    outbound = OutboundClient(resolver)
    try:
        async with outbound.open(FhirBase(base.url, base.url, base.reach, Budgets(fetch_milliseconds=300))) as http:
            await http.get("Patient/1")
    except OutboundRefused as refused:
        return refused.reason
    except httpx.HTTPError as error:
        return type(error).__name__
    finally:
        await outbound.aclose()
    return "answered"


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["10.0.0.1"],
        ["169.254.169.254"],
        ["::ffff:169.254.169.254"],
        ["64:ff9b::a9fe:a9fe"],
        ["2002:7f00:1::"],
        ["fe80::1%eth0"],
        ["fd00:ec2::254"],
        ["0.0.0.0"],  # noqa: S104 - nothing is bound to it
        ["192.0.2.1", "127.0.0.1"],
        ["8.8.8.8", "10.0.0.1"],
        ["127.0.0.1", "8.8.8.8"],
        ["not an address"],
        [],
    ],
    ids=str,
)
def test_a_registered_name_that_means_an_inner_address_is_not_connected_to(addresses: list[str]) -> None:
    url = parse_url("https://fhir.example.org/r4")
    with connections() as made:
        assert run(_answer_of(RegisteredBase(url, Reach()), addresses)) == "address"
    assert made == []
