"""Where a request leaves: the transport below a plain `httpx.AsyncClient` that an `OutboundClient` opens.

Code that holds the client cannot bypass it, whatever address a server's answer contains.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Final

import httpcore

from cds_hooks.security.addresses import Url
from cds_hooks.security.connections import TransportRefused, httpx
from cds_hooks.security.fhir_base import FhirBase, OutboundRefused
from cds_hooks.security.pools import ConnectionPools

__all__ = ["Bound", "httpx"]

_OURS: Final = frozenset({b"authorization", b"host", b"accept-encoding", b"cookie", b"proxy-authorization"})


class Bound(httpx.AsyncBaseTransport):
    """Sends a request only if it stays below its base and only reads; limits the size of the answer."""

    def __init__(self, base: FhirBase, token: str | None, pools: ConnectionPools) -> None:
        self._base = base
        self._token = token
        self._pools = pools
        self._requests = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Returns the response with its body not yet read.

        Raises:
            TransportRefused: the request may not be made.
        """
        try:
            url = self._base.check(str(request.url))
        except OutboundRefused as error:
            raise TransportRefused(error.reason, error.text) from error
        if self._base.purpose != "login":  # a token is asked for by POST, at that address alone
            _require_reading(request.method, url)
        self._requests += 1
        if self._requests > self._base.budgets.max_requests:
            raise TransportRefused("too-many", "This call has made as many requests to the FHIR server as it may.")
        pool = self._pools.pool(self._base.pool_key)
        with _as_httpx():
            answer = await pool.send(self._outgoing(request, url))
        try:
            _require_plain(answer, self._base.budgets.max_response_bytes)
        except OutboundRefused:
            await answer.aclose()
            raise
        body = _Counted(answer, self._base.budgets.max_response_bytes)
        return httpx.Response(answer.status, headers=answer.headers, stream=body, extensions=answer.extensions)

    def _outgoing(self, request: httpx.Request, url: Url) -> httpcore.Request:
        """Returns the request that is sent, built from the parts that were checked and not from the given text."""
        headers = [(name, value) for name, value in request.headers.raw if name.lower() not in _OURS]
        headers += [(b"host", url.authority.encode()), (b"accept-encoding", b"identity")]
        if self._token is not None:
            headers.append((b"authorization", b"Bearer " + self._token.encode()))
        return httpcore.Request(
            request.method,
            httpcore.URL(scheme=url.scheme, host=url.host, port=url.port, target=url.target),
            headers=headers,
            content=request.stream,
            extensions={"timeout": request.extensions.get("timeout", {})},
        )


def _require_reading(method: str, url: Url) -> None:
    if method == "GET" or (method == "POST" and url.path.endswith("/_search")):
        return
    raise TransportRefused("not-reading", "Only reads and searches are sent to a FHIR server.")


def _require_plain(answer: httpcore.Response, most_bytes: int) -> None:
    headers = {name.lower(): value for name, value in answer.headers}
    # `identity` was asked for: an answer that is compressed all the same could expand without limit
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise TransportRefused("encoded", "The FHIR server sends a compressed answer that was not asked for.")
    length = headers.get(b"content-length", b"0")
    if length.isdigit() and int(length) > most_bytes:
        raise TransportRefused("too-large", f"The answer is larger than the {most_bytes} bytes that are read.")


class _Counted(httpx.AsyncByteStream):
    """A response body that raises OutboundRefused when it grows beyond the limit."""

    def __init__(self, answer: httpcore.Response, most_bytes: int) -> None:
        self._answer = answer
        self._most_bytes = most_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        count = 0
        with _as_httpx():
            async for part in self._answer.aiter_stream():
                count += len(part)
                if count > self._most_bytes:
                    raise TransportRefused(
                        "too-large", f"The answer is larger than the {self._most_bytes} bytes that are read."
                    )
                yield part

    async def aclose(self) -> None:
        await self._answer.aclose()


@contextmanager
def _as_httpx() -> Iterator[None]:
    """Yields the errors of httpcore as those of httpx, which have the same names."""
    try:
        yield
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
        raise getattr(httpx, type(error).__name__)(str(error)) from error
