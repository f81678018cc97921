"""Large heads, connections that say nothing or half of it, and answers that nobody takes: the server bounds them."""

import asyncio
import json
import resource
import shutil
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from cds_hooks.server.edge import EdgeLimits
from tests.each import each_row
from tests.hardening.attacks import observe
from tests.hardening.raw import Connection
from tests.live import serving
from tests.waiting import MOST_SECONDS, until

CONNECTIONS = 64


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A server that has 64 connections, and the folder with its log."""
    folder = tmp_path_factory.mktemp("edge")
    bounds = {"connections": CONNECTIONS, "head_seconds": MOST_SECONDS, "answer_seconds": MOST_SECONDS}
    bounds["cds_hooks.server.edge:LOG_SECONDS"] = 86_400
    with serving(folder, constants=bounds) as address:
        yield address, folder


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that waits a second."""
    with serving(tmp_path_factory.mktemp("hasty"), constants={"head_seconds": 1.0, "answer_seconds": 1.0}) as address:
        yield address


def _flood(address: str, head: bytes, more: bytes, times: int) -> tuple[int, int]:
    """The status of the answer to `head` and then `more` so many times, and how many bytes were taken."""
    sent = 0
    with Connection(address) as connection:
        try:
            connection.send(head)
            for _ in range(times):
                connection.send(more)
                sent += len(more)
        except ConnectionError:
            return 0, sent
        try:
            return connection.answer().status, sent
        except ConnectionError:
            return 0, sent


def _metric(address: str, name: str) -> float:
    page = httpx.get(f"{address}/metrics", timeout=MOST_SECONDS).text
    return float(page.partition(f"\n{name} ")[2].partition("\n")[0] or 0)


START = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /cds-services/order-safety HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"
MEGABYTE = b"x" * (1 << 20)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "head", "more"),
    [
        ("a request line", b"GET /livez?", MEGABYTE),
        ("a field", START + b"X-Long: ", MEGABYTE),
        ("fields", START, b"X-Some: value of a field\r\n" * 40_000),
        ("trailers", CHUNKED + b"0\r\n", b"X-Some: value of a field\r\n" * 40_000),
        ("a trailer", CHUNKED + b"0\r\nX-Long: ", MEGABYTE),
        ("a chunk extension", CHUNKED + b"2;long=", MEGABYTE),
    ],
)
def test_nothing_but_a_body_can_be_large(edge: tuple[str, Path], what: str, head: bytes, more: bytes) -> None:
    before = _metric(edge[0], "process_cpu_seconds_total")
    _, sent = _flood(edge[0], head, more, 60)
    assert sent < 30 << 20, what  # of 60 MB; the rest is what the kernel keeps
    assert _metric(edge[0], "process_cpu_seconds_total") - before < 10, "nobody is kept waiting by what is not taken"
    assert httpx.get(f"{edge[0]}/livez").status_code == 200


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /livez?" + b"x" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414),
        (START + b"".join(b"X-%d: 1\r\n" % each for each in range(120)) + b"\r\n", 431),
        (START + b"X-Long: " + b"x" * 70_000 + b"\r\n\r\n", 431),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (START + b"Host: rebound.example\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\r\n\r\n", 400),
        (b"GET /livez HTTP/1.0\r\n\r\n", 200),
        (b"GET /decisions?client=a%00 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (START + b"Cookie: " + b"x" * 7000 + b"\r\n\r\n", 200),
        (b"GET /livez?" + b"x" * 7000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 200),
    ],
)
def test_a_head_beyond_the_bounds_has_its_own_answer(edge: tuple[str, Path], request_bytes: bytes, status: int) -> None:
    with Connection(edge[0]) as connection:
        connection.send(request_bytes)
        answer = connection.answer()
        assert answer.status == status
        if status != 200:
            outcome = json.loads(answer.body)
            assert outcome["resourceType"] == "OperationOutcome"
            assert outcome["id"] == answer.headers["x-call-id"]
            until(lambda: f'"decision": "{outcome["id"]}"' in (edge[1] / "server.log").read_text())
            assert connection.is_closed()


