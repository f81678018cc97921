"""The way out over real connections: the token, the bounds, the name in TLS, the address that was checked."""

import asyncio
import ipaddress
import json
import socket
import ssl
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from cds_hooks.call.security.addresses import (
    AddressRule,
    BadUrl,
    Budgets,
    FhirBase,
    OutboundRefused,
    Reach,
    parse_url,
    reach_of,
)
from cds_hooks.call.security.outbound import OutboundClient
from cds_hooks.call.security.register import FileTrust
from cds_hooks.call.security.trust import RegisteredBase
from cds_hooks.call.security.trust_file import TrustFileError
from tests.cds_hooks.call.security.conftest import DATA
from tests.cds_hooks.call.security.servers import Canary, Seen, answering
from tests.cds_hooks.call.security.trusting import CLIENT, Site, run
from tests.each import each_row
from tests.operations.test_proxies import Authority
from tests.waiting import until_async


def _base(seen: Seen, **budgets: int) -> FhirBase:
    url = parse_url(f"{seen.base}/r4")
    return FhirBase(url, url, reach_of(url, Reach()), Budgets(**{"fetch_milliseconds": 5000, **budgets}))


def _get(base: FhirBase, path: str = "Patient/1", token: str | None = None, **options: str) -> httpx.Response:
    async def get() -> httpx.Response:
        outbound = OutboundClient()
        try:
            async with outbound.open(base, token) as http:
                return await http.get(path, headers=options)
        finally:
            await outbound.aclose()

    return run(get())


def test_the_token_goes_with_every_request_and_nothing_else_takes_its_place(fhir_server: Seen) -> None:
    _get(_base(fhir_server), token="the-token", authorization="Basic eDp5", cookie="a=b")  # noqa: S106 - invented
    (_, path, headers), *_ = fhir_server.requests
    assert (path, headers["authorization"]) == ("/r4/Patient/1", "Bearer the-token")
    assert "cookie" not in headers
    assert headers["accept"] == "application/fhir+json"
    assert headers["host"] == f"127.0.0.1:{fhir_server.port}"


def test_the_token_does_not_follow_a_redirect_to_another_origin(fhir_server: Seen) -> None:
    with answering(lambda _: (200, {}, b"{}")) as other:

        async def follow() -> None:
            outbound = OutboundClient()
            async with outbound.open(_base(fhir_server), "the-token") as http:
                response = await http.get("redirect", params={"to": f"{other.base}/r4/Patient/1"})
                assert response.status_code == 302
                with pytest.raises(OutboundRefused):
                    await http.get("redirect", params={"to": f"{other.base}/r4"}, follow_redirects=True)
            await outbound.aclose()

        run(follow())
        assert other.requests == []


@pytest.mark.parametrize("token", ["a\r\nX-Evil: b", "a b", "", "ä", "a\0", "a,b"])
def test_a_token_that_could_be_more_than_a_token_is_not_sent(token: str, fhir_server: Seen) -> None:
    with pytest.raises(OutboundRefused) as refused:
        _get(_base(fhir_server), token=token)
    assert refused.value.reason == "token"
    assert fhir_server.requests == []


@each_row(("method", "path"))
async def test_nothing_is_written_to_a_fhir_server(method: str, path: str, fhir_server: Seen) -> None:
    outbound = OutboundClient()
    async with outbound.open(_base(fhir_server)) as http:
        with pytest.raises(OutboundRefused) as refused:
            await http.request(method, path)
        assert refused.value.reason == "not-reading"
        assert refused.value.text == "Only reads and searches are sent to a FHIR server."
        assert (await http.post("Observation/_search", data={"patient": "1"})).status_code == 200
    await outbound.aclose()
    assert fhir_server.paths == ["/r4/Observation/_search"]


@pytest.mark.parametrize("said_before", [True, False])
def test_an_answer_over_the_budget_is_not_read(said_before: bool) -> None:
    chunks = b"".join(b"3e8\r\n%s\r\n" % (b"x" * 1000) for _ in range(5)) + b"0\r\n\r\n"
    answer = (200, {}, b"x" * 5000) if said_before else (200, {"transfer-encoding": "chunked"}, chunks)
    with answering(lambda _: answer) as seen:
        with pytest.raises(OutboundRefused) as refused:
            _get(_base(seen, max_response_bytes=4096))
        assert refused.value.reason == "too-large"
        assert len(_get(_base(seen, max_response_bytes=5000)).content) == 5000


def test_a_compressed_answer_is_not_unpacked() -> None:
    with answering(lambda _: (200, {"content-encoding": "gzip"}, b"\x1f\x8b\x08")) as seen:
        with pytest.raises(OutboundRefused) as refused:
            _get(_base(seen))
        assert refused.value.reason == "encoded"
        assert seen.requests[0][2]["accept-encoding"] == "identity"


async def test_a_call_makes_no_more_requests_than_its_budget(fhir_server: Seen) -> None:
    outbound = OutboundClient()
    async with outbound.open(_base(fhir_server, max_requests=3)) as http:
        for _ in range(3):
            await http.get("Patient/1")
        with pytest.raises(OutboundRefused) as refused:
            await http.get("Patient/1")
        assert refused.value.reason == "too-many"
    async with outbound.open(_base(fhir_server, max_requests=3)) as http:
        await http.get("Patient/1")
    await outbound.aclose()
    assert len(fhir_server.requests) == 4


