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

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Count how deep definitions and functions are inside each other, and each as a step."""
        self._depth += 1
        try:
            if self._depth > _DEEPEST:
                raise LimitExceeded(f"More than {_DEEPEST} definitions and functions are inside each other.")
            self.spend(1)
            yield
        finally:
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
