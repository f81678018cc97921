"""Where a call is computed and for how long, so that the calls of one client do not make those of another wait.

A short call is computed on the event loop. Where a client's calls take longer there than their size promised (a chart
of 120 KB can hold texts that take 0.2 s to read), its next ones are computed beside the loop after the third. Calls
take turns: one in each turn of the loop, and one of each client, however many each has sent. A large call would stop
the loop for too long, so it is computed on a thread beside it, one call of each client at a time. Where several clients
call, middling ones are computed there as well: a call comes back to the loop four times (body, token, turn, record),
and each time it would wait for one of the other client's. Threads of Python share one interpreter, so this makes
nothing faster: it lets the loop answer small calls in between. docs/decisions/0009-large-calls.md has the measurements.
"""

import asyncio
import sys
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from math import inf
from time import monotonic, thread_time
from types import TracebackType
from typing import Any, Final, ParamSpec, Self, TypeVar

from cds_hooks.errors import CallTimedOut, Overloaded

LARGE_BYTES: Final = 1024 * 1024
"""From here on a body, or what was fetched for it, is large: a call of this size takes some 10 ms."""
LARGE_ORDER_BYTES: Final = 12 * 1024
"""The same of drafted orders, which are judged beside each other: some 12 to 30 of them."""

MIDDLING_BYTES: Final = 128 * 1024
MIDDLING_ORDER_BYTES: Final = 2 * 1024
"""What is large where other clients call at the same time: 10 drafts beside 100 medications take 20 ms and more."""

_LOOP_SECONDS: Final = 0.05
"""Processor time from which a stage takes too long on the loop: the stages of usual calls take less than 0.01."""
_SLOW_CLIENT_SECONDS: Final = 10.0
"""For how long the calls of a client are computed beside the loop from their beginning."""
_SLOW_TIMES: Final = 3
"""After so many of its calls have taken too long, each within this time of the one before."""

_NEIGHBOUR_SECONDS: Final = 1.0
"""How long ago another client's call may have begun for it to be a neighbor."""

_NO_ANSWER: Final = "No answer within {:g} seconds: no advice is given."
_THREADS: Final = 4
_LOOK_SECONDS: Final = 0.005
"""How often is looked whether the last call has ended, where something waits to be changed."""
PATIENCE_SECONDS: Final = 2.0
"""After so long in a queue, the kernel's included, a small call is answered 503 at once: a clinician does not wait
longer, and an answer that nobody waits for makes the next ones late, too."""
_SWITCH_SECONDS: Final = 0.0005
"""How long the loop waits for the interpreter while a thread computes; Python's default is 0.005."""

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


