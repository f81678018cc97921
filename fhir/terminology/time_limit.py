"""How long a computation may take in one piece, looked at where it is about to read a text or to judge an order.

What computes on an event loop stops everything else there. A caller that sets a limit is told by `TimeIsOver`, at a
place where nothing is half done, and may compute the same again on a thread. A look costs 50 ns without a limit and
some 150 with one: processor time, which takes 550 to ask for, is asked for only when as much has passed by the clock.
"""

from collections.abc import Callable
from contextvars import ContextVar
from time import monotonic
from typing import Final


class TimeIsOver(BaseException):
    """The limit has passed. No `Exception`: whoever answers a failure of one part does not answer this."""


class TimeLimit:
    """Limits what is computed inside a `with` to so long by a clock, which runs no faster than time.

    What is stopped there goes on behind the `with`. `note` is called at its end where the time is over, stopped or not.
    """

    def __init__(self, seconds: float, clock: Callable[[], float], note: Callable[[], None] | None = None) -> None:
        self._clock, self._note = clock, note
        self._end = clock() + seconds
        self._not_before = monotonic() + seconds  # it cannot have passed earlier

    def __enter__(self) -> None:
        self._token = _LIMIT.set(self)

    def __exit__(self, kind: object, *error: object) -> bool:
        _LIMIT.reset(self._token)
        if self._note is not None and self.is_over():
            self._note()
        return kind is TimeIsOver

    def is_over(self) -> bool:
        """Whether it has passed."""
        return monotonic() > self._not_before and self._clock() > self._end


_LIMIT: Final[ContextVar[TimeLimit | None]] = ContextVar("time_limit", default=None)


def check_time() -> None:
    """TimeIsOver where there is a limit and it has passed."""
    limit = _LIMIT.get()
    if limit is not None and limit.is_over():
        raise TimeIsOver
