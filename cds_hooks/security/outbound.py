"""The only way to send a request: to a registered address, checked when it is called, with a limited answer.

Everything is enforced where a request leaves, in the transport below a plain `httpx.AsyncClient`. Code that holds the
client cannot bypass it, whatever address a server's answer contains.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, Literal

import httpcore
import httpx
from msgspec import Struct, field

from cds_hooks.security.addresses import BadUrl, Reach, Url, parse_url
from cds_hooks.security.client import Budgets, KeySetUrl
from cds_hooks.security.connections import OutboundRefused, Resolver, system_resolver
from cds_hooks.security.keys import MOST_KEY_SET_BYTES
from cds_hooks.security.pools import ConnectionPools, CountOutbound, PoolKey

_CONNECT_SECONDS: Final = 2.0
_KEY_SET_MILLISECONDS: Final = 3000
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750, section 2.1
_OURS: Final = frozenset({b"authorization", b"host", b"accept-encoding", b"cookie", b"proxy-authorization"})


class FhirBase(Struct, frozen=True):
    """A FHIR server that may be called."""

    url: Url
    """The base URL as the call gave it, without `/` at the end: queries are relative to it."""
    registered: Url
    """The base URL as the trust file gives it: links may point below it and nowhere else."""
    reach: Reach
    budgets: Budgets = field(default_factory=Budgets)
    client: str = ""
    """The client for which it is read: connections are not shared with other clients."""
    purpose: Literal["fhir", "keys", "login"] = "fhir"
    open: bool = False
    """Whether it is read without an access token."""

    @property
    def pool_key(self) -> PoolKey:
        """The key of the connection pool that is used."""
        return PoolKey(self.client, self.purpose, str(self.registered), self.reach)

    def check(self, address: str) -> Url:
        """The parts of an absolute address below the registered base; `next` links are checked in the same way.

        Raises:
            OutboundRefused: the address is malformed or not below the base.
        """
        try:
            url = parse_url(address)
        except BadUrl as error:
            raise OutboundRefused("malformed", f"The address is not called: {error}.") from error
        if not is_below(url, self.registered):
            raise OutboundRefused(
                "not-registered", "The address is not below a FHIR server registered for this client."
            )
        return url


def is_below(url: Url, base: Url) -> bool:
    """Whether the URL has the base's scheme, host and port, and the base's path or one below it."""
    prefix = base.path.rstrip("/")
    return url.origin == base.origin and (url.path == prefix or url.path.startswith(prefix + "/"))


class OutboundClient:
    """Makes HTTP clients, each for one FHIR server; connections are kept for each client and base."""

    def __init__(self, resolver: Resolver = system_resolver) -> None:
        """`resolver` gives the IP addresses of a name; each is checked, and the connection uses one of them."""
        self._pools = ConnectionPools(resolver)

    def count_with(self, count: CountOutbound) -> None:
        """Sets the function that counts timeouts and replaced pools."""
        self._pools.count = count

    def open(
        self, base: FhirBase, token: str | None = None, headers: Mapping[str, str] | None = None
    ) -> httpx.AsyncClient:
        """A client for one hook call, used in `async with`; paths are relative to the base.

        The token and `headers` are sent with every request to this base and to no other address. A request that may not
        be made, or whose answer is larger than the budget, raises OutboundRefused (an httpx.TransportError).
        """
        if token is not None and not _TOKEN.fullmatch(token):
            raise OutboundRefused("token", "The access token is not one that can stand in a header.")
        seconds = base.budgets.fetch_milliseconds / 1000
        return httpx.AsyncClient(
            base_url=f"{base.url}/",
            transport=_Bound(base, token, self._pools),
            headers={"accept": "application/fhir+json", **(headers or {})},
            timeout=httpx.Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS)),
            follow_redirects=False,
            trust_env=False,
        )

    async def fetch(self, source: KeySetUrl) -> bytes:
        """The content of a key set's URL.

        Raises:
            httpx.HTTPError: it cannot be fetched.
            TimeoutError: it cannot be fetched in time.
        """
        budgets = Budgets(fetch_milliseconds=_KEY_SET_MILLISECONDS, max_response_bytes=MOST_KEY_SET_BYTES)
        base = FhirBase(source.url, source.url, source.reach, budgets, purpose="keys")
        async with asyncio.timeout(_KEY_SET_MILLISECONDS / 1000), self.open(base) as http:
            answer = await http.get(str(source.url), headers={"accept": "application/json"})
            return answer.raise_for_status().content

    async def aclose(self) -> None:
        """Closes the connections that are kept."""
        await self._pools.aclose()


class _Bound(httpx.AsyncBaseTransport):
    """Sends a request only if it stays below its base and only reads; limits the size of the answer."""

    def __init__(self, base: FhirBase, token: str | None, pools: ConnectionPools) -> None:
        self._base = base
        self._token = token
        self._pools = pools
        self._requests = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The response with its body not yet read.

        Raises:
            OutboundRefused: the request may not be made.
        """
        url = self._base.check(str(request.url))
        if self._base.purpose != "login":  # a token is asked for by POST, at that address alone
            _require_reading(request.method, url)
        self._requests += 1
        if self._requests > self._base.budgets.max_requests:
            raise OutboundRefused("too-many", "This call has made as many requests to the FHIR server as it may.")
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
        """The request that is sent, built from the parts that were checked and not from the given text."""
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
    raise OutboundRefused("not-reading", "Only reads and searches are sent to a FHIR server.")


def _require_plain(answer: httpcore.Response, most_bytes: int) -> None:
    headers = {name.lower(): value for name, value in answer.headers}
    # `identity` was asked for: an answer that is compressed all the same could expand without limit
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise OutboundRefused("encoded", "The FHIR server sends a compressed answer that was not asked for.")
    length = headers.get(b"content-length", b"0")
    if length.isdigit() and int(length) > most_bytes:
        raise OutboundRefused("too-large", f"The answer is larger than the {most_bytes} bytes that are read.")


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
                    raise OutboundRefused(
                        "too-large", f"The answer is larger than the {self._most_bytes} bytes that are read."
                    )
                yield part

    async def aclose(self) -> None:
        await self._answer.aclose()


@contextmanager
def _as_httpx() -> Iterator[None]:
    """The errors of httpcore as those of httpx, which have the same names."""
    try:
        yield
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
        raise getattr(httpx, type(error).__name__)(str(error)) from error
