"""Where a call is computed and for how long, so that the calls of one client do not make those of another wait.

A short call is computed on the event loop. Where several clients have calls under way they take turns: one call each,
however many each has sent. A large call would stop the loop for too long, so it is computed on a thread beside it, one
call of each client at a time. Where several clients call, middling ones are computed there as well: a call comes back
to the loop four times (body, token, turn, record), and each time it would wait for one of the other client's. Threads
of Python share one interpreter, so this makes nothing faster: it lets the loop answer small calls in between.
docs/decisions/0009-large-calls.md has the measurements.

The time that a call, or the arrival of its body, may take is watched by one timer for all that is under way:
`asyncio.timeout` does the same with a timer for each, which takes 6.4 instead of 1.5 µs, twice a call
(docs/decisions/0006-hot-path.md).
"""

import asyncio
import sys
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from types import TracebackType
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from cds_hooks.services._model import Predict
from models_onnx.serving.runtime import Model, Prediction

LARGE_BYTES: Final = 1024 * 1024
"""From here on a body, or what was fetched for it, is large: a call of this size takes some 10 ms."""
LARGE_ORDER_BYTES: Final = 12 * 1024
"""The same of drafted orders, which are judged beside each other: some 12 to 30 of them."""

MIDDLING_BYTES: Final = 128 * 1024
MIDDLING_ORDER_BYTES: Final = 2 * 1024
"""What is large where other clients call at the same time: 10 drafts beside 100 medications take 20 ms and more."""

_NEIGHBOUR_SECONDS: Final = 1.0
"""How long ago another client's call may have begun for it to be a neighbour."""

_THREADS: Final = 4
_SWITCH_SECONDS: Final = 0.0005
"""How long the loop waits for the interpreter while a thread computes; Python's default is 0.005."""

_Answer = TypeVar("_Answer")


