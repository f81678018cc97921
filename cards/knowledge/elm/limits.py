"""Counts what an evaluation does, so that it ends: steps first, which are the same each time, then seconds."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from cards.knowledge.elm.errors import LimitExceeded

MOST_STEPS: Final = 50_000
MOST_SECONDS: Final = 1.0
_DEEPEST: Final = 200


class Budget:
    """What is left of the steps and the time of one evaluation."""

    __slots__ = ("_depth", "_until", "steps")

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self._depth = 0
        self._until = time.monotonic() + MOST_SECONDS

    def spend(self, count: int) -> None:
        """Count steps.

        Raises:
            LimitExceeded: there were too many, or they took too long.
        """
        self.steps -= count
        if self.steps < 0:
            raise LimitExceeded("The evaluation took more steps than it may.")
        if not self.steps & 63 and time.monotonic() > self._until:
            raise LimitExceeded(f"The evaluation took longer than {MOST_SECONDS} s.")

    def enter(self) -> None:
        """Count one more definition or function inside the others, and a step; `leave` follows in any case.

        Raises:
            LimitExceeded: too many are inside each other, or there were too many steps.
        """
        self._depth += 1
        if self._depth > _DEEPEST:
            raise LimitExceeded(f"More than {_DEEPEST} definitions and functions are inside each other.")
        self.spend(1)

    def leave(self) -> None:
        """Count one definition or function less."""
        self._depth -= 1


_CURRENT: Final[ContextVar[Budget | None]] = ContextVar("budget of the evaluation", default=None)


def spend(count: int) -> None:
    """Count steps of the evaluation that is running; where none is, a library is being compiled.

    Raises:
        LimitExceeded: there were too many, or they took too long.
    """
    budget = _CURRENT.get()
    if budget is not None:
        budget.spend(count)


@contextmanager
def spending(budget: Budget) -> Iterator[None]:
    """Count the steps of what runs in the `with` block against a budget."""
    token = _CURRENT.set(budget)
    try:
        yield
    finally:
        _CURRENT.reset(token)
