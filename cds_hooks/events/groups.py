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
        self._places = asyncio.Semaphore(most)
        self._queue: deque[_Waiting] = deque()
        self._task: asyncio.Task[None] | None = None

    @property
    def depth(self) -> int:
        """How many messages wait."""
        return sum(len(waiting.messages) for waiting in self._queue)

    async def take(self, messages: list[Incoming]) -> list[Taken]:
        """Return what became of the messages when they are on the disk."""
        async with self._places:
            waiting = _Waiting(messages, asyncio.get_running_loop().create_future())
            self._queue.append(waiting)
            if self._task is None or self._task.done():
                self._task = asyncio.create_task(self._store())
            return await waiting.future

    async def _store(self) -> None:
        while self._queue:
            group = [self._queue.popleft() for _ in range(min(len(self._queue), _MOST_IN_A_GROUP))]
            messages = [message for waiting in group for message in waiting.messages]
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
