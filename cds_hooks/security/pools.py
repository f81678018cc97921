"""Connections to FHIR servers and key sets: a pool for each client and base.

So a server that stalls affects no other.

Three rules keep a server that stalls from blocking requests to other servers:

- Connections are counted here and not in httpcore, so a request never waits in httpcore's queue. A request that is
  cancelled in that queue while a connection is assigned to it leaves a connection behind that is never used and never
  removed (measured on 20 November 2026: after 40 calls to a stalled server all 100 were lost).
- Each request runs in its own task. A caller that stops waiting cancels this task once and leaves; a second
  cancellation does not interrupt the closing of the connection.
- A pool in which several requests in a row time out is replaced by a new one; the old one is closed as soon as its
  running requests have ended. Until a response has come in time, the new one opens few connections at the same time:
  each that is opened and cut takes some milliseconds of the event loop, which other clients' calls wait for.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Coroutine
from typing import Any, Final, NamedTuple

import httpcore

from cds_hooks.security.connections import CheckedBackend, ssl_context_for
from cds_hooks.security.fhir_base import CountOutbound, PoolKey, Resolver

MOST_CONNECTIONS: Final = 100
"""Most connections for one client and base; further requests wait within their own deadline."""
TIMEOUTS_TO_REPLACE: Final = 8
MOST_WHILE_STALLED: Final = 4
"""Most connections at the same time to a base that has answered nothing since its pool was replaced."""
_MOST_POOLS: Final = 512
_KEPT_SECONDS: Final = 30.0


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
        """Returns the pool of this key."""
        pool = self._pools.get(key)
        if pool is None:
            pool = self._pools[key] = Pool(key, self._resolver, self)
            while len(self._pools) > _MOST_POOLS:
                self._pools.popitem(last=False)[1].retire()
        else:
            self._pools.move_to_end(key)
        return pool

    def run(self, closing: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Runs a task that closes connections, independent of the call for which they were opened."""
        task = asyncio.get_running_loop().create_task(closing)
        self._closing.add(task)
        task.add_done_callback(self._closed)
        return task

    def _closed(self, task: asyncio.Task[None]) -> None:
        self._closing.discard(task)
        if not task.cancelled():
            task.exception()  # a connection that cannot be closed properly is unusable too

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
        # kept when the connections are replaced: to make one takes some 50 ms of the event loop
        self._context = ssl_context_for(key.reach.authorities) if key.base.startswith("https:") else None
        self._backend = CheckedBackend(key.reach.rule, resolver)  # kept, because it shares the lookups of a name
        self._pools = pools
        self._slots = asyncio.Semaphore(MOST_CONNECTIONS)
        self._few_slots = asyncio.Semaphore(MOST_WHILE_STALLED)
        self._timeouts = 0
        self._is_stalled = False
        self._connections = self._fresh()

    def _fresh(self) -> "_Connections":
        return _Connections(
            httpcore.AsyncConnectionPool(
                ssl_context=self._context,
                max_connections=None,  # limited by the slots
                max_keepalive_connections=MOST_CONNECTIONS,
                keepalive_expiry=_KEPT_SECONDS,
                network_backend=self._backend,
            )
        )

    async def send(self, request: httpcore.Request) -> httpcore.Response:
        """Returns the response with its body not yet read; it must be closed. Raises the exceptions of httpcore."""
        slots = self._few_slots if self._is_stalled else self._slots
        await slots.acquire()
        connections = self._connections
        connections.under_way += 1
        Place = _Place(connections, slots)
        sending = asyncio.get_running_loop().create_task(connections.pool.handle_async_request(request))
        try:
            answer = await asyncio.shield(sending)
        except asyncio.CancelledError:
            self._timed_out()
            sending.cancel()
            self._pools.run(self._abandon(sending, Place))
            raise
        except BaseException as error:
            if isinstance(error, httpcore.TimeoutException):
                self._timed_out()
            self._release(Place)
            raise
        body = _Body(answer, self, Place)
        return httpcore.Response(answer.status, headers=answer.headers, content=body, extensions=answer.extensions)

    def retire(self) -> None:
        """Replaces the connections: the old ones are closed as soon as their running requests have ended."""
        old, self._connections = self._connections, self._fresh()
        old.retired = True
        self._close_if_ended(old)

    async def close(self, answer: httpcore.Response, claim: "_Place", *, in_time: bool) -> None:
        """Closes a response; its connection is kept for reuse if the body was read to its end."""
        if in_time:
            self._timeouts = 0
            self._is_stalled = False
        else:
            self._timed_out()
        await asyncio.shield(self._pools.run(self._close(answer, claim)))

    async def _abandon(self, sending: "asyncio.Task[httpcore.Response]", claim: "_Place") -> None:
        try:
            answer = await sending
        except (asyncio.CancelledError, Exception):  # no caller waits for the result any more
            self._release(claim)
        else:  # the response arrived while the request was being cancelled
            await self._close(answer, claim)

    async def _close(self, answer: httpcore.Response, claim: "_Place") -> None:
        try:
            await answer.aclose()
        finally:
            self._release(claim)

    def _release(self, claim: "_Place") -> None:
        claim.slots.release()
        claim.connections.under_way -= 1
        self._close_if_ended(claim.connections)

    def _close_if_ended(self, connections: "_Connections") -> None:
        if connections.retired and connections.under_way == 0:
            self._pools.run(connections.pool.aclose())

    def _timed_out(self) -> None:
        self._timeouts += 1
        self._pools.count(self._key.client, self._key.purpose, "timeout")
        if self._timeouts >= TIMEOUTS_TO_REPLACE:
            self._timeouts = 0
            self._is_stalled = True
            self._pools.count(self._key.client, self._key.purpose, "pool-replaced")
            self.retire()


class _Connections:
    """The connections that are replaced together when a server stalls."""

    def __init__(self, pool: httpcore.AsyncConnectionPool) -> None:
        self.pool = pool
        self.under_way = 0
        self.retired = False


class _Place(NamedTuple):
    """What one request occupies until its response is closed."""

    connections: _Connections
    slots: asyncio.Semaphore


class _Body:
    """The body of a response; closing it releases the pool's slot, once."""

    def __init__(self, answer: httpcore.Response, pool: Pool, claim: _Place) -> None:
        self._answer = answer
        self._pool = pool
        self._place = claim
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
        """Ends the response; its connection is closed even if nothing waits for it."""
        if self._is_open:
            self._is_open = False
            await self._pool.close(self._answer, self._place, in_time=self._in_time)