class Computing:
    """The turns and threads of one server process, used from its event loop."""

    def __init__(self, seconds: float, clock: Callable[[], float] = monotonic) -> None:
        """`seconds` is the time that each call may take."""
        self.seconds = seconds
        self._clock = clock
        self._newest = ""
        self._neighbours_until = 0.0
        self._under_way: dict[str, int] = {}
        """How many calls each client has under way; of a client without one nothing is kept."""
        self._slow: dict[str, tuple[int, float]] = {}
        """How often lately a call of a client took too long, and when the last one did; one entry for each client."""
        self.turns = Turns()
        self._large: dict[str, asyncio.Lock] = {}
        self._gate: asyncio.Event | None = None
        """Is there while something is changed between calls; those that come meanwhile wait for it."""
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="large-call")  # starts none before it is needed
        sys.setswitchinterval(_SWITCH_SECONDS)

    def begin_call(self, client: str) -> None:
        """Count a call that begins; `end_call` must follow."""
        if client != self._newest:
            if self._newest:
                self._neighbours_until = self._clock() + _NEIGHBOUR_SECONDS
            self._newest = client
        self._under_way[client] = self._under_way.get(client, 0) + 1

    def end_call(self, client: str) -> None:
        """Count a call that has ended."""
        remaining = self._under_way.pop(client) - 1
        if remaining:
            self._under_way[client] = remaining

    async def between_calls(self, work: Callable[[], None]) -> None:
        """Do the work when no call is under way, so that none sees it half done; calls that come meanwhile wait.

        Raises:
            TimeoutError: A call did not end in its time, and the work was not done.
        """
        self._gate = gate = asyncio.Event()
        try:
            async with asyncio.timeout(self.seconds + 1):
                while self._under_way or any(turn.locked() for turn in self._large.values()):
                    await asyncio.sleep(_LOOK_SECONDS)
            work()
        finally:
            self._gate = None
            gate.set()

    async def wait_for_gate(self) -> None:
        """Return when nothing is being changed between calls."""
        while self._gate is not None:
            await self._gate.wait()

    def is_large(self, size: int, order_size: int = 0) -> bool:
        """Whether a call of so many bytes, of which `order_size` are drafted orders, is computed beside the loop."""
        if size >= LARGE_BYTES or order_size >= LARGE_ORDER_BYTES:
            return True
        is_middling = size >= MIDDLING_BYTES or order_size >= MIDDLING_ORDER_BYTES
        return is_middling and self._clock() < self._neighbours_until

    def note_slow(self, client: str) -> None:
        """Note that a call of the client took too long on the loop.

        Once or twice is not a sign of its charts: with the first order that is checked a library is loaded, which takes
        0.2 s.
        """
        now = self._clock()
        times, last = self._slow.get(client, (0, -inf))
        self._slow[client] = (times + 1 if now - last < _SLOW_CLIENT_SECONDS else 1, now)

    def is_slow(self, client: str) -> bool:
        """Whether calls of the client took too long on the loop a short time ago."""
        times, last = self._slow.get(client, (0, -inf))
        return times >= _SLOW_TIMES and self._clock() - last < _SLOW_CLIENT_SECONDS

    async def compute_beside_the_loop(self, client: str, work: Callable[[], _Result]) -> _Result:
        """Return what the work returns, which is computed on a thread, one of each client at a time.

        A work that is canceled while it waits for its turn is not begun. One that was begun goes on to its end, and
        the client's next one waits for it.
        """
        turn = self._large.setdefault(client, asyncio.Lock())  # one for each client of the trust file at most
        await turn.acquire()
        begun = asyncio.get_running_loop().run_in_executor(self._threads, work)
        begun.add_done_callback(lambda ended: _release(turn, ended))
        return await asyncio.shield(begun)

    def close(self) -> None:
        """Begins nothing more; what is being computed goes on to its end."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def refuse_late(begun: float) -> None:
    """Refuses a call that has waited since `begun`, by the monotonic clock, for longer than its client does.

    Raises:
        Overloaded: It has.
    """
    if monotonic() - begun > PATIENCE_SECONDS:
        raise Overloaded("The server has more calls than it can answer in time. Send this one again in a second.")


class CallUnderWay:
    """Computes one call, which counts as under way between the beginning and the end of an `async with`.

    Raises:
        CallTimedOut: by the `async with`, when the time of the call is over.
    """

    def __init__(self, computing: Computing, client: str, size: int = 0) -> None:
        """`size` is that of the body in bytes."""
        self._computing, self._client = computing, client
        self._has_turn = False
        self._is_large = computing.is_large(size)

    async def __aenter__(self) -> Self:
        self._time = await asyncio.timeout(self._computing.seconds).__aenter__()
        await self._computing.wait_for_gate()
        self._begun = monotonic()
        self._computing.begin_call(self._client)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._computing.end_call(self._client)
        try:
            await self._time.__aexit__(kind, error, trace)
        except TimeoutError as late:
            raise CallTimedOut(_NO_ANSWER.format(self._computing.seconds)) from late

    async def compute(
        self, work: Callable[_Arguments, _Result], /, *args: _Arguments.args, **kwargs: _Arguments.kwargs
    ) -> _Result:
        """Return what the work returns: of a large call on a thread, of a small one when it has its turn."""
        if self._is_large or self._computing.is_slow(self._client):
            return await self._computing.compute_beside_the_loop(self._client, partial(work, *args, **kwargs))
        if not self._has_turn:
            await self._computing.turns.wait(self._client)
            refuse_late(self._begun)
            self._has_turn = True
        begun = thread_time()
        result = work(*args, **kwargs)
        if thread_time() - begun > _LOOP_SECONDS:
            self._computing.note_slow(self._client)
        return result

    def has_waited(self) -> None:
        """Note that the call has waited for something, so that others may have their turn before it goes on."""
        self._has_turn = False
        self._begun = inf  # what was computed so far is not thrown away

    def weigh(self, size: int, order_size: int) -> None:
        """Note how many bytes were fetched for the call, and how many bytes its orders are."""
        self._is_large = self._is_large or self._computing.is_large(size, order_size)


def _release(turn: asyncio.Lock, ended: "asyncio.Future[Any]") -> None:
    turn.release()
    if not ended.cancelled():
        ended.exception()  # whoever waited may have gone; asyncio would report that nobody looked


class Turns:
    """Lets one small call go on in each turn of the event loop, the clients one after the other.

    Between two calls the loop takes new connections, reads what came and answers probes, however many calls a client
    has sent at once. With all that arrived computed in one turn, a burst of twice the capacity made everybody wait for
    2 s in the kernel's queue (`python -m benchmarks.rate --rate 500`).
    """

    def __init__(self) -> None:
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        """In the order in which the clients have their turns."""
        self._is_running = False

    async def wait(self, client: str) -> None:
        """Return when it is this call's turn: at once where no call had this turn of the loop."""
        loop = asyncio.get_running_loop()
        if not self._is_running:
            self._is_running = True
            loop.call_soon(self._next, loop)
            return
        turn = loop.create_future()
        self._waiting.setdefault(client, deque()).append(turn)
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
