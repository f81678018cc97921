"""What a store does after its database did not answer: it refuses at once until a probe finds the database again.

Without this each call would wait for the time-out of its own, which is longer than its client waits.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

_PROBE_EVERY_SECONDS: Final = 1.0
_PROBE_SECONDS: Final = 5.0


class Outage:
    """Whether a database is known to be away; used from one event loop."""

    def __init__(self, probe: Callable[[], Awaitable[None]]) -> None:
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
                    async with asyncio.timeout(_PROBE_SECONDS):
                        return await self._probe()
        finally:
            self._task = None
