"""How long a computation may take in one piece, looked at where it is about to read a text or to judge an order.

What computes on an event loop stops everything else there. A caller that sets a limit is told by `TimeIsOver`, at a
place where nothing is half done, and may compute the same again on a thread. Without a limit a look costs 50 ns.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import Final, NamedTuple


class TimeIsOver(BaseException):
    """The limit has passed. No `Exception`: whoever answers a failure of one part does not answer this."""


class _Limit(NamedTuple):
    clock: Callable[[], float]
    end: float


_LIMIT: Final[ContextVar[_Limit | None]] = ContextVar("time_limit", default=None)


def begin_limit(seconds: float, clock: Callable[[], float]) -> "Token[_Limit | None]":
    """What is computed from here on may take so long by this clock; `end_limit` must follow."""
    return _LIMIT.set(_Limit(clock, clock() + seconds))


def end_limit(begun: "Token[_Limit | None]") -> None:
    """End the limit that `begin_limit` has set."""
    _LIMIT.reset(begun)


@contextmanager
def time_limit(seconds: float, clock: Callable[[], float]) -> Iterator[None]:
    """What is computed inside may take so long by this clock."""
    begun = begin_limit(seconds, clock)
    try:
        yield
    finally:
        end_limit(begun)


def lift_time_limit() -> None:
    """From here on there is no limit: what has been given away cannot be computed again."""
    _LIMIT.set(None)


def check_time() -> None:
    """TimeIsOver where there is a limit and it has passed."""
    limit = _LIMIT.get()
    if limit is not None and limit.clock() > limit.end:
        raise TimeIsOver
