"""A connection is to an address that was checked: which one, after which failures, and what is refused."""

import asyncio
import json
import socket
import ssl
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path

import httpcore
import httpx
import pytest

from cds_hooks.call.security.addresses import AddressRule
from cds_hooks.call.security.outbound import CheckedBackend, TransportRefused, ssl_context_for
from cds_hooks.evidence.storage.queries import feedback_on
from cds_hooks.tools.kit.simulator.signing import new_key, sign_token
from tests.cds_hooks.calls import PLANNING, client, request_for
from tests.each import each_row
from tests.live import record_in
from tests.recorded import list_decisions

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


@each_row(("addresses", "host", "asked"))
def test_the_first_address_that_takes_the_connection_is_used(
    addresses: tuple[str, ...], host: str, asked: int, port: int
) -> None:
    names = Names(*addresses)
    assert asyncio.run(_connected_to(names, host, port)) == "127.0.0.1"
    assert names.asked == [(host, port)] * asked


@pytest.mark.parametrize("addresses", [(), ("93.184.216.34",), ("127.0.0.1", "10.0.0.1"), ("10.0.0.1", "127.0.0.1")])
def test_one_address_that_is_not_allowed_refuses_the_name(addresses: tuple[str, ...], port: int) -> None:
    rule = AddressRule(only=(ip_network("127.0.0.0/8"),))
    with pytest.raises(TransportRefused) as refused:
        asyncio.run(CheckedBackend(rule, Names(*addresses)).connect_tcp("fhir.example.org", port, 5.0))
    assert (refused.value.reason, refused.value.text) == (
        "address",
        "The host's network address may not be connected to.",
    )


def test_a_name_that_is_not_answered_in_time_is_a_connection_that_timed_out(port: int) -> None:
    with pytest.raises(httpcore.ConnectTimeout, match=r"^no connection in time$"):
        asyncio.run(_connected_to(Names("127.0.0.1", seconds=60.0), "fhir.example.org", port, 0.01))


def test_a_unix_socket_is_never_connected_to() -> None:
    with pytest.raises(TransportRefused) as refused:
        asyncio.run(CheckedBackend(LOOPBACK, Names()).connect_unix_socket("/run/fhir.sock"))
    assert (refused.value.reason, refused.value.text) == ("address", "Unix sockets are not connected to.")


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


KEY = new_key("https://ehr.example")
PATH = f"/cds-services/{PLANNING}"
PUBLIC = "https://cds.example.org"
PROXIES = "127.0.0.1/32, 10.0.0.0/24"
_TRUST = f"""
version = 1

[[client]]
name = "ehr"
issuers = ["{KEY.issuer}"]
algorithms = ["ES384"]
jwks_file = "keys.json"
services = ["{PLANNING}"]
"""


async def _send(
    folder: Path,
    attempts: Sequence[tuple[str, ...]],
    path: str = PATH,
    proxies: str = PROXIES,
    *,
    body: object = None,
    signed: str | None = None,
) -> list[httpx.Response]:
    """The answers to one signed call that is sent once for each attempt, with these ids, each to another server."""
    (folder / "keys.json").write_text(json.dumps(KEY.key_set()))
    (folder / "trust.toml").write_text(_TRUST)
    token = ("authorization", f"Bearer {signed or sign_token(KEY, PUBLIC + path)}")
    body = body or request_for(PLANNING, "patient-view", "planning-talk", datetime.now(UTC))
    answers = []
    for ids in attempts:
        settings = {"trust_file": folder / "trust.toml", "public_url": PUBLIC, "trusted_proxies": proxies}
        async with client(folder, **settings) as server:
            headers = [token, *(("x-request-id", call_id) for call_id in ids)]
            answers.append(await server.post(path, json=body, headers=headers))
    return answers


async def test_a_call_sent_again_to_the_next_server_gets_the_recorded_answer(tmp_path: Path) -> None:
    first, again = await _send(tmp_path, [("a1",), ("a1",)])
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.content == again.content
    assert len(list_decisions(record_in(tmp_path))) == 1


async def test_an_earlier_call_of_the_same_hook_instance_is_no_answer(tmp_path: Path) -> None:
    """Some clients keep one hookInstance while an order is changed; each of their calls has its own answer."""
    body = request_for(PLANNING, "patient-view", "planning-talk", datetime.now(UTC))
    (earlier,) = await _send(tmp_path, [("a1",)], body=body)
    (refused,) = await _send(tmp_path, [("a2",)], body={**body, "context": {}})
    signed = sign_token(KEY, PUBLIC + PATH)
    (first,) = await _send(tmp_path, [("a1",)], body=body, signed=signed)
    (later,) = await _send(tmp_path, [("a3",)], body=body)
    (again,) = await _send(tmp_path, [("a1",)], body=body, signed=signed)
    assert (refused.status_code, first.content == again.content) == (400, True)
    assert first.json()["extension"] not in [earlier.json()["extension"], later.json()["extension"]]


@each_row("attempts")
async def test_any_other_copy_of_a_call_is_refused_however_often_it_comes(
    tmp_path: Path, attempts: list[tuple[str, ...]]
) -> None:
    first, *copies = await _send(tmp_path, [*attempts, attempts[-1], attempts[-1]])
    assert [copy.status_code for copy in copies] == [401, 401, 401]
    assert len(list_decisions(record_in(tmp_path))) == 1
    assert first.status_code == 200


@pytest.mark.parametrize("proxies", ["", "10.0.0.0/24", "127.0.0.2/32"])
async def test_the_id_of_an_undeclared_proxy_is_worth_nothing(tmp_path: Path, proxies: str) -> None:
    _, again = await _send(tmp_path, [("a1",), ("a1",)], proxies=proxies)
    assert again.status_code == 401


async def test_a_call_that_was_not_answered_the_first_time_is_computed(tmp_path: Path) -> None:
    body = request_for(PLANNING, "patient-view", "planning-talk", datetime.now(UTC))
    del body["prefetch"]["patient"]
    first, again = await _send(tmp_path, [("a1",), ("a1",)], body=body)
    assert (first.status_code, again.status_code) == (412, 412)
    assert len(list_decisions(record_in(tmp_path))) == 2


async def test_feedback_sent_again_is_stored_once(tmp_path: Path) -> None:
    (answer,) = await _send(tmp_path, [()])
    card = answer.json()["cards"][0]["uuid"]
    report = {"feedback": [{"card": card, "outcome": "overridden", "outcomeTimestamp": "2026-11-23T01:00:00Z"}]}
    answers = await _send(tmp_path, [("f1",), ("f1",), ("f2",)], f"{PATH}/feedback", body=report)
    assert [answer.status_code for answer in answers] == [200, 200, 401]
    decision = list_decisions(record_in(tmp_path))[0]
    assert len(feedback_on(record_in(tmp_path), decision.id)) == 1
