"""How long a computation may take in one piece, looked at where it is about to read a text or to judge an order.

What computes on an event loop stops everything else there. A caller that sets a limit is told by `TimeIsOver`, at a
place where nothing is half done, and may compute the same again on a thread. A look costs 50 ns without a limit and
some 150 with one: processor time, which takes 550 to ask for, is asked for only when as much has passed by the clock.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from time import monotonic
from typing import Final, NamedTuple


class TimeIsOver(BaseException):
    """The limit has passed. No `Exception`: whoever answers a failure of one part does not answer this."""


class _Limit(NamedTuple):
    clock: Callable[[], float]
    end: float
    not_before: float
    """The monotonic time before which it cannot have passed."""

    def is_over(self) -> bool:
        """Whether it has passed."""
        return monotonic() > self.not_before and self.clock() > self.end


class BegunLimit(NamedTuple):
    """A limit that was set, and what gives back the one before it."""

    limit: _Limit
    token: "Token[_Limit | None]"


_LIMIT: Final[ContextVar[_Limit | None]] = ContextVar("time_limit", default=None)


def begin_limit(seconds: float, clock: Callable[[], float]) -> BegunLimit:
    """Limit what is computed from here on to so long by this clock, which runs no faster than time; see `end_limit`."""
    limit = _Limit(clock, clock() + seconds, monotonic() + seconds)
    return BegunLimit(limit, _LIMIT.set(limit))


def end_limit(begun: BegunLimit) -> bool:
    """End the limit that `begin_limit` has set, and return whether it has passed."""
    _LIMIT.reset(begun.token)
    return begun.limit.is_over()


@contextmanager
def time_limit(seconds: float, clock: Callable[[], float]) -> Iterator[None]:
    """Yield what is computed inside may take so long by this clock."""
    begun = begin_limit(seconds, clock)
    try:
        yield
    finally:
        end_limit(begun)


def check_time() -> None:
    """TimeIsOver where there is a limit and it has passed."""
    limit = _LIMIT.get()
    if limit is not None and limit.is_over():
        raise TimeIsOver
