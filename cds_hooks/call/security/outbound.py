"""The only way to send a request: to a registered address, checked when it is called, with a limited answer.

Everything is enforced in the transport below a plain `httpx.AsyncClient`: code that holds the client cannot bypass it,
whatever address a server's answer contains. A connection uses the IP address that was checked (protection against DNS
rebinding). There is a pool for each client and base, so a server that stalls affects no other.

A pool holds its connections itself, and each holds what it opened, so that a request that ends early or is canceled
closes its own connection whatever it waited for. The pool of httpcore is not used: a request that is canceled in its
queue leaves a connection behind that is never used and never removed (measured on 20 November 2026: after 40 calls to a
stalled server all 100 were lost).
"""

import asyncio
import re
import socket
import ssl
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, partial
from typing import Any, Final

import httpcore
import httpx

from cds_hooks.call.security.addresses import (
    AddressRule,
    Budgets,
    CountOutbound,
    FhirBase,
    KeySetUrl,
    OutboundRefused,
    PoolKey,
    Resolver,
    Url,
    address_of,
)
from cds_hooks.call.security.keys import MOST_KEY_SET_BYTES

MOST_CONNECTIONS: Final = 100
"""Most connections for one client and base; further requests wait within their own deadline."""
_MOST_POOLS: Final = 512
_KEPT_SECONDS: Final = 30.0
_CONNECT_SECONDS: Final = 2.0
_KEY_SET_MILLISECONDS: Final = 3000
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750, section 2.1
_OURS: Final = frozenset({b"authorization", b"host", b"accept-encoding", b"cookie", b"proxy-authorization"})
_LOOKUPS: Final = ThreadPoolExecutor(32, thread_name_prefix="names")
"""Threads that only look up names, so that a slow name server does not delay other work in threads."""


class TransportRefused(OutboundRefused, httpx.TransportError):
    """A refusal below an HTTP client, to which it is an error of the connection."""


class OutboundClient:
    """Makes HTTP clients, each for one FHIR server; connections are kept for each client and base."""

    def __init__(self, resolver: Resolver | None = None) -> None:
        """Make a client; `resolver` gives the IP addresses of a name (default: the operating system's).

        Each of them is checked, and the connection uses one of them.
        """
        self._pools = ConnectionPools(resolver or system_resolver)

    def count_with(self, count: CountOutbound) -> None:
        """Set the function that counts timeouts."""
        self._pools.count = count

    def open(
        self, base: FhirBase, token: str | None = None, headers: Mapping[str, str] | None = None
    ) -> httpx.AsyncClient:
        """Return a client for one hook call, used in `async with`; paths are relative to the base.

        The token and `headers` are sent with every request to this base and to no other address. A request that may not
        be made, or whose answer is larger than the budget, raises TransportRefused.
        """
        if token is not None and not _TOKEN.fullmatch(token):
            raise OutboundRefused("token", "The access token has characters that a header cannot hold.")
        seconds = base.budgets.fetch_milliseconds / 1000
        return httpx.AsyncClient(
            base_url=f"{base.url}/",
            transport=Bound(base, token, self._pools),
            headers={"accept": "application/fhir+json", **(headers or {})},
            timeout=httpx.Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS)),
            follow_redirects=False,
            trust_env=False,
        )

    async def fetch(self, source: KeySetUrl) -> bytes:
        """Return the content of a key set's URL.

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
        """Close the connections that are kept."""
        await self._pools.aclose()


class Bound(httpx.AsyncBaseTransport):
    """Sends a request only if it stays below its base and only reads; limits the size of the answer."""

    def __init__(self, base: FhirBase, token: str | None, pools: "ConnectionPools") -> None:
        self._base = base
        self._token = token
        self._pools = pools
        self._requests = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the response with its body not yet read.

        Raises:
            TransportRefused: the request may not be made.
        """
        try:
            url = self._base.check(str(request.url))
        except OutboundRefused as error:
            raise TransportRefused(error.reason, error.text) from error
        if self._base.purpose not in ("login", "text"):  # these are asked by POST, at their address alone
            _require_reading(request.method, url)
        self._requests += 1
        if self._requests > self._base.budgets.max_requests:
            raise TransportRefused("too-many", "The limit of requests to the FHIR server was reached for this call.")
        limit = self._base.budgets.max_response_bytes
        with _as_httpx():
            body = await self._pools.pool(self._base.pool_key).send(self._outgoing(request, url), limit)
        answer = body.answer
        try:
            _require_plain(answer, limit)
        except OutboundRefused:
            await body.aclose()
            raise
        return httpx.Response(answer.status, headers=answer.headers, stream=body, extensions=answer.extensions)

    def _outgoing(self, request: httpx.Request, url: Url) -> httpcore.Request:
        """Return the request that is sent, built from the parts that were checked and not from the given text."""
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
        raise _too_large(most_bytes)


def _too_large(most_bytes: int) -> TransportRefused:
    return TransportRefused("too-large", f"The answer is larger than the {most_bytes} bytes that are read.")


