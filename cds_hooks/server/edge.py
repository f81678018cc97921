"""The HTTP protocol of the server with bounds on what no application sees: heads, connections, unread answers.

uvicorn reads heads of any size, keeps connections that never send one, takes as many requests at once as fit into what
arrives, copies a body anew with each part of it, and lets trailers and answers that nobody reads grow. Each of these is
bounded here, counted (`cds_edge_refused` in /metrics), and logged once a minute at most. What is
answered has a call id, which the log has for the first 20 of a minute:

head          431   more than 64 KB or 100 fields before the body; trailers and chunk extensions count as well
request-line  414   an address of more than 8 KB
malformed     400   no HTTP, no Host or more than one, or a NUL in the query of the address
coding        400   a body in another transfer coding than chunked, as `gzip, chunked`, or in any under HTTP/1.0
slow-head     408   no complete head within `head_seconds`, from the first moment or from the last answer
idle          -     no byte within that time
pipelined     -     more than 32 requests on a connection that wait for the answers to earlier ones
parts         -     more than 10,000 parts of a body of under 64 bytes each
slow-reader   -     an answer not taken within `answer_seconds`: the connection is cut
connections   -     as many as the constant `connections`, or as there are descriptors for: those that have waited
                    the longest without a request are closed; where all have one, the new connection is (503)
"""

import asyncio
import resource
import select
import socket
import sys
from collections import Counter
from collections.abc import Callable
from time import monotonic
from typing import Any, ClassVar, Final, cast
from uuid import uuid4

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from cds_hooks.errors import CALL_ID, HookError, operation_outcome
from cds_hooks.telemetry.logs import log

MOST_HEAD_BYTES: Final = 64 * 1024
MOST_REQUEST_LINE_BYTES: Final = 8 * 1024
MOST_FIELDS: Final = 100
MOST_PIPELINED: Final = 32
MOST_SMALL_PARTS: Final = 10_000
_SMALL_BYTES: Final = 64
_CODINGS: Final = frozenset({b"", b"chunked"})
ARRIVED: Final = "cds_hooks.arrived"
"""Member of the ASGI scope: by the clock of the limits, when the head of the request had arrived in the kernel."""
_TCP_INFO: Final = getattr(socket, "TCP_INFO", 0)
_TCP_INFO_BYTES: Final = 56
"""The beginning of Linux's `tcp_info` up to `tcpi_last_data_recv`, the milliseconds since data arrived."""
_MOST_DESCRIPTORS: Final = 65_536
_SWEEP_SECONDS: Final = 0.5
_SWEPT_IN_A_TURN: Final = 200
LOG_SECONDS: Final = 60.0
_MOST_LOGGED: Final = 20
_CLOSED_AT_ONCE: Final = 16
"""A sixteenth of the connections is closed at once where there are too many, so that the search for them is rare."""

_REASONS: Final = {
    "head": (431, "Request Header Fields Too Large", "The head of the request is larger than what is read here."),
    "request-line": (414, "URI Too Long", "The address is longer than what is read here."),
    "malformed": (400, "Bad Request", "This is not an HTTP request."),
    "coding": (400, "Bad Request", "A body is read in the transfer coding chunked (not under HTTP/1.0), or in none."),
    "slow-head": (408, "Request Timeout", "The head of the request did not arrive in time."),
    "connections": (503, "Service Unavailable", "The server has as many connections as it can have. Try again."),
}


def _has_unread(transport: asyncio.Transport) -> bool:
    """Return whether bytes, or the end of the connection, have arrived that the loop has not read yet."""
    waiting = select.poll()
    waiting.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
    return bool(waiting.poll(0))


def _waited_in_kernel(transport: asyncio.Transport) -> float:
    """Return for how many seconds what was read last has waited in the kernel; 0 where the system does not say it."""
    try:
        info = transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _TCP_INFO_BYTES)
    except (AttributeError, OSError):  # no TCP socket, or another system than Linux
        return 0.0
    return int.from_bytes(info[-4:], sys.byteorder) / 1000 if len(info) == _TCP_INFO_BYTES else 0.0