class Deadlines:
    """Gives each of many the same time, in one event loop at a time."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._under_way: dict[Deadline, None] = {}
        """In the order in which they began, which is that in which they end."""

    def start(self) -> "Deadline":
        """Begins with `with` and ends with it.

        Raises:
            TimeoutError: by the `with`, when its time is over; what it waited for is cancelled.
        """
        return Deadline(self)

    def begin(self, deadline: "Deadline", loop: asyncio.AbstractEventLoop) -> float:
        """Watches it; the end of its time by the clock of the loop."""
        if loop is not self._loop:
            self._loop, self._timer = loop, None
            self._under_way.clear()
        ends = loop.time() + self._seconds
        self._under_way[deadline] = None
        if self._timer is None:
            self._timer = loop.call_at(ends, self._look, loop)
        return ends

    def end(self, deadline: "Deadline") -> None:
        """Watches it no more."""
        self._under_way.pop(deadline, None)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        for deadline in list(self._under_way):
            if deadline.ends > loop.time():
                self._timer = loop.call_at(deadline.ends, self._look, loop)
                return
            self.end(deadline)
            deadline.expire()


class Deadline:
    """The time of one task."""

    __slots__ = ("_among", "_cancelling", "_task", "ends", "expired")

    def __init__(self, among: Deadlines) -> None:
        self._among = among
        self.expired = False

    def __enter__(self) -> "Deadline":
        task: asyncio.Task[Any] | None = asyncio.current_task()
        if task is None:
            raise RuntimeError("a deadline is for a task")
        self._task = task
        self._cancelling = task.cancelling()
        self.ends = self._among.begin(self, task.get_loop())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.expired:
            self._among.end(self)
        elif self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            # cancelled by this deadline and by nobody else
            raise TimeoutError from error

    def expire(self) -> None:
        """Cancels the task."""
        self.expired = True
        self._task.cancel()


class Computing:
    """The turns and threads of one server process, used from its event loop."""

    def __init__(self, predict: Predict, seconds: float, clock: Callable[[], float] = monotonic) -> None:
        """`predict` runs a model for calls on the event loop; `seconds` is the time that each call may take."""
        self._predict = predict
        self._clock = clock
        self._newest = ""
        self._neighbours_until = 0.0
        self._deadlines = Deadlines(seconds)
        self._under_way: dict[str, int] = {}
        """How many calls each client has under way; of a client without one nothing is kept."""
        self._turns = _Turns()
        self._large: dict[str, asyncio.Lock] = {}
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="large-call")  # starts none before it is needed
        sys.setswitchinterval(_SWITCH_SECONDS)

    def call_of(self, client: str) -> "CallUnderWay":
        """Counts a call of this client as under way and gives it its time; the `with` raises TimeoutError after it."""
        return CallUnderWay(self._deadlines, self, client)

    def begin_call(self, client: str) -> None:
        """Counts a call that begins; `end_call` must follow."""
        if client != self._newest:
            if self._newest:
                self._neighbours_until = self._clock() + _NEIGHBOUR_SECONDS
            self._newest = client
        self._under_way[client] = self._under_way.get(client, 0) + 1

    def end_call(self, client: str) -> None:
        """Counts a call that has ended."""
        left = self._under_way.pop(client) - 1
        if left:
            self._under_way[client] = left

    def is_large(self, size: int, order_size: int = 0) -> bool:
        """Whether a call of so many bytes, of which `order_size` are drafted orders, is computed beside the loop."""
        if size >= LARGE_BYTES or order_size >= LARGE_ORDER_BYTES:
            return True
        is_middling = size >= MIDDLING_BYTES or order_size >= MIDDLING_ORDER_BYTES
        return is_middling and self._clock() < self._neighbours_until

    async def compute(
        self, client: str, work: Callable[[Predict], Awaitable[_Answer]], *, is_large: bool, goes_on: bool = False
    ) -> _Answer:
        """What `work` gives back, which is handed a function that runs a model.

        `goes_on`: the call had its turn just now, and has waited for nothing since.

        A large work that is cancelled while it waits for its turn is not begun. One that was begun goes on to its end,
        and the client's next one waits for it.
        """
        if is_large:
            return await self._beside_the_loop(client, work)
        if len(self._under_way) > 1 and not goes_on:
            await self._turns.wait(client)
        return await work(self._predict)

    async def _beside_the_loop(self, client: str, work: Callable[[Predict], Awaitable[_Answer]]) -> _Answer:
        turn = self._large.setdefault(client, asyncio.Lock())  # one for each client of the trust file at most
        await turn.acquire()
        begun = asyncio.get_running_loop().run_in_executor(self._threads, _run, work)
        begun.add_done_callback(lambda ended: _release(turn, ended))
        return await asyncio.shield(begun)

    def close(self) -> None:
        """Begins nothing more; what is being computed goes on to its end."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class CallUnderWay(Deadline):
    """The time of a call, which counts as under way meanwhile."""

    __slots__ = ("_client", "_computing")

    def __init__(self, among: Deadlines, computing: Computing, client: str) -> None:
        super().__init__(among)
        self._computing, self._client = computing, client

    def __enter__(self) -> "CallUnderWay":
        super().__enter__()
        self._computing.begin_call(self._client)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._computing.end_call(self._client)
        super().__exit__(kind, error, trace)


class _OwnLoop:
    """The event loop of one thread, kept from work to work: to make one takes longer than many a work."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()

    def __del__(self) -> None:
        self.loop.close()


_of_thread = threading.local()


def _run(work: Callable[[Predict], Awaitable[_Answer]]) -> _Answer:
    async def awaited() -> _Answer:
        return await work(_predict_alone)

    own: _OwnLoop | None = getattr(_of_thread, "own", None)
    if own is None:
        own = _of_thread.own = _OwnLoop()
    return own.loop.run_until_complete(awaited())


async def _predict_alone(model: Model, values: NDArray[np.float64]) -> Prediction:
    """For a thread: what the calls of one turn of the event loop have in common is collected there."""
    return model.predict(values)


def _release(turn: asyncio.Lock, ended: "asyncio.Future[Any]") -> None:
    turn.release()
    if not ended.cancelled():
        ended.exception()  # whoever waited may have gone; asyncio would report that nobody looked


class _Turns:
    """Lets one waiting call go on in each turn of the event loop, the clients one after the other."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        """In the order in which the clients have their turns."""
        self._is_running = False

    async def wait(self, client: str) -> None:
        """Returns when it is this call's turn."""
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        self._waiting.setdefault(client, deque()).append(turn)
        if not self._is_running:
            self._is_running = True
            loop.call_soon(self._next, loop)
        await turn

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._waiting:
            client = next(iter(self._waiting))
            calls = self._waiting.pop(client)
            turn = calls.popleft()
            if calls:
                self._waiting[client] = calls  # at the end now
            if not turn.done():
                turn.set_result(None)
                loop.call_soon(self._next, loop)  # after the call that goes on now
                return
        self._is_running = False
