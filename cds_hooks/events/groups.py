"""Stores messages in groups: what arrives while one group is committed is the next one, within a bounded queue."""

import asyncio
from collections import deque

from msgspec import Struct

from cds_hooks.events.inbox import Inbox, Incoming, Taken

_MOST_IN_A_GROUP = 200


class _Waiting(Struct):
    messages: list[Incoming]
    future: "asyncio.Future[list[Taken]]"


class Groups:
    """The way of all feeds into the inbox of this process."""

    def __init__(self, inbox: Inbox, most: int) -> None:
        """`most` messages wait at the same time; beyond it `take` waits before it queues, and so does the sender."""
        self._inbox = inbox
        self._most, self._places, self._entering = most, asyncio.Semaphore(most), asyncio.Lock()
        self._queue: deque[_Waiting] = deque()
        self._task: asyncio.Task[None] | None = None

    @property
    def depth(self) -> int:
        """How many messages wait."""
        return sum(len(waiting.messages) for waiting in self._queue)

    async def take(self, messages: list[Incoming]) -> list[Taken]:
        """Return what became of the messages when they are on the disk."""
        places, held = min(len(messages), self._most), 0
        try:
            async with self._entering:  # two that wait for places do not hold some of them meanwhile
                while held < places:
                    await self._places.acquire()
                    held += 1
            waiting = _Waiting(messages, asyncio.get_running_loop().create_future())
            self._queue.append(waiting)
            if self._task is None or self._task.done():
                self._task = asyncio.create_task(self._store())
            return await waiting.future
        finally:
            for _ in range(held):
                self._places.release()

    async def _store(self) -> None:
        while self._queue:
            group: list[_Waiting] = []
            messages: list[Incoming] = []
            while self._queue and len(messages) < _MOST_IN_A_GROUP:
                group.append(self._queue.popleft())
                messages += group[-1].messages
            try:
                outcomes = await asyncio.to_thread(self._inbox.take, messages)
            except Exception as error:
                for waiting in group:
                    if not waiting.future.done():
                        waiting.future.set_exception(error)
                continue
            start = 0
            for waiting in group:
                if not waiting.future.done():
                    waiting.future.set_result(outcomes[start : start + len(waiting.messages)])
                start += len(waiting.messages)
