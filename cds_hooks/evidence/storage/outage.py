"""What a store does after its database did not answer: it refuses at once until a probe finds the database again.

Without this each call would wait for the time-out of its own, which is longer than its client waits.
"""

import asyncio
import select
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sqlalchemy import URL

from cds_hooks.evidence.storage.database import noticing_loss

if TYPE_CHECKING:
    from psycopg import AsyncConnection

_Result = TypeVar("_Result")

_PROBE_EVERY_SECONDS: Final = 1.0
_PROBE_SECONDS: Final = 5.0


class Outage:
    """Whether a database is known to be away; used from one event loop."""

    def __init__(self, probe: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """`probe` returns where the database can be used, and raises where it cannot."""
        self._probe = probe
        self._task: asyncio.Task[None] | None = None

    @property
    def is_on(self) -> bool:
        """Whether calls are refused at once."""
        return self._task is not None

    def begin(self) -> None:
        """Begin to probe; the outage is over when a probe succeeds."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._probe_until_it_succeeds())

    def end(self) -> None:
        """Probe no more."""
        if self._task is not None:
            self._task.cancel()

    async def _probe_until_it_succeeds(self) -> None:
        try:
            while True:
                await asyncio.sleep(_PROBE_EVERY_SECONDS)
                with suppress(Exception):  # whatever it is, the database is still away
                    return await within(_PROBE_SECONDS, self._probe())
        finally:
            self._task = None


async def within(seconds: float, work: Coroutine[Any, Any, _Result]) -> _Result:
    """Return what the work returns, in these seconds or never.

    A query that is canceled asks its database to end it and waits up to 5 s for that. Nobody else waits with it: it
    ends beside the callers, and closes its connection itself.

    Raises:
        TimeoutError: It takes longer.
    """
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        task.cancel()
        raise
    if done:
        return task.result()
    task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
    task.cancel()
    raise TimeoutError


def _has_news(descriptor: int) -> bool:
    """Return whether bytes, or the end of the connection, have arrived at a socket and were not read yet."""
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN)
    return bool(waiting.poll(0))


class KeptConnection:
    """A connection to PostgreSQL that is kept between its uses and given up after a failure.

    One that the database or the network ended meanwhile, as in a restart at night, is not used: no call fails for it.
    """

    def __init__(self, url: URL, prepare: "Callable[[AsyncConnection], Awaitable[None]]") -> None:
        """`prepare` is awaited with each connection that is opened, which is when one is used and none is kept."""
        self._address = noticing_loss(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._prepare = prepare
        self._kept: AsyncConnection | None = None

    @asynccontextmanager
    async def use(self) -> "AsyncIterator[AsyncConnection]":
        """Take the connection, or open one where none is kept or another use has it."""
        import psycopg  # comes with the extra `postgres` only

        kept, self._kept = self._kept, None
        if kept is not None and _has_news(kept.fileno()):
            await kept.close()
            kept = None
        connection = kept or await psycopg.AsyncConnection.connect(self._address, autocommit=True)
        try:
            if kept is None:
                await self._prepare(connection)
            yield connection
        except BaseException:  # also where time is over: what the connection is in the middle of is not known
            await connection.close()
            raise
        surplus, self._kept = self._kept, connection
        if surplus is not None:
            await surplus.close()

    async def aclose(self) -> None:
        """Close what is kept."""
        if self._kept is not None:
            await self._kept.close()
