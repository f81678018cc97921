"""Counts what an evaluation does, so that it ends: steps first, which are the same each time, then seconds."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from cards.knowledge.elm.errors import LimitExceeded

_MOST_STEPS: Final = 50_000
_MOST_SECONDS: Final = 1.0
_DEEPEST: Final = 200
_LONGEST_TEXT: Final = 100_000


class Budget:
    """What is left of the steps and the time of one evaluation."""

    __slots__ = ("_depth", "_steps", "_until")

    def __init__(self) -> None:
        self._steps = _MOST_STEPS
        self._depth = 0
        self._until = time.thread_time() + _MOST_SECONDS

    def spend(self, count: int) -> None:
        """Count steps.

        Raises:
            LimitExceeded: there were too many, or they took too long.
        """
        before, self._steps = self._steps, self._steps - count
        if self._steps < 0:
            raise LimitExceeded("The evaluation took more steps than it may.")
        if before >> 6 != self._steps >> 6 and time.thread_time() > self._until:  # the clock is read every 64 steps
            raise LimitExceeded(f"The evaluation took more than {_MOST_SECONDS} s of processor time.")

    def enter(self) -> None:
        """Count a step, and one more definition or function inside the others; `leave` follows."""
        self.spend(1)
        if self._depth == _DEEPEST:
            raise LimitExceeded(f"More than {_DEEPEST} definitions and functions are inside each other.")
        self._depth += 1

    def leave(self) -> None:
        """Count one definition or function less."""
        self._depth -= 1


_CURRENT: Final[ContextVar[Budget | None]] = ContextVar("budget of the evaluation", default=None)


def current_budget() -> Budget:
    """Return the budget of the evaluation that is running; where none is, a library is being compiled."""
    return _CURRENT.get() or Budget()


def spend(count: int) -> None:
    """Count steps of the evaluation that is running.

    Raises:
        LimitExceeded: there were too many, or they took too long.
    """
    current_budget().spend(count)


def check_length(length: int) -> None:
    """Check how long a text would be before it is made.

    Raises:
        LimitExceeded: it would be too long.
    """
    if length > _LONGEST_TEXT:
        raise LimitExceeded(f"A text is longer than {_LONGEST_TEXT} characters.")


@contextmanager
def spending(budget: Budget) -> Iterator[None]:
    """Count the steps of what runs in the `with` block against a budget."""
    token = _CURRENT.set(budget)
    try:
        yield
    finally:
        _CURRENT.reset(token)
