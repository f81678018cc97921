"""The bounds of the server's protocol, each on and just above its limit, with what is answered and counted."""

import asyncio
import json
import re
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeAlias

import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from cds_hooks.edge import ARRIVED, BoundedHttp, EdgeLimits
from tests.cds_hooks.logged import capture_logs

Outcome: TypeAlias = tuple[list[str], list[bytes], bool, bool]
HEAD = b"Host: x\r\n"
KIB = 1024
_OPENED: list[socket.socket] = []


@pytest.fixture(autouse=True)
def _closed_sockets() -> Iterator[None]:
    yield
    while _OPENED:
        _OPENED.pop().close()


class _Wire(asyncio.Transport):
    """A transport whose other end takes what it wants to."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.unsent = 0
        self.is_closed = self.is_cut = False
        self.near, self.far = socket.socketpair()
        _OPENED.extend((self.near, self.far))

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.near if name == "socket" else default

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def writelines(self, list_of_data: Any) -> None:
        self.written += b"".join(list_of_data)

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = self.is_cut = True


class _Connection:
    """A connection of a server whose application waits, where the address says so, until it may go on."""

    def __init__(self, *, most_connections: int = 5, head_seconds: float = 10, answer_seconds: float = 30) -> None:
        self.now = 100.0
        self.refused: list[str] = []
        self.bodies: list[bytes] = []
        self.scopes: list[Any] = []
        self.may_go_on = asyncio.Event()
        self.accepted = 0

        def accept() -> None:
            self.accepted += 1

        app: Any = self._app
        self.limits = EdgeLimits(
            most_connections, head_seconds, answer_seconds, self.refused.append, lambda: self.now, accept, lambda: "c-1"
        )
        config = Config(app, timeout_keep_alive=60, log_level="critical", access_log=False, ws="none")
        config.load()
        config.loaded_app = _WithEdge(self._app, self.limits)
        self.config = config
        self.wire, self.protocol = self.opened()

    def opened(self) -> tuple[_Wire, BoundedHttp]:
        wire = _Wire()
        protocol = BoundedHttp(config=self.config, server_state=ServerState(), app_state={})
        protocol.connection_made(wire)
        return wire, protocol

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        body, more = b"", True
        if scope["path"] == "/begun":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
            await send({"type": "http.response.body", "body": b"o", "more_body": True})
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
            more = message["more_body"]
        self.bodies.append(body)
        if scope["path"] == "/slow":
            await self.may_go_on.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async def receive(self, *parts: bytes) -> None:
        """Hands in what arrives, and lets the application work."""
        for part in parts:
            if not self.wire.is_closed:
                self.protocol.data_received(part)
        for _ in range(10):
            await asyncio.sleep(0)

    @property
    def heads(self) -> list[bytes]:
        """The first lines of what was answered."""
        return re.findall(rb"HTTP/1\.1 [^\r]*", self.wire.written)

    @property
    def outcome(self) -> Outcome:
        """What was counted and answered, whether the connection is closed, and whether at once."""
        return self.refused, self.heads, self.wire.is_closed, self.wire.is_cut


class _WithEdge:
    def __init__(self, app: Callable[..., Awaitable[None]], limits: EdgeLimits) -> None:
        self._app, self.edge = app, limits

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, send)


async def _after(*parts: bytes, **limits: Any) -> Outcome:
    connection = _Connection(**limits)
    await connection.receive(*parts)
    return connection.outcome


OK = b"HTTP/1.1 200 OK"
FINE: Outcome = ([], [OK], False, False)
QUIET: Outcome = ([], [], False, False)
TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large"
TOO_LONG = b"HTTP/1.1 414 URI Too Long"
BAD = b"HTTP/1.1 400 Bad Request"
SLOW = b"HTTP/1.1 408 Request Timeout"
CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


def _get(path: bytes = b"/", more: bytes = b"") -> bytes:
    return b"GET " + path + b" HTTP/1.1\r\n" + HEAD + more + b"\r\n"


def _field_of(size: int) -> list[bytes]:
    """A request in two parts whose names and values have `size` bytes, Host and x with it."""
    value = b"v" * (size - len(b"Hostx") - len(b"a"))
    return [b"GET / HTTP/1.1\r\n" + HEAD + b"a: " + value[:1000], value[1000:] + b"\r\n\r\n"]


def _fields(count: int) -> bytes:
    return _get(more=b"".join(b"f%d: 1\r\n" % number for number in range(count - 1)))


@pytest.mark.parametrize(
    ("parts", "outcome"),
    [
        ([_get()], FINE),
        (_field_of(64 * KIB), FINE),
        (_field_of(64 * KIB + 1), (["head"], [TOO_LARGE], True, False)),
        ([_fields(100)], FINE),
        ([_fields(101)], (["head"], [TOO_LARGE], True, False)),
        ([_get(b"/" + b"p" * (8 * KIB - 1))], FINE),
        ([_get(b"/" + b"p" * (8 * KIB))], (["request-line"], [TOO_LONG], True, False)),
        ([b"no request\r\n\r\n"], (["malformed"], [BAD], True, False)),
        ([_get(more=HEAD)], (["malformed"], [BAD], True, False)),
        ([_get(b"/?a=%00")], (["malformed"], [BAD], True, False)),
        ([_get(b"/?a=%01")], FINE),
        ([_get(b"/%00")], FINE),
        ([_get(more=b"Connection: upgrade\r\nUpgrade: websocket\r\n")], FINE),
        ([CHUNKED.replace(b"chunked", b"gzip, chunked")], (["coding"], [BAD], True, False)),
        ([CHUNKED.replace(b"/1.1", b"/1.0")], (["coding"], [BAD], True, False)),
        ([_get().replace(b"/1.1", b"/1.0")], ([], [OK], True, False)),
    ],
)
async def test_a_head_is_read_up_to_its_bounds(parts: list[bytes], outcome: Any) -> None:
    assert await _after(*parts) == outcome


@pytest.mark.parametrize(
    ("parts", "outcome"),
    [
        # a head that never ends
        ([b"GET / HTTP/1.1\r\n" + HEAD + b"a: ".ljust(64 * KIB - 25, b"v")], QUIET),
        (
            [b"GET / HTTP/1.1\r\n" + HEAD + b"a: ".ljust(64 * KIB - 25, b"v"), b"v"],
            (["head"], [TOO_LARGE], True, False),
        ),
        # extensions of chunks and trailers
        ([CHUNKED, b"1;" + b"e" * (64 * KIB - len(CHUNKED) - 2)], QUIET),
        ([CHUNKED, b"1;" + b"e" * (64 * KIB - len(CHUNKED) - 1)], (["head"], [TOO_LARGE], True, False)),
        ([CHUNKED, b"1\r\nb\r\n", b"1;" + b"e" * (64 * KIB - 2)], QUIET),
        ([CHUNKED, b"1\r\nb\r\n", b"1;" + b"e" * (64 * KIB - 1)], (["head"], [TOO_LARGE], True, False)),
        ([CHUNKED, b"1\r\nb\r\n0\r\nt: 1\r\n" + b"u: 1\r\n" * 101 + b"\r\n"], FINE),
        ([CHUNKED, b"1\r\nb\r\n", b"no chunk"], (["malformed"], [BAD], True, False)),
        ([_get(b"/slow") + CHUNKED, b"no chunk"], (["malformed"], [], True, False)),  # an earlier one is answered first
        # bodies in small parts
        ([CHUNKED, b"1\r\nb\r\n" * 10_000, b"0\r\n\r\n"], FINE),
        ([CHUNKED, b"1\r\nb\r\n" * 10_001, b"0\r\n\r\n"], (["parts"], [], True, False)),
        ([CHUNKED, (b"3f\r\n" + b"b" * 63 + b"\r\n") * 10_001, b"0\r\n\r\n"], (["parts"], [], True, False)),
        ([CHUNKED, (b"40\r\n" + b"b" * 64 + b"\r\n") * 10_001, b"0\r\n\r\n"], FINE),
        (2 * [CHUNKED, b"1\r\nb\r\n" * 5_001, b"0\r\n\r\n"], FINE),
    ],
)
async def test_what_comes_without_a_body_or_in_small_parts_is_bounded(parts: list[bytes], outcome: Any) -> None:
    refused, heads, *ends = await _after(*parts)
    assert (refused, heads[:1], *ends) == outcome


async def test_32_requests_wait_on_a_connection_and_no_more() -> None:
    for waiting, refused in ((32, []), (33, ["pipelined"])):
        connection = _Connection()
        await connection.receive(_get(b"/slow") + _get() * waiting)
        assert connection.outcome == (refused, [], bool(refused), False)
    connection = _Connection()
    await connection.receive(_get(b"/slow") + _get() * 2)
    connection.may_go_on.set()
    await connection.receive()
    assert connection.outcome == ([], [OK] * 3, False, False)


async def test_a_refusal_is_a_whole_answer_with_its_call_id() -> None:
    with capture_logs() as lines:
        connection = _Connection()
        await connection.receive(b"no request\r\n\r\n")
    head, body = connection.wire.written.split(b"\r\n\r\n")
    assert head.split(b"\r\n") == [
        b"HTTP/1.1 400 Bad Request", b"Content-Type: application/json", b"Content-Length: %d" % len(body),
        b"x-call-id: c-1", b"Cache-Control: no-store", b"Connection: close",
    ]  # fmt: skip
    issue = json.loads(body)["issue"]
    assert [entry["details"]["text"] for entry in issue] == ["This is not an HTTP request."]
    assert [(line["event"], line["reason"], line.get("status"), line.get("decision")) for line in lines] == [
        ("connection refused", "malformed", None, None),
        ("call refused", "malformed", 400, "c-1"),
    ]


async def test_a_request_is_answered_no_more_once_its_body_is_wrong() -> None:
    connection = _Connection()
    await connection.receive(CHUNKED)
    await connection.receive(b"no chunk")
    assert connection.protocol.cycle.disconnected
    connection.protocol.connection_lost(None)
    await connection.receive()
    assert (connection.outcome, connection.bodies) == ((["malformed"], [BAD], True, False), [])


async def test_the_parts_of_a_body_are_handed_over_together_and_the_time_of_the_head_with_them() -> None:
    connection = _Connection()
    connection.now = 123.0
    await connection.receive(CHUNKED + b"1\r\na\r\n1\r\nb\r\n")
    connection.now = 124.0
    await connection.receive(b"1\r\nc\r\n0\r\n\r\n")
    assert connection.bodies == [b"abc"]
    assert connection.scopes[0][ARRIVED] == 123.0
    assert connection.heads == [OK]
    assert connection.protocol.since == 124.0


async def test_an_answer_to_head_is_written_without_waiting_for_a_body() -> None:
    connection = _Connection()
    await connection.receive(b"HEAD / HTTP/1.1\r\n" + HEAD + b"\r\n")
    assert connection.wire.written.startswith(OK)
    assert connection.wire.written.endswith(b"\r\n\r\n")


async def test_a_connection_without_a_head_is_ended_after_its_time() -> None:
    for parts, reason, answered in (
        ([], "idle", []),
        ([b"GET /"], "slow-head", [SLOW]),
        ([_get()], "idle", [OK]),
        ([_get(), b"G"], "slow-head", [OK, SLOW]),
    ):
        connection = _Connection()
        for part in parts:
            await connection.receive(part)
        connection.protocol.sweep(110.0)
        assert connection.outcome == ([], answered[: len(answered) - (reason == "slow-head")], False, False)
        connection.protocol.sweep(110.01)
        assert connection.outcome == ([reason], answered, True, False)
        connection.protocol.sweep(120.0)
        assert connection.refused == [reason], "it is being closed"


async def test_a_request_under_way_is_not_ended_nor_one_that_was_not_read_yet() -> None:
    connection = _Connection()
    await connection.receive(_get(b"/slow"))
    connection.protocol.sweep(1000.0)
    assert connection.outcome == QUIET
    connection = _Connection()
    connection.wire.far.send(b"G")
    connection.protocol.sweep(1000.0)
    assert connection.outcome == QUIET
    connection.protocol.data_received(b"G")
    connection.protocol.sweep(1000.0)
    assert connection.outcome == (["slow-head"], [SLOW], True, False)


async def test_an_answer_that_is_not_taken_in_its_time_is_cut() -> None:
    connection = _Connection(head_seconds=10_000)
    sweep = connection.protocol.sweep
    connection.wire.unsent = 1
    sweep(200.0)
    connection.wire.unsent = 0
    sweep(225.0)
    connection.wire.unsent = 1
    sweep(231.0)
    sweep(261.0)
    assert connection.outcome == QUIET
    sweep(261.01)
    assert connection.outcome == (["slow-reader"], [], True, True)
    assert connection.limits.connections == set()


async def test_a_connection_beyond_the_last_hears_503_where_every_other_has_a_request() -> None:
    first = _Connection(most_connections=1)
    assert (first.limits.connections, first.accepted) == ({first.protocol}, 1)
    await first.receive(_get(b"/slow"))
    wire, protocol = first.opened()
    assert wire.written.splitlines()[0] == b"HTTP/1.1 503 Service Unavailable"
    assert (wire.is_closed, wire.is_cut, first.refused, first.accepted) == (True, False, ["connections"], 1)
    assert first.limits.connections == {first.protocol}
    protocol.connection_lost(None)
    first.may_go_on.set()
    await first.receive()
    wire, second = first.opened()
    assert (wire.written, wire.is_closed, first.wire.is_cut) == (b"", False, True)
    assert first.limits.connections == {second}
    second.connection_lost(None)
    assert first.limits.connections == set()


async def test_an_idle_connection_is_closed_by_its_timer_unless_bytes_wait() -> None:
    connection = _Connection()
    await connection.receive(_get())
    connection.wire.far.send(b"G")
    connection.protocol.timeout_keep_alive_handler()
    assert not connection.wire.is_closed
    timer = connection.protocol.timeout_keep_alive_task
    assert timer is not None
    assert 59 < timer.when() - asyncio.get_running_loop().time() <= 60
    connection.protocol.data_received(connection.wire.near.recv(1))
    assert timer.cancelled()
    connection.protocol.timeout_keep_alive_handler()
    assert connection.wire.is_closed
    connection.wire.far.send(b"E")
    connection.protocol.timeout_keep_alive_handler()
    assert connection.protocol.timeout_keep_alive_task is None, "it is being closed"
    connection.protocol.data_received(b"ET / HTTP/1.1\r\n" + HEAD + b"a: ".ljust(64 * KIB, b"v"))
    assert connection.refused == []


@pytest.mark.parametrize(
    ("parts", "stays"),
    [([], False), ([_get(b"/slow")], True), ([CHUNKED], False), ([_get(b"/slow") + CHUNKED], True)],
)
async def test_a_client_that_sends_no_more_is_answered_what_it_asked_in_full(parts: list[bytes], stays: bool) -> None:
    connection = _Connection()
    await connection.receive(*parts)
    assert connection.protocol.eof_received() is stays
    connection.may_go_on.set()
    await connection.receive()
    assert connection.outcome == ([], [OK] * stays, parts == [_get(b"/slow")], False)


async def test_the_log_has_a_line_a_minute_for_each_reason_and_the_ids_of_twenty_answers() -> None:
    connection = _Connection()
    with capture_logs() as lines:
        for connection.now in (100.0, 159.9, 160.0):
            connection.limits.refuse("head")
        for number in range(21):
            connection.limits.note_answer("head", 431, str(number))
    assert [line["count"] for line in lines[:2]] == [1, 2]
    assert [line["decision"] for line in lines[2:]] == [str(number) for number in range(20)]


async def test_every_connection_is_swept_until_the_server_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = _Connection()
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        connection.now += 6.0
        if len(waits) == 3:
            raise asyncio.CancelledError

    with monkeypatch.context() as patched:
        patched.setattr("cds_hooks.edge.asyncio.sleep", sleep)
        with pytest.raises(asyncio.CancelledError):
            await connection.limits.keep_sweeping()
    assert waits == [0.5] * 3
    assert connection.outcome == (["idle"], [], True, False)


async def test_a_connection_of_another_application_is_not_bounded_and_shares_nothing() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    config = Config(app, log_level="critical", ws="none")
    config.load()
    protocol = BoundedHttp(config=config, server_state=ServerState(), app_state={})
    limits = protocol.edge
    assert (limits.most_connections, limits.head_seconds, limits.answer_seconds) == (1_000_000, 3600, 3600)
    assert limits.connections == set()
    protocol.connection_made(_Wire())
    assert limits.connections == {protocol}
    protocol.cut()
    assert limits.connections == set()


def test_call_ids_are_random_where_no_one_gives_them() -> None:
    limits = EdgeLimits(1, 1, 1)
    assert len({limits.new_id() for _ in range(3)}) == 3
    assert len(limits.new_id()) == 36