def test_a_name_that_changes_its_address_between_check_and_call_gains_nothing(canary: Canary) -> None:
    """DNS rebinding: the first answer passes the check, every later one is an address that must not be called."""
    answers = [["127.0.0.1"], ["127.0.0.2"], ["127.0.0.3"]]
    asked: list[str] = []

    async def rebinding(host: str, port: int) -> Sequence[str]:
        del port
        asked.append(host)
        return answers[len(asked) - 1]

    with answering(lambda _: (200, {"connection": "close"}, b"{}")) as seen:
        url = parse_url(f"http://fhir.example.org:{seen.port}/r4")
        only_first = Reach(AddressRule((ipaddress.ip_network("127.0.0.1/32"),)))
        base = FhirBase(url, url, only_first, Budgets(fetch_milliseconds=5000))

        async def calls() -> None:
            outbound = OutboundClient(rebinding)
            async with outbound.open(base, "the-token") as http:
                assert (await http.get("Patient/1")).status_code == 200
                for _ in range(2):
                    with pytest.raises(OutboundRefused) as refused:
                        await http.get("Patient/1")
                    assert refused.value.reason == "address"
            await outbound.aclose()

        before = canary.connections
        run(calls())
        assert asked == ["fhir.example.org"] * 3, "looked up once for each connection"
        assert [headers["host"] for _, _, headers in seen.requests] == [f"fhir.example.org:{seen.port}"]
        assert canary.connections == before


class TlsServer:
    """Answers one line over TLS with a certificate for `fhir.example.org`, and notes the name that was asked for."""

    def __init__(self, folder: Path) -> None:
        authority = Authority(folder, "authority")
        self.pem = authority.file.read_text()
        self.names: list[str | None] = []
        self.requests: list[bytes] = []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.issue("fhir.example.org"))
        context.sni_callback = lambda _socket, name, _context: self.names.append(name)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._serve, args=(context,), daemon=True).start()

    def _serve(self, context: ssl.SSLContext) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            try:
                with context.wrap_socket(connection, server_side=True) as secured:
                    self.requests.append(secured.recv(65536))
                    secured.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")
            except OSError:
                connection.close()

    def close(self) -> None:
        self._listening.close()


@pytest.fixture
def tls_server(tmp_path: Path) -> Iterator[TlsServer]:
    server = TlsServer(tmp_path)
    yield server
    server.close()


def _over_tls(server: TlsServer, host: str, authorities: str | None) -> int:
    async def loopback(_host: str, _port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    url = parse_url(f"https://{host}:{server.port}/r4")
    reach = Reach(AddressRule((ipaddress.ip_network("127.0.0.1/32"),)), authorities)

    async def get() -> int:
        outbound = OutboundClient(loopback)
        try:
            async with outbound.open(FhirBase(url, url, reach, Budgets(fetch_milliseconds=5000)), "the-token") as http:
                return (await http.get("Patient/1")).status_code
        finally:
            await outbound.aclose()

    return run(get())


def test_tls_is_with_the_name_although_the_connection_is_to_the_address(tls_server: TlsServer) -> None:
    assert _over_tls(tls_server, "fhir.example.org", tls_server.pem) == 200
    assert tls_server.names == ["fhir.example.org"]
    assert f"host: fhir.example.org:{tls_server.port}".encode() in tls_server.requests[0].lower()


@pytest.mark.parametrize(("host", "believed"), [("other.example.org", True), ("fhir.example.org", False)])
def test_a_certificate_of_another_name_or_of_nobody_ends_the_connection(
    tls_server: TlsServer, host: str, believed: bool
) -> None:
    with pytest.raises(httpx.ConnectError):
        _over_tls(tls_server, host, tls_server.pem if believed else None)
    assert b"the-token" not in b"".join(tls_server.requests)


# No connection leaves the list: 300 addresses, each as fhirServer, as `next` link, as redirect and as key set.
_LINES = (DATA / "ssrf.jsonl").read_text().replace("{long}", "a" * 9000).splitlines()
ROWS: list[dict[str, Any]] = [json.loads(line) for line in _LINES]

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


async def _read_anew(trust: FileTrust) -> None:
    looking, before = asyncio.create_task(trust.keep_looking()), trust.clients
    await until_async(lambda: trust.clients is not before)
    looking.cancel()


def test_a_call_that_names_an_address_of_the_corpus_is_not_read_from_there(site: Site, fhir_server: Seen) -> None:
    site.write(CLIENT.replace("https://fhir.example.org/r4", f"{fhir_server.base}/r4"))
    trust = site.open()
    (client,) = trust.clients
    try:
        assert trust.may_fetch(client, f"{fhir_server.base}/r4")
        for row in ROWS:
            url = str(row["url"]).replace("{port}", "8080").replace("{fhir}", str(fhir_server.port))
            with pytest.raises(OutboundRefused):
                trust.may_fetch(client, url)
        site.write(CLIENT)  # what a feed reads in the name of a client ends with the entry, too
        run(_read_anew(trust))
        with pytest.raises(OutboundRefused):
            [trust.may_fetch(client, f"{fhir_server.base}/r4") for _ in range(2)]
    finally:
        run(trust.aclose())


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


@each_row("addresses", ids=str)
def test_a_registered_name_that_means_an_inner_address_is_not_connected_to(addresses: list[str]) -> None:
    url = parse_url("https://fhir.example.org/r4")
    with connections() as made:
        assert run(_answer_of(RegisteredBase(url, Reach()), addresses)) == "address"
    assert made == []