def test_a_body_that_could_be_two_is_answered_400_and_nothing_after_it(edge: tuple[str, Path]) -> None:
    second = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
    head = b"POST /cds-services/none HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: "
    for length, body in (
        (b"xchunked", b"0\r\n\r\n"),
        (b"identity", b"abcd"),
        (b"chunked", b"-1\r\n\r\n"),
        (b"chunked", b"fffffffffffffffff\r\n\r\n"),
        (b"chunked", b"3\r\nabcX\r\n0\r\n\r\n"),
        (b"chunked\r\nContent-Length: 6", b"0\r\n\r\nX"),
        (b"gzip, chunked", b"2\r\n{}\r\n0\r\n\r\n"),
        (b"gzip\r\nTransfer-Encoding: chunked", b"2\r\n{}\r\n0\r\n\r\n"),
        (b"identity, chunked", b"2\r\n{}\r\n0\r\n\r\n"),
    ):
        with Connection(edge[0]) as connection:
            connection.send(head + length + b"\r\n\r\n" + body + second)
            assert connection.answer().status == 400, (length, body)
            assert connection.answer().status == 0, "the connection is closed"
    with Connection(edge[0]) as connection:
        connection.send(head.replace(b"1.1", b"1.0") + b"chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n" + second)
        assert connection.answer().status == 400, "HTTP/1.0 has no transfer coding"
        assert connection.answer().status == 0, "the connection is closed"


@each_row(("method", "path", "headers", "status"))
def test_every_refusal_has_a_call_id_in_the_answer_and_in_the_log(
    edge: tuple[str, Path], method: str, path: str, headers: dict[str, str], status: int
) -> None:
    answer = httpx.request(method, edge[0] + path, headers=headers)
    assert answer.status_code == status
    call_id = answer.headers["x-call-id"]
    assert answer.json()["id"] == call_id
    until(lambda: f'"decision": "{call_id}"' in (edge[1] / "server.log").read_text())


@pytest.mark.parametrize("path", ["/explain/nothing", "/models/nothing", "/equations/nothing", "/rules/nothing"])
def test_the_page_of_a_refusal_has_its_call_id_too(edge: tuple[str, Path], path: str) -> None:
    answer = httpx.get(edge[0] + path)
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")
    call_id = answer.headers["x-call-id"]
    assert f"under the id {call_id}." in answer.text
    until(lambda: f'"decision": "{call_id}"' in (edge[1] / "server.log").read_text())


def test_connections_are_counted(edge: tuple[str, Path]) -> None:
    before = _metric(edge[0], "cds_connections_total")
    httpx.get(f"{edge[0]}/livez")
    assert _metric(edge[0], "cds_connections_total") >= before + 2


def test_fields_of_a_trailer_are_no_fields_of_the_request(edge: tuple[str, Path]) -> None:
    with Connection(edge[0]) as connection:
        connection.send(CHUNKED + b"0\r\nContent-Encoding: gzip\r\n\r\n")
        assert connection.answer().status == 400  # not 415: {} is no call, and nothing said it was compressed
        connection.send(START + b"\r\n")
        assert connection.answer().status == 200


def test_who_sends_no_more_still_gets_the_answers_to_what_was_sent_whole(edge: tuple[str, Path]) -> None:
    body = b'{"hook": "order-sign", "context": {}}'
    for requests in (1, 3):
        with Connection(edge[0]) as connection:
            for _ in range(requests):
                connection.post("/cds-services/order-safety", body)
            connection.send_no_more()
            assert [answer.status for answer in connection.answers(requests)] == [400] * requests
            assert connection.is_closed()
    with Connection(edge[0]) as connection:
        connection.post("/cds-services/order-safety", body, f"Content-Length: {len(body) + 1}")
        connection.send_no_more()
        assert connection.is_closed()


