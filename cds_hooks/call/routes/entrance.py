"""What each request passes: host names, origins, redirects, the limits of its body; and errors as answers.

Without a trust file everyone on this machine may call, and the operator's listener on loopback asks for no token; so
could a page in this machine's browser. A page cannot read answers of another origin, but a name of its own site that is
changed to 127.0.0.1 while the page is open makes this server its own origin (DNS rebinding). Such a call carries that
name in its Host header.

Bodies of calls and reports are read within limits of size and time, and of calls under way at once. An error is an
OperationOutcome for the caller and the place of the failure for the operator. The words of an exception may hold what a
client sent (those of a database hold its parameters), so they go nowhere. The operator's log gets the kind of the
exception, and the module, function and line of our own innermost frame; the caller gets the id under which the log has
them.
"""

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from ipaddress import ip_address
from time import monotonic, time_ns
from typing import Final
from urllib.parse import quote, urlsplit

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cds_hooks.call.computing import PATIENCE_SECONDS
from cds_hooks.call.security.trust import ProxiedCall, Trust, TrustedClient
from cds_hooks.errors import (
    CALL_ID,
    BadRequest,
    BodyTooLarge,
    HookError,
    MethodNotAllowed,
    MisdirectedRequest,
    NotFound,
    Overloaded,
    RequestTimeout,
    TooManyCalls,
    UnsupportedMediaType,
    Untrusted,
    operation_outcome,
)
from cds_hooks.evidence.storage.decision import new_decision_id
from cds_hooks.server.edge import EdgeLimits
from cds_hooks.settings import Settings
from cds_hooks.telemetry.logs import log, log_failure
from cds_hooks.telemetry.metrics import Metrics
from cds_hooks.telemetry.tracing import CallTrace


class CallBudgets:
    """Count the calls of each client in one server process: those under way and those begun in the last second."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        """`clock` counts seconds."""
        self._calls: Counter[str] = Counter()
        self._clock = clock
        self._begun: defaultdict[str, deque[float]] = defaultdict(deque)
        """When each client's calls of the last second began: at most as many as it may begin in one."""

    @contextmanager
    def call(self, client: TrustedClient, configured: Settings) -> Iterator[None]:
        """Count a call while it is answered, within the budgets of the trust file and of this server.

        Raises:
            TooManyCalls: as `enter`.
        """
        budgets = client.budgets
        self.enter(
            client.name,
            min(budgets.concurrency, configured.concurrent_calls),
            min(budgets.calls_per_second, configured.calls_per_second),
        )
        try:
            yield
        finally:
            self.leave(client.name)

    def enter(self, client: str, most: int, most_in_a_second: int = 1_000_000) -> None:
        """Count a call that begins; `leave` must follow.

        Raises:
            TooManyCalls: the client has `most` calls under way, or began `most_in_a_second` in the last second, from
                whenever that is counted: a second that begins anew would let twice as many pass around its beginning.
        """
        if self._calls[client] >= most:
            raise TooManyCalls(f"{most} calls of this client are being answered. Send this one again in a second.")
        now, begun = self._clock(), self._begun[client]
        while begun and begun[0] <= now - 1:
            begun.popleft()
        if len(begun) >= most_in_a_second:
            # One second, as the header says, is long enough: by then all of these are past.
            raise TooManyCalls(
                f"{most_in_a_second} calls of this client began in the last second. Send this one again in a second."
            )
        begun.append(now)
        self._calls[client] += 1

    def leave(self, client: str) -> None:
        """Count a call that has ended."""
        self._calls[client] -= 1


JSON: Final = b"application/json"
# What a client sends most where it should send JSON.
_USUAL_TYPES: Final = frozenset(
    {"application/x-www-form-urlencoded", "multipart/form-data", "text/plain", "application/xml", "text/xml"}
)


