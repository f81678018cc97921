"""A connection is to an address that was checked: which one, after which failures, and what is refused."""

import asyncio
import gc
import socket
import ssl
from collections.abc import Iterator, Sequence
from ipaddress import ip_network
from pathlib import Path

import httpcore
import pytest

from cds_hooks.security.addresses import AddressRule
from cds_hooks.security.outbound import (
    CheckedBackend,
    TransportRefused,
    ssl_context_for,
    system_resolver,
)

LOOPBACK = AddressRule((ip_network("127.0.0.0/8"),))


@pytest.fixture
def port() -> Iterator[int]:
    """The port of a socket that listens on 127.0.0.1 and on no other address of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


class Names:
    """A name server that gives these addresses, and how often it was asked."""

    def __init__(self, *addresses: str, seconds: float = 0.0) -> None:
        self.addresses, self.seconds = addresses, seconds
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append((host, port))
        await asyncio.sleep(self.seconds)
        return self.addresses


async def _connected_to(names: Names, host: str, port: int, timeout: float | None = 5.0) -> str:
    stream = await CheckedBackend(LOOPBACK, names).connect_tcp(host, port, timeout)
    address: tuple[str, int] = stream.get_extra_info("server_addr")
    await stream.aclose()
    return address[0]


@pytest.mark.parametrize(
    ("addresses", "host", "asked"),
    [
        (("127.0.0.1",), "fhir.example.org", 1),
        (("127.0.0.2", "127.0.0.1"), "fhir.example.org", 1),
        (("127.0.0.3", "127.0.0.2", "127.0.0.1"), "fhir.example.org", 1),
        (("127.0.0.1", "127.0.0.2"), "fhir.example.org", 1),
        ((), "127.0.0.1", 0),
    ],
)
def test_the_first_address_that_takes_the_connection_is_used(
    addresses: tuple[str, ...], host: str, asked: int, port: int
) -> None:
    names = Names(*addresses)
    assert asyncio.run(_connected_to(names, host, port)) == "127.0.0.1"
    assert names.asked == [(host, port)] * asked


def test_where_no_address_takes_the_connection_the_last_failure_is_told(port: int) -> None:
    with pytest.raises(httpcore.ConnectError):
        asyncio.run(_connected_to(Names("127.0.0.2", "127.0.0.3"), "fhir.example.org", port))


@pytest.mark.parametrize("addresses", [(), ("93.184.216.34",), ("127.0.0.1", "10.0.0.1"), ("10.0.0.1", "127.0.0.1")])
def test_one_address_that_is_not_allowed_refuses_the_name(addresses: tuple[str, ...], port: int) -> None:
    rule = AddressRule(only=(ip_network("127.0.0.0/8"),))
    with pytest.raises(TransportRefused) as refused:
        asyncio.run(CheckedBackend(rule, Names(*addresses)).connect_tcp("fhir.example.org", port, 5.0))
    assert (refused.value.reason, refused.value.text) == (
        "address",
        "The host's network address is not one that may be connected to.",
    )


def test_a_name_that_is_not_answered_in_time_is_a_connection_that_timed_out(port: int) -> None:
    with pytest.raises(httpcore.ConnectTimeout, match=r"^no connection in time$"):
        asyncio.run(_connected_to(Names("127.0.0.1", seconds=60.0), "fhir.example.org", port, 0.01))


def test_a_unix_socket_is_never_connected_to() -> None:
    with pytest.raises(TransportRefused) as refused:
        asyncio.run(CheckedBackend(LOOPBACK, Names()).connect_unix_socket("/run/fhir.sock"))
    assert (refused.value.reason, refused.value.text) == ("address", "Unix sockets are not connected to.")


@pytest.mark.parametrize("ends", ["fails", "is cancelled"])
async def test_a_lookup_that_nobody_waits_for_any_more_ends_without_a_word(ends: str) -> None:
    complaints: list[object] = []

    async def resolver(host: str, port: int) -> Sequence[str]:
        await asyncio.sleep(0)
        if ends == "is cancelled":
            raise asyncio.CancelledError
        raise OSError("no such name")

    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    waiting = asyncio.create_task(CheckedBackend(LOOPBACK, resolver).connect_tcp("fhir.example.org", 443, 5.0))
    await asyncio.sleep(0)
    waiting.cancel()
    for _ in range(5):
        await asyncio.sleep(0)
    gc.collect()
    assert complaints == []


def test_the_operating_system_gives_each_address_of_a_name_once() -> None:
    assert asyncio.run(system_resolver("127.0.0.1", 80)) == ["127.0.0.1"]
    with pytest.raises(httpcore.ConnectError, match=r"^the name of the host is not known$"):
        asyncio.run(system_resolver("nowhere.invalid", 80))


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_the_environment_says_nothing_of_whose_certificates_are_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    public = ssl_context_for(None).get_ca_certs(binary_form=True)
    one = ssl.DER_cert_to_PEM_cert(public[0])
    (tmp_path / "one.pem").write_text(one, encoding="ascii")
    monkeypatch.setenv(variable, str(tmp_path / "one.pem" if variable.endswith("FILE") else tmp_path))
    context = ssl_context_for(one)
    assert len(public) > 50
    assert set(context.get_ca_certs(binary_form=True)) == set(public)
    assert context.check_hostname