def test_half_a_head_and_silence_are_not_waited_for(edge: tuple[str, Path], hasty: str) -> None:
    with Connection(edge[0]) as patient, Connection(hasty) as half, Connection(hasty) as silent, ExitStack() as later:
        patient.send(START)
        half.send(START)
        body = later.enter_context(Connection(hasty))
        body.send(b"POST /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n")
        assert body.answer().status == 405
        body.send(b"x")  # which is no reason to wait for the rest
        assert half.answer().status == 408
        assert silent.is_closed()
        assert body.answer().status in (0, 408)
        half = later.enter_context(Connection(hasty))
        half.send(START)
        assert half.answer().status == 408
        patient.send(b"\r\n")
        assert patient.answer().status == 200, "twice the one bound is less than the other"
    for reason in ("slow-head", "idle"):
        assert _metric(hasty, f'cds_edge_refused_total{{reason="{reason}"}}')


def test_a_few_requests_in_advance_are_answered_in_order_and_thousands_are_not_taken(edge: tuple[str, Path]) -> None:
    with Connection(edge[0]) as connection:
        connection.send((START + b"\r\n") * 10 + START.replace(b"livez", b"nothing") + b"\r\n")
        assert [answer.status for answer in connection.answers(11)] == [200] * 10 + [404]
    with Connection(edge[0]) as connection:
        connection.send((START + b"\r\n") * 1000)
        until(lambda: 'reason="pipelined"' in httpx.get(f"{edge[0]}/metrics").text)


@pytest.mark.parametrize(("parts", "statuses"), [(5_000, {400}), (200_000, {0})])
def test_a_body_may_come_in_small_parts_and_not_in_hundreds_of_thousands(
    edge: tuple[str, Path], parts: int, statuses: set[int]
) -> None:
    """Each part costs the event loop some microseconds: those of one byte held everyone up for more than a second."""
    body = b"1\r\n \r\n" * parts + b"2\r\n{}\r\n0\r\n\r\n"
    status, _ = _flood(edge[0], POST + b"Transfer-Encoding: chunked\r\n\r\n", body, 1)
    assert status in statuses
    assert (0 in statuses) is ('reason="parts"' in httpx.get(f"{edge[0]}/metrics").text)