class BodyReader:
    """Reads one body of JSON."""

    def __init__(self, most_bytes: int, seconds: float) -> None:
        """No body has more than `most_bytes`, and each arrives within `seconds`."""
        self._most_bytes = most_bytes
        self._seconds = seconds

    async def read(
        self, headers: Iterable[tuple[bytes, bytes]], receive: Receive, most_bytes: int | None = None
    ) -> bytes:
        """Return the request body, of at most `most_bytes` where that is less than what a call may have.

        UnsupportedMediaType where it is declared as no JSON or as compressed, BodyTooLarge over the limit,
        RequestTimeout when it does not arrive in time, BadRequest when the connection ends before it.
        """
        most = self._most_bytes if most_bytes is None else min(most_bytes, self._most_bytes)
        self._check(headers, most)
        try:
            async with asyncio.timeout(self._seconds):
                return await self._read(receive, most)
        except TimeoutError as error:
            raise RequestTimeout(f"The body did not arrive within {self._seconds:g} seconds.") from error

    def _check(self, headers: Iterable[tuple[bytes, bytes]], most: int) -> None:
        header_values = dict(headers)
        length = header_values.get(b"content-length", b"")
        if length.isdigit() and int(length) > most:
            raise _too_large(most)
        content_type = header_values.get(b"content-type", b"")
        if not _is_json(content_type):
            # What came is not repeated, but for a name that says nothing of a patient.
            name = content_type.partition(b";")[0].strip().decode("latin-1")
            received = name if name in _USUAL_TYPES else "another one" if name else "none"
            raise UnsupportedMediaType(
                f"The body must have the content type application/json; received {received}. Nothing was read."
            )
        if header_values.get(b"content-encoding", b"identity").strip().lower() != b"identity":
            # A few kilobytes can be made to unpack to gigabytes, and no client of CDS Hooks needs to pack.
            raise UnsupportedMediaType(
                "A compressed body is not taken, and this request has a Content-Encoding header. Send the body "
                "uncompressed, without that header. Nothing was read."
            )

    async def _read(self, receive: Receive, most: int) -> bytes:
        chunks: list[bytes] = []
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise BadRequest("The connection ended before the body did.")
            chunk: bytes = message.get("body", b"")
            more = message.get("more_body", False)
            size += len(chunk)
            if size > most:
                raise _too_large(most)
            chunks.append(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _too_large(most: int) -> BodyTooLarge:
    return BodyTooLarge(f"The body must have at most {most} bytes; received more. Nothing of the body was used.")


def _is_json(content_type: bytes) -> bool:
    kind = content_type.split(b";", 1)[0].strip().lower()
    return kind == JSON or (kind.startswith(b"application/") and kind.endswith(b"+json"))


class ReportIntake:
    """Takes what clients post beside calls of hooks: of each client one report at a time, which counts as a call."""

    def __init__(self, configured: Settings, trust: Trust, budgets: CallBudgets, bodies: BodyReader) -> None:
        """`budgets` are those that calls of hooks count in, too."""
        self._configured = configured
        self._trust = trust
        self._budgets = budgets
        self._bodies = bodies
        self._turns: defaultdict[tuple[str, object], asyncio.Lock] = defaultdict(asyncio.Lock)
        """One for each client of the trust file and route at most."""

    def now(self) -> int:
        """Microseconds since 1970 by the clock that calls are answered by."""
        as_of = self._configured.as_of
        return time_ns() // 1000 if as_of is None else int(as_of.timestamp() * 1e6)

    async def client_of(self, request: Request, call: ProxiedCall | None = None) -> TrustedClient:
        """Return who sends a request, and note it for the log.

        Raises:
            Untrusted: no client of the trust file does.
        """
        client = await self._trust.client_of(request.scope["headers"], request.scope["path"], call)
        request.state.client = client.name
        return client

    @asynccontextmanager
    async def body(
        self, request: Request, client: TrustedClient, most_bytes: int | None = None
    ) -> AsyncIterator[bytes]:
        """Yield the body of a report; the client's next one of its kind waits until this one is taken.

        A report that waits counts as a call: where a store does not answer, a queue of them would leave the client no
        calls of hooks.

        Raises:
            TooManyCalls: the client has as many calls under way as it may have; and what `BodyReader.read` raises.
            Overloaded: those before it take too long.
        """
        with self._budgets.call(client, self._configured):
            body = await self._bodies.read(request.scope["headers"], request.receive, most_bytes)
            turn = self._turns[client.name, request.scope["endpoint"]]
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await turn.acquire()
            except TimeoutError as late:
                raise Overloaded(
                    "The reports of this client before this one are not stored yet. Send this one again in a second."
                ) from late
            try:
                yield body
            finally:
                turn.release()


def failure_outcome(decision: str) -> bytes:
    """Return the body of a 500: that nothing was answered, and the id under which the operator finds the place."""
    return operation_outcome(
        HookError(f"The server failed and gave no answer. The operator's log has the place under the id {decision}.")
    )


class ContainedApp:
    """An app that never raises while it answers a request: every failure is answered and logged with its place."""

    def __init__(self, app: Starlette, metrics: Metrics, edge: EdgeLimits | None = None) -> None:
        """`edge` is for the protocol of the server (cds_hooks/server/edge.py), which finds it here."""
        app.add_exception_handler(Exception, _answer_failure)
        self._app = app
        self._metrics = metrics
        self.edge = edge

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except Exception as error:
            if scope["type"] == "lifespan":  # a server that cannot start says why
                raise
            self._metrics.refused("", 500, type(error).__name__)
            if not getattr(error, _LOGGED, False):
                log_failure("request failed", error, new_decision_id())


_LOGGED: Final = "_cds_hooks_logged"


async def _answer_failure(_: Request, error: Exception) -> Response:
    identifier = new_decision_id()
    log_failure("request failed", error, identifier)
    # Starlette raises the error again after this answer, for servers that print it.
    setattr(error, _LOGGED, True)
    headers = {CALL_ID.decode(): identifier}
    return Response(failure_outcome(identifier), 500, headers, media_type="application/json")


def answer_hook_error(metrics: Metrics) -> Callable[[Request, Exception], Awaitable[Response]]:
    """Return the handler that turns a HookError into its status and OperationOutcome."""

    async def answer(request: Request, error: Exception) -> Response:
        assert isinstance(error, HookError)  # noqa: S101 - registered for this class
        call_id = new_decision_id()
        reason, client = type(error).__name__, getattr(request.state, "client", "")  # noted by the route
        if isinstance(error, Untrusted):
            metrics.count("cds_untrusted", error.reason)
            reason, client = error.reason, error.client
        elif client:
            metrics.count("cds_refused", client, "", "", reason)
        if error.status >= 500:
            metrics.refused("", error.status, reason)
        log().info("call refused", status=error.status, reason=reason, client=client, decision=call_id)
        if isinstance(error, BodyTooLarge):
            return UnreadRefusal(error, call_id)
        headers = {name.decode(): value.decode() for name, value in (*error.headers, (CALL_ID, call_id.encode()))}
        return Response(operation_outcome(error, call_id), error.status, headers, media_type="application/json")

    return answer


def http_error_outcome(error: HTTPException, path: str) -> Response:
    """Return the answer to a program that asked for an address, or with a method, that does not exist.

    The address is not repeated: anybody can put a patient's name or a page's markup into it.
    """
    nothing = "There is nothing at this address. GET /cds-services lists the services. Nothing was done."
    if path.startswith("/decisions/"):
        nothing = "No decision is shown at this address: it is not kept, or this server shows no pages of decisions."
    hook_error: HookError = NotFound(nothing)
    if error.status_code == MethodNotAllowed.status:
        hook_error = MethodNotAllowed(
            f"This address answers {(error.headers or {}).get('Allow', 'GET')} only. Nothing was done."
        )
    call_id = new_decision_id()
    log().info("call refused", status=hook_error.status, reason=type(hook_error).__name__, decision=call_id)
    headers = {**(error.headers or {}), CALL_ID.decode(): call_id}
    return Response(operation_outcome(hook_error, call_id), hook_error.status, headers, media_type="application/json")


async def answer_http_error(request: Request, error: Exception) -> Response:
    """Return the handler for methods that a route does not answer."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class
    return http_error_outcome(error, request.url.path)


# Refusals of calls and reports: what is sent, what is logged, and what is read on of a body that was not wanted


def log_refusal(
    service: str,
    status: int,
    reason: str,
    call_id: str,
    client: str = "",
    trace: CallTrace | None = None,
    hook: str = "",
) -> None:
    """One line of the operational log about a call that is answered with an error."""
    log().info(
        "call refused",
        service=service,
        status=status,
        reason=reason,
        decision=call_id,
        client=client,
        hook=hook,
        **trace_fields(trace),
    )


def trace_fields(trace: CallTrace | None) -> dict[str, str]:
    """Return what a line of the log says of the trace that a call belongs to."""
    return {"trace": trace.trace_id} if trace is not None else {}


async def send_refusal(send: Send, error: HookError, call_id: str, unread: Receive | None = None) -> None:
    """Send the response to a call that is not answered, with the id under which the operator's log has it.

    What of the body is `unread` is read and thrown away before the connection closes, up to bounds of time and bytes:
    who still sends into a closed connection, as a proxy does, sees that it was reset and not the answer.
    """
    headers = [*error.headers, (CALL_ID, call_id.encode())]
    await send_json(send, error.status, operation_outcome(error, call_id), headers, ends=unread is None)
    if unread is not None:
        await _read_on(unread)
        await send({"type": "http.response.body", "body": b""})


_MOST_UNREAD: Final = 32 * 1024 * 1024
_UNREAD_SECONDS: Final = 5.0


async def _read_on(receive: Receive) -> None:
    remaining = _MOST_UNREAD
    with suppress(TimeoutError):
        async with asyncio.timeout(_UNREAD_SECONDS):
            while remaining > 0:
                message = await receive()
                if not message.get("more_body", False):  # the end, also that of the connection
                    return
                remaining -= len(message["body"])


async def send_json(
    send: Send, status: int, body: bytes, more: Iterable[tuple[bytes, bytes]] = (), *, ends: bool = True
) -> None:
    """One JSON response with `more` headers; where it does not end with it, an empty part of the body has to follow."""
    headers = [(b"content-type", JSON), (b"content-length", b"%d" % len(body)), (b"cache-control", b"no-store"), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": not ends})


class UnreadRefusal(Response):
    """The refusal of a body that is still on its way, which is read on (`send_refusal`)."""

    def __init__(self, error: BodyTooLarge, call_id: str) -> None:
        super().__init__(status_code=error.status)
        self._error = error
        self._call_id = call_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        await send_refusal(send, self._error, self._call_id, receive)


class ProtocolCors(CORSMiddleware):
    """CORS for the addresses of CDS Hooks: other origins have no business on the pages."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_protocol = scope["type"] == "http" and scope["path"].startswith("/cds-services")
        await (super().__call__ if is_protocol else self.app)(scope, receive, send)


class KnownHosts:
    """Refuses requests that were made for the name of another site (`HostCheck`)."""

    def __init__(self, app: ASGIApp, public_url: str) -> None:
        """`app` answers the others."""
        self._app = app
        self._hosts = HostCheck(public_url)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            host = next((value for name, value in scope["headers"] if name == b"host"), b"localhost")
            if not self._hosts.allows(host):
                await refuse_host(send)
                return
        await self._app(scope, receive, send)


_PART_BYTES: Final = 64 * 1024


class InParts:
    """Sends a large page in parts, each when the one before was taken.

    A hundred connections that asked for the largest file and did not read it kept 300 MB.
    """

    def __init__(self, app: ASGIApp) -> None:
        """`app` answers."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_parts(message: Message) -> None:
            body = message.get("body", b"")
            for start in range(0, len(body) - _PART_BYTES, _PART_BYTES):
                part = body[start : start + _PART_BYTES]
                await send({"type": "http.response.body", "body": part, "more_body": True})
            if len(body) > _PART_BYTES:
                message = {**message, "body": body[(len(body) - 1) // _PART_BYTES * _PART_BYTES :]}
            await send(message)

        await self._app(scope, receive, send_parts)


class HostCheck:
    """Answers to this machine's own names, to addresses, and to the host of `CDS_PUBLIC_URL`; no other name."""

    def __init__(self, public_url: str) -> None:
        self._names: Final = {"localhost", (urlsplit(public_url).hostname or "").lower()}
        self._last = b"localhost"

    def allows(self, host: bytes) -> bool:
        """Return whether a request with this Host header is answered; one without comes from no browser."""
        if host == self._last:
            return True
        if not self._is_known(host):
            return False
        self._last = host
        return True

    def _is_known(self, host: bytes) -> bool:
        if b"@" in host or b"/" in host:
            return False
        try:
            name = urlsplit(f"//{host.decode('ascii')}").hostname or ""
        except ValueError:
            return False
        if name in self._names or name.endswith(".localhost"):
            return True
        try:
            ip_address(name)
        except ValueError:
            return False
        return True  # an address cannot be rebound


async def refuse_host(send: Send) -> None:
    """421: this name is not answered to."""
    text = (
        "The `Host` header must be this machine's name, an IP address or the host of CDS_PUBLIC_URL. Nothing was read."
    )
    call_id = new_decision_id()
    log_refusal("", MisdirectedRequest.status, MisdirectedRequest.__name__, call_id)
    await send_refusal(send, MisdirectedRequest(text), call_id)


class RelativeRedirects:
    """Sends a browser from an address with a slash too many or too few to the right one, in relative steps.

    Starlette names the Host header and the scheme that this process sees: behind a proxy that ends TLS the browser
    would ask again in the clear, with the whole address, and with a forged Host header it would go to another server.
    """

    def __init__(self, app: ASGIApp) -> None:
        """`app` answers."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_relative(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == _TO_THE_SLASH:
                headers = MutableHeaders(raw=message["headers"])
                headers["location"] = _relative(scope)
                headers["cache-control"] = "no-store"
            await send(message)

        await self._app(scope, receive, send_relative if scope["type"] == "http" else send)


_TO_THE_SLASH: Final = 307
"""The status of Starlette's redirects for slashes; ours have 303 or 308."""


def _relative(scope: Scope) -> str:
    path, query = scope["path"], scope["query_string"].decode("latin-1")
    last = quote(path.rstrip("/").rpartition("/")[2])
    target = f"../{last}" if path.endswith("/") else f"./{last}/"
    return f"{target}?{query}" if query else target
