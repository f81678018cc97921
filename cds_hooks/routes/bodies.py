"""Reads the bodies of calls and reports within limits of size and time, and of calls under way at once."""

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from time import monotonic
from typing import Final

from starlette.requests import Request
from starlette.types import Receive

from cds_hooks.errors import BadRequest, BodyTooLarge, RequestTimeout, TooManyCalls, UnsupportedMediaType
from cds_hooks.security import Trust, TrustedClient
from cds_hooks.security.trust import ProxiedCall
from cds_hooks.settings import Settings

# How many calls a client may have under way, and begin in a second


class CallBudgets:
    """The calls of each client in one server process."""

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

        Raises:
            TooManyCalls: the client has as many calls under way as it may have; and what `BodyReader.read` raises.
        """
        with self._budgets.call(client, self._configured):
            body = await self._bodies.read(request.scope["headers"], request.receive, most_bytes)
            async with self._turns[client.name, request.scope["endpoint"]]:
                yield body
