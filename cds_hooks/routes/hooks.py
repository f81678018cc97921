"""The route of a hook call: reads the body within limits, finds the service and answers."""

import asyncio
import re
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, MutableMapping
from contextlib import asynccontextmanager, suppress
from math import inf
from time import monotonic, time_ns
from typing import Any, Final

import msgspec
from msgspec import Struct
from starlette.requests import Request

from cds_hooks.answer import ReceivedBody, Recording, invoke
from cds_hooks.call import SENT_AS_TRIAL, open_call
from cds_hooks.components import ServerComponents
from cds_hooks.computing import refuse_late
from cds_hooks.edge import ARRIVED
from cds_hooks.errors import (
    CALL_ID,
    BadRequest,
    BodyTooLarge,
    HookError,
    MethodNotAllowed,
    NotFound,
    RecordFailed,
    RequestTimeout,
    TooManyCalls,
    UnsupportedMediaType,
    operation_outcome,
)
from cds_hooks.logs import log
from cds_hooks.routes.failures import failure_outcome, log_failure
from cds_hooks.security import Trust, TrustedClient, Untrusted
from cds_hooks.security.client import proxied_call
from cds_hooks.services import Service
from cds_hooks.settings import Settings
from cds_hooks.storage.decision import RecordUnavailable, are_of_one_call, new_decision_id
from cds_hooks.storage.queries import DecisionFilter, find_decisions
from cds_hooks.tracing import CallTrace

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

JSON: Final = b"application/json"


class RequestLimits:
    """The bounds of one server process."""

    def __init__(self, most_bytes: int, seconds: float, clock: Callable[[], float] = monotonic) -> None:
        self._most_bytes = most_bytes
        self._seconds = seconds
        self._calls: Counter[str] = Counter()
        self._clock = clock
        self._begun: defaultdict[str, deque[float]] = defaultdict(deque)
        """When each client's calls of the last second began: at most as many as it may begin in one."""

    def enter(self, client: str, most: int, most_in_a_second: int = 1_000_000) -> None:
        """Counts a call that begins; `leave` must follow.

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

    def enter_client(self, client: TrustedClient, configured: Settings) -> None:
        """The same within the budgets of the trust file and of this server."""
        budgets = client.budgets
        self.enter(
            client.name,
            min(budgets.concurrency, configured.concurrent_calls),
            min(budgets.calls_per_second, configured.calls_per_second),
        )

    def leave(self, client: str) -> None:
        """Counts a call that has ended."""
        self._calls[client] -= 1

    @asynccontextmanager
    async def report(
        self, request: Request, client: TrustedClient, configured: Settings, most_bytes: int, turn: asyncio.Lock
    ) -> AsyncIterator[bytes]:
        """Yields the body of a report, which counts as a call of the client; `turn` is held until the report is taken.

        Raises:
            TooManyCalls: as `enter`; and what `body` raises.
        """
        self.enter_client(client, configured)
        try:
            body = await self.body(request.scope["headers"], request.receive, most_bytes)
            async with turn:
                yield body
        finally:
            self.leave(client.name)

    async def body(
        self, headers: Iterable[tuple[bytes, bytes]], receive: Receive, most_bytes: int | None = None
    ) -> bytes:
        """Returns the request body, of at most `most_bytes` where that is less than what a call may have.

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
        kind = header_values.get(b"content-type", b"")
        if kind != JSON and not _is_json(kind):
            raise UnsupportedMediaType("Send the body as application/json.")
        if header_values.get(b"content-encoding", b"identity").strip().lower() != b"identity":
            # A few kilobytes can be made to unpack to gigabytes, and no client of CDS Hooks needs to pack.
            raise UnsupportedMediaType("Send the body as it is: a Content-Encoding is not read here.")

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
    return BodyTooLarge(f"The body is larger than the {most} bytes that are read here.")


def _is_json(content_type: bytes) -> bool:
    kind = content_type.split(b";", 1)[0].strip().lower()
    return kind == JSON or (kind.startswith(b"application/") and kind.endswith(b"+json"))


Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

PREFIX: Final = "/cds-services/"
_REPEATED_WITHIN: Final = 60 * 10**9
"""Nanoseconds; a proxy sends a call again after 30 s at the latest (docs/operations/files/cds-hooks-proxy.conf)."""
_HOOK: Final = re.compile(rb'"hook"\s?:\s?"([a-z][a-z.-]{1,60})"')


