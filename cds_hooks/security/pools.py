"""Connections to FHIR servers and key sets: a pool for each client and base, so that a stalled server harms no other.

Three rules keep a server that stalls from ending anybody else's reading:

- Connections are counted here, not in httpcore: a request that waits is not in httpcore's queue. Requests that are
  cancelled in that queue while a connection is assigned to them leave a connection behind that is never used and never
  removed (measured on 20 November 2026: after 40 calls to a stalled server all 100 were lost).
- A request runs in a task of its own. Whoever stops waiting cancels this task once and leaves; what the task then does
  to close its connection is not interrupted by a second cancellation.
- A pool in which requests time out one after another is replaced by a new one; the old one is closed as soon as the
  requests that are under way in it have ended.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Final, Literal, NamedTuple

import httpcore

from cds_hooks.security.addresses import Reach
from cds_hooks.security.connections import CheckedBackend, Resolver, ssl_context_for

OutboundEvent = Literal["timeout", "pool-replaced"]
CountOutbound = Callable[[str, str, OutboundEvent], None]
"""Counts an event: the client's name, `fhir` or `keys`, and what happened."""

MOST_CONNECTIONS: Final = 100
"""Open at the same time for one client and base; more requests wait, within their own deadline."""
TIMEOUTS_TO_REPLACE: Final = 8
_MOST_POOLS: Final = 512
_KEPT_SECONDS: Final = 30.0


class PoolKey(NamedTuple):
    """Whose connections, to what, and by which rule: none of them is used for another."""

    client: str
    purpose: Literal["fhir", "keys"]
    base: str
    reach: Reach


class ConnectionPools:
    """The pools of one server process; beyond 512 the one that was not used for the longest time is closed."""

    def __init__(self, resolver: Resolver) -> None:
        """Nothing is opened before the first request."""
        self._resolver = resolver
        self._pools: OrderedDict[PoolKey, Pool] = OrderedDict()
        self._closing: set[asyncio.Task[None]] = set()
        self.count: CountOutbound = lambda _client, _purpose, _event: None
        """Replaced by whoever counts (app.py)."""

    def pool(self, key: PoolKey) -> "Pool":
        """The pool of this key."""
        pool = self._pools.get(key)
        if pool is None:
            pool = self._pools[key] = Pool(key, self._resolver, self)
            while len(self._pools) > _MOST_POOLS:
                self._pools.popitem(last=False)[1].retire()
        else:
            self._pools.move_to_end(key)
        return pool

    def run(self, closing: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Runs what closes connections, whatever becomes of the call that they were opened for."""
        task = asyncio.get_running_loop().create_task(closing)
        self._closing.add(task)
        task.add_done_callback(self._closed)
        return task

    def _closed(self, task: asyncio.Task[None]) -> None:
        self._closing.discard(task)
        if not task.cancelled():
            task.exception()  # a connection that cannot be closed in order is gone as well

    async def aclose(self) -> None:
        """Closes every connection."""
        pools, self._pools = self._pools, OrderedDict()
        for pool in pools.values():
            pool.retire()
        await asyncio.gather(*self._closing, return_exceptions=True)


class Pool:
    """The connections of one client to one base."""

    def __init__(self, key: PoolKey, resolver: Resolver, pools: ConnectionPools) -> None:
        self._key = key
        self._backend = CheckedBackend(key.reach.rule, resolver)  # kept, for it looks a name up once at a time
        self._pools = pools
        self._slots = asyncio.Semaphore(MOST_CONNECTIONS)
        self._timeouts = 0
        self._connections = self._fresh()

    def _fresh(self) -> "_Connections":
        return _Connections(
            httpcore.AsyncConnectionPool(
                ssl_context=ssl_context_for(self._key.reach.authorities),
                max_connections=None,  # the slots bound them
                max_keepalive_connections=MOST_CONNECTIONS,
                keepalive_expiry=_KEPT_SECONDS,
                network_backend=self._backend,
            )
        )

    async def send(self, request: httpcore.Request) -> httpcore.Response:
        """The response, its body not yet read; it must be closed. Raises what httpcore raises."""
        await self._slots.acquire()
        connections = self._connections
        connections.under_way += 1
        sending = asyncio.get_running_loop().create_task(connections.pool.handle_async_request(request))
        try:
            answer = await asyncio.shield(sending)
        except asyncio.CancelledError:
            self._timed_out()
            sending.cancel()
            self._pools.run(self._abandon(sending, connections))
            raise
        except BaseException as error:
            if isinstance(error, httpcore.TimeoutException):
                self._timed_out()
            self._release(connections)
            raise
        body = _Body(answer, self, connections)
        return httpcore.Response(answer.status, headers=answer.headers, content=body, extensions=answer.extensions)

    def retire(self) -> None:
        """Closes these connections as soon as no request is under way in them; a later request opens new ones."""
        old, self._connections = self._connections, self._fresh()
        old.retired = True
        self._close_if_ended(old)

    async def close(self, answer: httpcore.Response, connections: "_Connections", *, in_time: bool) -> None:
        """Closes a response: its connection is kept where the body was read to its end."""
        if in_time:
            self._timeouts = 0
        else:
            self._timed_out()
        await asyncio.shield(self._pools.run(self._close(answer, connections)))

    async def _abandon(self, sending: "asyncio.Task[httpcore.Response]", connections: "_Connections") -> None:
        try:
            answer = await sending
        except (asyncio.CancelledError, Exception):  # whatever it was, nobody waits for it any more
            self._release(connections)
        else:  # it came at the very moment
            await self._close(answer, connections)

    async def _close(self, answer: httpcore.Response, connections: "_Connections") -> None:
        try:
            await answer.aclose()
        finally:
            self._release(connections)

    def _release(self, connections: "_Connections") -> None:
        self._slots.release()
        connections.under_way -= 1
        self._close_if_ended(connections)

    def _close_if_ended(self, connections: "_Connections") -> None:
        if connections.retired and connections.under_way == 0:
            self._pools.run(connections.pool.aclose())

    def _timed_out(self) -> None:
        self._timeouts += 1
        self._pools.count(self._key.client, self._key.purpose, "timeout")
        if self._timeouts >= TIMEOUTS_TO_REPLACE:
            self._timeouts = 0
            self._pools.count(self._key.client, self._key.purpose, "pool-replaced")
            self.retire()


class _Connections:
    """What is replaced when a server stalls."""

    def __init__(self, pool: httpcore.AsyncConnectionPool) -> None:
        self.pool = pool
        self.under_way = 0
        self.retired = False


class _Body:
    """The body of a response, which frees its place in the pool when it is closed, once."""

    def __init__(self, answer: httpcore.Response, pool: Pool, connections: _Connections) -> None:
        self._answer = answer
        self._pool = pool
        self._connections = connections
        self._is_open = True
        self._in_time = True

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for part in self._answer.aiter_stream():
                yield part
        except (asyncio.CancelledError, httpcore.TimeoutException):
            self._in_time = False
            raise

    async def aclose(self) -> None:
        """Ends the response; its connection is closed even where nobody waits for it."""
        if self._is_open:
            self._is_open = False
            await self._pool.close(self._answer, self._connections, in_time=self._in_time)