def raise_descriptor_limit() -> None:
    """Lets this process, and those it starts, open as many files and connections as the system allows (65,536)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


_OTHER_DESCRIPTORS: Final = 100


def connections_within(wanted: int) -> int:
    """As many connections as wanted, or as three quarters of the descriptors: FHIR servers and the record need some.

    At least a hundred are left. With fewer, waiting connections would take them all, and probes could not connect.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if soft == resource.RLIM_INFINITY else max(1, min(wanted, soft * 3 // 4, soft - _OTHER_DESCRIPTORS))


class EdgeLimits:
    """The bounds of one server process, and its open connections."""

    def __init__(
        self,
        most_connections: int,
        head_seconds: float,
        answer_seconds: float,
        count: Callable[[str], None] = lambda _reason: None,
        clock: Callable[[], float] = monotonic,
        accepted: Callable[[], None] = lambda: None,
        new_id: Callable[[], str] = lambda: str(uuid4()),
    ) -> None:
        """`count` is told of each refusal with its reason, `accepted` of each connection; `new_id` makes call ids."""
        self.most_connections = most_connections
        self.head_seconds = head_seconds
        self.answer_seconds = answer_seconds
        self.clock = clock
        self.connections: set[BoundedHttp] = set()
        self.new_id = new_id
        self._count = count
        self._accepted = accepted
        self._answers_logged: Counter[str] = Counter()
        self._unlogged: Counter[str] = Counter()
        self._logged_at: dict[str, float] = {}

    def refuse(self, reason: str) -> None:
        """Count a refusal; the log has one line a minute for each reason, with how many there were."""
        self._count(reason)
        self._unlogged[reason] += 1
        now = self.clock()
        if now - self._logged_at.get(reason, -LOG_SECONDS) >= LOG_SECONDS:
            self._logged_at[reason] = now
            self._answers_logged[reason] = 0
            log().warning("connection refused", reason=reason, count=self._unlogged.pop(reason))

    def note_answer(self, reason: str, status: int, call_id: str) -> None:
        """Log the id of a refusal that was answered; of one reason the first 20 after each line of `refuse`."""
        self._answers_logged[reason] += 1
        if self._answers_logged[reason] <= _MOST_LOGGED:
            log().info("call refused", status=status, reason=reason, decision=call_id)

    def take(self, connection: "BoundedHttp") -> bool:
        """Return whether there is room for a connection, after others were closed for it where that was necessary."""
        if len(self.connections) >= self.most_connections:
            waiting = sorted(
                (connection for connection in self.connections if connection.is_waiting),
                key=lambda connection: connection.since,
            )
            for surplus in waiting[: self.most_connections // _CLOSED_AT_ONCE + 1]:
                self.refuse("connections")
                surplus.cut()
            if not waiting:
                return False
        self.connections.add(connection)
        self._accepted()
        return True

    async def keep_sweeping(self) -> None:
        """End, until canceled, the connections that take too long."""
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            now = self.clock()
            for number, connection in enumerate(list(self.connections)):
                if not number % _SWEPT_IN_A_TURN:
                    await asyncio.sleep(0)  # 9,500 that ended in one turn of the loop held it for 150 ms
                if connection in self.connections:
                    connection.sweep(now)


class BoundedHttp(HttpToolsProtocol):
    """uvicorn's protocol with bounds; the limits are those of the app (`app.edge`)."""

    _unbounded: ClassVar = EdgeLimits(1_000_000, 3600, 3600)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.edge: EdgeLimits = getattr(self.app, "edge", self._unbounded)
        self.since = self.edge.clock()
        self._unsent_since: float | None = None
        self._quiet_bytes = 0
        self._body_came = False
        self._parts: list[bytes] = []
        self._small_parts = 0
        self._reads_head = True
        self._head_bytes = 0
        self._refusal = "malformed"
        self._sends_no_more = False

    @property
    def is_waiting(self) -> bool:
        """Whether no request is being answered: the head of one is awaited, or the rest of a body that is not read.

        `cycle` is the newest request, which is answered last.
        """
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        """Take the connection, or refuses it where there are too many."""
        super().connection_made(transport)
        if not self.edge.take(self):
            self._refuse("connections")

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of what belongs to a connection that has ended."""
        self.edge.connections.discard(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came in; end the connection where too much came without any of a body."""
        self._unset_keepalive_if_required()
        self._body_came = False
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:  # also what `_stop` raises
            self._refuse(self._refusal)
            return
        except httptools.HttpParserUpgrade as upgrade:
            self._read_as_http(data[upgrade.args[0] :])
            return
        self._hand_over()
        self._quiet_bytes = 0 if self._body_came else self._quiet_bytes + len(data)
        if self._quiet_bytes > MOST_HEAD_BYTES and self.parser is not None and not self.transport.is_closing():
            self._refuse("head")

    def _read_as_http(self, rest: bytes) -> None:
        """Begin again with a head that asked for another protocol, and is read as if it did not (RFC 9110, 7.8).

        Java's HttpClient asks for h2c with the first request of a connection. The parser takes what follows such a head
        for the other protocol, the body and the next requests, too.
        """
        fields = [b"%s: %s\r\n" % field for field in self.headers if field[0] != b"upgrade"]
        line = b"%s %s HTTP/%s\r\n" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's own
        self.data_received(b"".join((line, *fields, b"\r\n", rest)))

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._reads_head = True
        self._head_bytes = self._small_parts = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Take a part of the address."""
        super().on_url(url)
        if len(self.url) > MOST_REQUEST_LINE_BYTES:
            self._stop("request-line")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field of the head; those of a trailer are not kept."""
        if self._reads_head:
            self._head_bytes += len(name) + len(value)
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Hand the complete head over: from here on the application answers, and bounds the body."""
        self._reads_head = False
        if len(self.headers) > MOST_FIELDS or self._head_bytes > MOST_HEAD_BYTES:
            self._stop("head")
        hosts = sum(name == b"host" for name, _ in self.headers)
        is_without_host = not hosts and self.parser.get_http_version() != "1.0"
        # RFC 9112, section 3.2, has one; PostgreSQL takes no text with a NUL, and no page has a use for one
        if hosts > 1 or is_without_host or b"%00" in self.url.partition(b"?")[2]:
            self._stop("malformed")
        # the parser takes whatever ends with chunked, and would hand a packed body on as it is
        coding = b",".join(value for name, value in self.headers if name == b"transfer-encoding").lower()
        # RFC 9112, section 6.1: HTTP/1.0 has no transfer coding, and whoever stands between may have read another body
        if coding not in _CODINGS or (coding and self.parser.get_http_version() == "1.0"):
            self._stop("coding")
        if len(self.pipeline) >= MOST_PIPELINED:
            self._stop("pipelined")
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                self._stop("malformed")
            return
        self._quiet_bytes = 0
        super().on_headers_complete()
        cast("dict[str, Any]", self.scope)[ARRIVED] = self.edge.clock() - _waited_in_kernel(self.transport)

    def on_body(self, body: bytes) -> None:
        """Take a part of the body, which is handed over with the others that arrived at the same time."""
        self._body_came = True
        self._parts.append(body)
        if len(body) < _SMALL_BYTES:
            self._small_parts += 1
            if self._small_parts > MOST_SMALL_PARTS:
                self._stop("parts")

    def on_message_complete(self) -> None:
        """End a request that is complete."""
        if self.parser.should_upgrade():
            return
        self._hand_over()
        super().on_message_complete()

    def _hand_over(self) -> None:
        if self._parts:
            parts, self._parts = self._parts, []
            super().on_body(b"".join(parts))

    def on_response_complete(self) -> None:
        """Wait for the next head after a request was answered."""
        self.since = self.edge.clock()
        self._quiet_bytes = 0
        super().on_response_complete()
        if self._sends_no_more and self.is_waiting:
            self.transport.close()

    def eof_received(self) -> bool:  # type: ignore[override] # whether to keep it open, as asyncio has it
        """Answer what was asked for in full before the end: a client that sends nothing more may still read."""
        self._sends_no_more = True
        return not self.is_waiting and not (self.cycle.more_body and not self.pipeline)

    def sweep(self, now: float) -> None:
        """End the connection where its head, or whoever reads its answer, is too slow."""
        if self.transport.get_write_buffer_size() == 0:
            self._unsent_since = None
        elif self._unsent_since is None:
            self._unsent_since = now
        elif now - self._unsent_since > self.edge.answer_seconds:
            self.edge.refuse("slow-reader")
            self.cut()
            return
        is_over = self.is_waiting and now - self.since > self.edge.head_seconds and not self.transport.is_closing()
        if is_over and (self._quiet_bytes or not _has_unread(self.transport)):
            # to a connection that never said anything an answer would be one to a later question
            self._refuse("slow-head" if self._quiet_bytes else "idle")

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that was idle, unless a request has come that was not read yet.

        The loop looks at its timers before it reads. After a time in which it read nothing, because a long answer was
        made or the machine was busy, it would close a connection on which a request waits, and that would be lost.
        """
        if not self.transport.is_closing() and _has_unread(self.transport):
            timer = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)
            self.timeout_keep_alive_task = timer  # until the request is read, which happens next
            return
        super().timeout_keep_alive_handler()

    def cut(self) -> None:
        """End the connection at once, whatever is still to be sent."""
        self.edge.connections.discard(self)
        self.transport.abort()

    def _stop(self, reason: str) -> None:
        self._refusal = reason
        raise ValueError(reason)  # the parser stops and raises an HttpParserError

    def _refuse(self, reason: str) -> None:
        """Answers where nothing was answered yet, and closes."""
        self.edge.refuse(reason)
        is_begun = self.cycle is not None and not self.cycle.response_started and not self.pipeline
        if is_begun:  # the request whose body is wrong: the application answers it no more
            self.cycle.disconnected = True
        if (self.is_waiting or is_begun) and reason in _REASONS:
            call_id = self.edge.new_id()
            self.edge.note_answer(reason, _REASONS[reason][0], call_id)
            self.transport.write(_answer(*_REASONS[reason], call_id))
        self.transport.close()


def _answer(status: int, phrase: str, text: str, call_id: str) -> bytes:
    body = operation_outcome(HookError(text), call_id)
    head = (
        f"HTTP/1.1 {status} {phrase}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        f"{CALL_ID.decode()}: {call_id}\r\n"
        "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