class HookRoute:
    """Answers hook calls and hands every other request on to `rest`."""

    def __init__(
        self,
        rest: App,
        services: Mapping[str, Service],
        components: ServerComponents,
        intake: RequestLimits,
        trust: Trust,
    ) -> None:
        """`services` are by every id that a call may name (`by_address`)."""
        self.rest = rest
        self.services = services
        self.components = components
        self.intake = intake
        self.trust = trust
        self.recording = Recording()
        self._proxies = components.settings.proxy_networks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope.get("path", "")
        if scope["type"] != "http" or not path.startswith(PREFIX) or scope["method"] == "OPTIONS":
            await self.rest(scope, receive, send)
            return
        name = path[len(PREFIX) :]
        if "/" in name:  # .../feedback and whatever else
            await self.rest(scope, receive, send)
            return
        await self._answer(name, scope, receive, send)

    async def _answer(self, name: str, scope: Scope, receive: Receive, send: Send) -> None:
        service_id = (
            self.services[name].id if name in self.services else ""
        )  # what else stands in a URL may be anything
        sent = proxied_call(scope, self._proxies)
        decision_id = new_decision_id(sent.fingerprint if sent is not None else None)
        trace = self.components.tracing.begin(scope["headers"])
        attempt = _Attempt(is_trial=scope.get(SENT_AS_TRIAL) is True)
        try:
            client = await self.trust.client_of(scope["headers"], scope["path"], sent)  # before services are named
            attempt.client, attempt.is_repeated = client.name, sent is not None and sent.is_repeated
            if trace is not None:
                trace.trusted(client.name, decision_id)
            service = self._service(name, scope["method"])
            response = await self._invoke(service, client, decision_id, scope, receive, trace, attempt)
        except Untrusted as error:
            # why a caller is not trusted is for the operator only; the caller always hears the same
            self.components.metrics.refused(service_id, error.status, error.reason)
            self.components.metrics.untrusted(error.reason)
            await send_refusal(send, error, decision_id)
            log_refusal(service_id, error.status, error.reason, decision_id, error.client, trace)
        except HookError as error:
            reason = type(error).__name__
            self._count_refusal(service_id, error.status, reason, attempt)
            await send_refusal(send, error, decision_id, receive if isinstance(error, BodyTooLarge) else None)
            log_refusal(service_id, error.status, reason, decision_id, attempt.client, trace, attempt.hook)
            _end(trace, service_id, error.status, reason)
        except Exception as error:
            self._count_refusal(service_id, 500, type(error).__name__, attempt)
            await send_json(send, 500, failure_outcome(decision_id), [(CALL_ID, decision_id.encode())])
            log_failure("call failed", error, decision_id, service_id, **_trace_of(trace))
            _end(trace, service_id, 500, type(error).__name__)
        else:
            await send_json(send, 200, response)
            _end(trace, service_id, 200)

    def _count_refusal(self, service: str, status: int, reason: str, attempt: "_Attempt") -> None:
        if attempt.is_trial:
            return
        self.components.metrics.refused(service, status, reason)
        if attempt.client:
            self.components.metrics.refused_client(attempt.client, service, attempt.hook, reason)

    async def _invoke(
        self,
        service: Service,
        client: TrustedClient,
        decision_id: str,
        scope: Scope,
        receive: Receive,
        trace: CallTrace | None,
        attempt: "_Attempt",
    ) -> bytes:
        refuse_late(scope.get(ARRIVED, inf))
        self.intake.enter_client(client, self.components.settings)
        try:
            content = await self.intake.body(scope["headers"], receive)
            attempt.hook = _hook_of(content, service)
            recorded = await self._recorded(service, client, decision_id, content) if attempt.is_repeated else None
            if recorded is not None:
                return recorded
            call = open_call(
                service, client, self.components, decision_id, len(content), trace, is_trial=attempt.is_trial
            )
            answer = await invoke(call, ReceivedBody(content), self.recording)
            return answer.decision.response
        finally:
            self.intake.leave(client.name)

    async def _recorded(
        self, service: Service, client: TrustedClient, decision_id: str, content: bytes
    ) -> bytes | None:
        """Returns what was answered to a call that its proxy sends again; None where it was not answered before."""
        try:
            hook_instance = msgspec.json.decode(content, type=_Instance).hookInstance
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None  # which is refused as it was before
        since = (time_ns() - _REPEATED_WITHIN) // 1000
        wanted = DecisionFilter(service.id, None, client.name, since=since, hook_instance=hook_instance)
        try:
            decisions = await asyncio.to_thread(list, find_decisions(self.components.settings.database_url, wanted))
        except RecordUnavailable as error:
            raise RecordFailed("The record cannot be read, so no advice is given. Try again later.") from error
        for decision in decisions:
            if are_of_one_call(decision.id, decision_id) and decision.outcome != "error":
                log().info("call answered again", service=service.id, client=client.name, decision=decision.id)
                return decision.response
        return None

    def _service(self, name: str, method: str) -> Service:
        service = self.services.get(name)
        if service is None:
            raise NotFound("There is no service of this id; GET /cds-services lists those there are.")
        if method != "POST":
            raise MethodNotAllowed("A service is called by POST; GET /cds-services lists the services.")
        return service


class _Attempt:
    """What is known of a call when it is refused: the client after its token, the hook after its body."""

    __slots__ = ("client", "hook", "is_repeated", "is_trial")

    def __init__(self, *, is_trial: bool) -> None:
        self.client = self.hook = ""
        self.is_repeated = False
        self.is_trial = is_trial


class _Instance(Struct):
    hookInstance: str


def _hook_of(body: bytes, service: Service) -> str:
    """Returns the hook of the service that the body seems to name; "" for anything else, which may be anything."""
    match = _HOOK.search(body)
    name = match[1].decode() if match is not None else ""
    return name if name in service.answers else ""


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
        **_trace_of(trace),
    )


def _trace_of(trace: CallTrace | None) -> dict[str, str]:
    return {"trace": trace.trace_id} if trace is not None else {}


def _end(trace: CallTrace | None, service: str, status: int, reason: str = "") -> None:
    """The call's span ends, and a line of the log at the level `debug` names the call and its trace."""
    if trace is None:
        return
    trace.end(service, status, reason)
    if status == 200:
        log().debug("call answered", service=service, status=status, decision=trace.decision, trace=trace.trace_id)


async def send_refusal(send: Send, error: HookError, call_id: str, unread: Receive | None = None) -> None:
    """The response to a call that is not answered, with the id under which the operator's log has it.

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
