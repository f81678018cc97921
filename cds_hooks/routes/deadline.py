"""Ends waits that take too long, with one timer for all of them: a timer for each call costs 2 µs, an entry 0.5."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

Result = TypeVar("Result")


class Overdue(Exception):
    """The wait was not over in time."""


class Deadline:
    """At most `seconds` for each wait; looked at four times in that time, at least once a second."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._every = min(1.0, seconds / 4)
        self._until: dict[asyncio.Task[object], float] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    async def wait_for(self, what: Awaitable[Result]) -> Result:
        """What is awaited; Overdue when it takes too long. It runs in the task that waits."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop = loop
            loop.call_later(self._every, self._look, loop)
        self._until[task] = loop.time() + self._seconds
        try:
            return await what
        except asyncio.CancelledError:
            if task in self._until:  # somebody else's wish: the server stops
                raise
            task.uncancel()
            raise Overdue from None
        finally:
            self._until.pop(task, None)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for task, until in list(self._until.items()):
            if until > now:
                break  # they stand in the order of their time
            del self._until[task]
            task.cancel()
        if self._until:
            loop.call_later(self._every, self._look, loop)
        else:
            self._loop = None