@contextmanager
def _as_httpx() -> Iterator[None]:
    """Yield the errors of httpcore as those of httpx, which have the same names."""
    try:
        yield
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
        raise getattr(httpx, type(error).__name__)(str(error)) from error


class ConnectionPools:
    """The pools of one server process; of more than 512, the least recently used one is closed."""

    def __init__(self, resolver: Resolver) -> None:
        """Nothing is opened before the first request."""
        self._resolver = resolver
        self._pools: OrderedDict[PoolKey, Pool] = OrderedDict()
        self._closing: set[asyncio.Task[None]] = set()
        self.count: CountOutbound = lambda _client, _purpose, _event: None
        """Set by `app.py`, which counts the events in its metrics."""

    def pool(self, key: PoolKey) -> "Pool":
        """Return the pool of this key."""
        pool = self._pools.get(key)
        if pool is None:
            pool = self._pools[key] = Pool(key, self._resolver, self)
            while len(self._pools) > _MOST_POOLS:
                self._pools.popitem(last=False)[1].retire()
        else:
            self._pools.move_to_end(key)
        return pool

    def run(self, closing: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a task that closes connections, independent of the call for which they were opened."""
        task = asyncio.get_running_loop().create_task(closing)
        self._closing.add(task)
        task.add_done_callback(self._closed)
        return task

    def _closed(self, task: asyncio.Task[None]) -> None:
        self._closing.discard(task)
        if not task.cancelled():
            task.exception()  # a connection that cannot be closed properly is unusable too

    async def aclose(self) -> None:
        """Close every connection."""
        pools, self._pools = self._pools, OrderedDict()
        for pool in pools.values():
            pool.retire()
        while self._closing:  # a request that is given up closes its pool's connections in a task of its own
            closing = tuple(self._closing)
            await asyncio.gather(*closing, return_exceptions=True)
            self._closing.difference_update(closing)  # since Python 3.12 this can go on before `_closed` was called


class Pool:
    """The connections of one client to one base."""

    def __init__(self, key: PoolKey, resolver: Resolver, pools: ConnectionPools) -> None:
        self._key = key
        # to make one takes some 50 ms of the event loop
        self._context = ssl_context_for(key.reach.authorities) if key.base.startswith("https:") else None
        self._backend = CheckedBackend(key.reach.rule, resolver)
        self._pools = pools
        self._slots = asyncio.Semaphore(MOST_CONNECTIONS)
        self._idle: list[_Connection] = []
        self._is_retired = False

    async def send(self, request: httpcore.Request, most_bytes: int) -> "_Body":
        """Return the response with its body not yet read; it must be closed. Raises the exceptions of httpcore."""
        await self._slots.acquire()
        connection = self._kept() or _Connection(request.url.origin, self._context, self._backend)
        try:
            answer = await connection.http.handle_async_request(request)
        except BaseException as error:
            if isinstance(error, (asyncio.CancelledError, httpcore.TimeoutException)):
                self._timed_out()
            self._pools.run(self._end(connection))
            raise
        return _Body(answer, most_bytes, lambda in_time: self._close(connection, answer, in_time=in_time))

    def retire(self) -> None:
        """Keep no connection any longer; those that are used are closed as soon as their requests have ended."""
        self._is_retired = True
        while self._idle:
            self._pools.run(self._idle.pop().aclose())

    def _kept(self) -> "_Connection | None":
        """Return a connection that is kept and can be used again."""
        expired = [connection for connection in self._idle if connection.http.has_expired()]
        for connection in expired:
            self._idle.remove(connection)
            self._pools.run(connection.aclose())
        return self._idle.pop() if self._idle else None

    async def _close(self, connection: "_Connection", answer: httpcore.Response, *, in_time: bool) -> None:
        """Close a response; its connection is kept for reuse if the body was read to its end."""
        if not in_time:
            self._timed_out()
        await asyncio.shield(self._pools.run(self._end(connection, answer)))

    async def _end(self, connection: "_Connection", answer: httpcore.Response | None = None) -> None:
        try:
            if answer is not None:
                await answer.aclose()
            if answer is not None and connection.http.is_idle() and not self._is_retired:
                self._idle.append(connection)
            else:
                await connection.aclose()
        finally:
            self._slots.release()

    def _timed_out(self) -> None:
        self._pools.count(self._key.client, self._key.purpose, "timeout")


class _Connection(httpcore.AsyncNetworkBackend):
    """A connection of HTTP that knows what it opened: httpcore forgets a stream whose handshake is canceled."""

    def __init__(self, origin: httpcore.Origin, context: ssl.SSLContext | None, backend: "CheckedBackend") -> None:
        self._backend = backend
        self._stream: httpcore.AsyncNetworkStream | None = None
        self.http = httpcore.AsyncHTTPConnection(origin, context, keepalive_expiry=_KEPT_SECONDS, network_backend=self)

    async def connect_tcp(self, *args: Any, **options: Any) -> httpcore.AsyncNetworkStream:
        """Return a connection to an allowed address of the host, and note it."""
        self._stream = await self._backend.connect_tcp(*args, **options)
        return self._stream

    async def aclose(self) -> None:
        """Close whatever was opened."""
        try:
            await self.http.aclose()
        finally:
            if self._stream is not None:
                await self._stream.aclose()


class _Body(httpx.AsyncByteStream):
    """The body of a response, within its bytes; closing it releases the pool's slot, once."""

    def __init__(
        self, answer: httpcore.Response, most_bytes: int, close: Callable[[bool], Coroutine[Any, Any, None]]
    ) -> None:
        """`close` is told whether the body came in time."""
        self.answer = answer
        self._most_bytes = most_bytes
        self._close = close
        self._is_open = True
        self._in_time = True

    async def __aiter__(self) -> AsyncIterator[bytes]:
        count = 0
        try:
            with _as_httpx():
                async for part in self.answer.aiter_stream():
                    count += len(part)
                    if count > self._most_bytes:
                        raise _too_large(self._most_bytes)
                    yield part
        except (asyncio.CancelledError, httpx.TimeoutException):
            self._in_time = False
            raise

    async def aclose(self) -> None:
        """End the response; its connection is closed even if nothing waits for it."""
        if self._is_open:
            self._is_open = False
            await self._close(self._in_time)


async def system_resolver(host: str, port: int) -> Sequence[str]:
    """Return the addresses that the operating system finds for a name.

    Raises:
        httpcore.ConnectError: it finds none.
    """
    loop = asyncio.get_running_loop()
    try:
        lookup = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        addresses = await loop.run_in_executor(_LOOKUPS, lookup)
    except OSError as error:
        raise httpcore.ConnectError("the name of the host is not known") from error
    return list(dict.fromkeys(str(address[4][0]) for address in addresses))


class CheckedBackend(httpcore.AsyncNetworkBackend):
    """Looks a name up once, refuses it if any of its addresses is not allowed, and connects to one of them."""

    def __init__(self, rule: AddressRule, resolver: Resolver) -> None:
        """Keep the TLS name and the Host header those of the URL: httpcore takes them from the request."""
        self._rule = rule
        self._resolver = resolver
        self._network = httpcore.AnyIOBackend()
        self._lookups: dict[tuple[str, int], asyncio.Future[Sequence[str]]] = {}

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Return a connection to an allowed address of the host.

        Raises:
            TransportRefused: one of the host's addresses is not allowed.
        """
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._allowed(host, port)
                return await self._first(addresses, port, timeout, local_address, socket_options)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout("no connection in time") from error

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Refuse always: no client is registered with a Unix socket."""
        del path, timeout, socket_options
        raise TransportRefused("address", "Unix sockets are not connected to.")

    async def sleep(self, seconds: float) -> None:
        """Wait between two attempts of httpcore."""
        await asyncio.sleep(seconds)

    async def _allowed(self, host: str, port: int) -> Sequence[str]:
        addresses = [host] if address_of(host) is not None else await self._look_up(host, port)
        # all of them are checked: an attacker's name may have one public address and one private one
        if not addresses or not all(self._rule.allows(address) for address in addresses):
            raise TransportRefused("address", "The host's network address may not be connected to.")
        return addresses

    async def _look_up(self, host: str, port: int) -> Sequence[str]:
        """Return the addresses of a name.

        All calls that wait for the same name share one lookup, so that a slow one occupies one thread.
        """
        key = (host, port)
        lookup = self._lookups.get(key)
        if lookup is None:
            lookup = self._lookups[key] = asyncio.ensure_future(self._resolver(host, port))
            lookup.add_done_callback(lambda done: self._looked_up(key, done))
        return await asyncio.shield(lookup)

    def _looked_up(self, key: tuple[str, int], lookup: asyncio.Future[Sequence[str]]) -> None:
        del self._lookups[key]
        if not lookup.cancelled():
            lookup.exception()  # every call that waited has the result

    async def _first(
        self,
        addresses: Sequence[str],
        port: int,
        timeout: float | None,
        local_address: str | None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None,
    ) -> httpcore.AsyncNetworkStream:
        *others, last = addresses
        for address in others:
            try:
                return await self._network.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._network.connect_tcp(last, port, timeout, local_address, socket_options)


def prepare_connections() -> None:
    """Load what the first request to a FHIR server would load on the event loop: 25 ms of modules, 50 ms of TLS."""
    asyncio.run(httpcore.AnyIOBackend().sleep(0))  # anyio imports its part for asyncio when it is first used
    _public()


def ssl_context_for(authorities: str | None) -> ssl.SSLContext:
    """Return the TLS context: the public certificate authorities and, where given, the site's own (PEM)."""
    if authorities is None:
        return _public()
    context = httpx.create_ssl_context(trust_env=False)
    context.load_verify_locations(cadata=authorities)
    return context


@cache
def _public() -> ssl.SSLContext:
    # 20 to 50 ms and a few megabytes, and nothing in it depends on the client
    return httpx.create_ssl_context(trust_env=False)