@pytest.mark.parametrize("fields", [b"", b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"])  # as Java asks
def test_a_body_in_parts_is_the_same_body(edge: tuple[str, Path], fields: bytes) -> None:
    body = b'{"hook": "order-sign", "context": {}}'
    with Connection(edge[0]) as connection:
        connection.send(POST + fields + b"Transfer-Encoding: chunked\r\n\r\n")
        connection.send(b"".join(b"1\r\n%c\r\n" % each for each in body[:20]))
        connection.send(b"".join(b"1\r\n%c\r\n" % each for each in body[20:]) + b"0\r\n\r\n" + START + b"\r\n")
        in_parts, next_one = connection.answers(2)
    whole = httpx.post(
        f"{edge[0]}/cds-services/order-safety", content=body, headers={"content-type": "application/json"}
    )
    assert in_parts.status == whole.status_code == 400
    assert json.loads(in_parts.body)["issue"] == whole.json()["issue"]
    assert next_one.status == 200


def test_more_connections_than_there_may_be_end_nothing(edge: tuple[str, Path]) -> None:
    with ExitStack() as stack:
        for at in range(4 * CONNECTIONS):
            stack.enter_context(Connection(edge[0]))
            if at % CONNECTIONS == 0:
                assert httpx.get(f"{edge[0]}/livez", timeout=180).status_code == 200
    assert _metric(edge[0], 'cds_edge_refused_total{reason="connections"}')


def test_a_client_that_takes_no_answers_is_cut(edge: tuple[str, Path], hasty: str) -> None:
    ask, cut = b"GET /try HTTP/1.1\r\nHost: localhost\r\n\r\n", 'cds_edge_refused_total{reason="slow-reader"}'
    with ExitStack() as stack:
        for cuts, address in enumerate((edge[0], hasty, hasty)):
            slow = stack.enter_context(socket.socket())
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.connect(("127.0.0.1", int(address.rpartition(":")[2])))
            slow.sendall(ask * 30)
            until(partial(lambda cuts: _metric(hasty, cut) == cuts, cuts))
        assert _metric(edge[0], cut) == 0, "twice the one bound is less than the other"


def test_what_was_refused_is_counted_and_logged_once(edge: tuple[str, Path]) -> None:
    name = 'cds_edge_refused_total{reason="malformed"}'
    before = _metric(edge[0], name)
    for _ in range(5):
        with Connection(edge[0]) as connection:
            connection.send(b"no HTTP\r\n\r\n")
            assert connection.answer().status == 400
    assert _metric(edge[0], name) == before + 5
    whole = (edge[1] / "server.log").read_text().rpartition("\n")[0]  # without a line that is being written
    lines = [json.loads(line) for line in whole.splitlines() if line.startswith("{")]
    logged = [line["reason"] for line in lines if line["event"] == "connection refused"]
    assert sorted(set(logged)) == sorted(logged)


@pytest.mark.slow
@pytest.mark.parametrize(("descriptors", "connections"), [(160, 236), (1024, 1100), (16_000, 10_400)])
def test_thousands_of_silent_connections_do_not_end_the_service(
    tmp_path: Path, descriptors: int, connections: int
) -> None:
    def limit_descriptors() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = max(4096, descriptors)
    if hard != resource.RLIM_INFINITY and hard < needed:
        pytest.skip(f"this test needs {needed} descriptors of its own, and this user may have {hard}")
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    with serving(tmp_path, before=limit_descriptors) as address, ExitStack() as stack:
        before = _metric(address, "process_resident_memory_bytes")
        for at in range(connections):
            stack.enter_context(Connection(address))
            if at % 100 == 0:
                assert httpx.get(f"{address}/livez", timeout=180).status_code == 200
        assert httpx.get(f"{address}/readyz", timeout=180).status_code == 200
        assert _metric(address, 'cds_edge_refused_total{reason="connections"}')
        assert _metric(address, "process_resident_memory_bytes") - before < 200 << 20
    assert "no connection can be taken" not in (tmp_path / "server.log").read_text()


async def test_connections_that_end_at_the_same_time_leave_the_loop_to_others_between_them() -> None:
    class Silent:
        """A connection that is over."""

        def sweep(self, _: float) -> None:
            swept[-1] += 1

    swept, edge = [0], EdgeLimits(10_000, 1.0, 1.0)
    edge.connections.update(cast("Any", Silent()) for _ in range(5_000))
    sweeping = asyncio.create_task(edge.keep_sweeping())
    while sum(swept) < 5_000:
        assert not sweeping.done(), sweeping
        swept.append(0)
        await asyncio.sleep(0)
    sweeping.cancel()
    assert max(swept) <= 500  # all 9,500 that the server may have held the loop for 150 ms


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("prlimit"), reason="the server gets its 1,024 descriptors from prlimit")
def test_no_attack_from_outside_ends_the_service_or_fills_the_memory() -> None:
    """Each attack lasts a second; before the bounds 210 MB of header fields took 785 MB."""
    seen = list(observe(1.0))
    assert {each.name: each.failed for each in seen if each.failed} == {}
    assert {each.name: each.most_mb for each in seen if each.most_mb - seen[0].before_mb > 150} == {}


def test_a_request_for_the_head_alone_has_an_answer_and_so_has_the_next_one(edge: tuple[str, Path]) -> None:
    with Connection(edge[0]) as connection:
        connection.send(b"HEAD /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += (more := connection.receive())
            assert more
        assert head.startswith(b"HTTP/1.1 ")
        connection.send(START + b"\r\n")
        assert connection.answer().status == 200
