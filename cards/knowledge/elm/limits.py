"""Counts what an evaluation does, so that it ends: steps first, which are the same each time, then seconds."""

import time
from contextvars import ContextVar, Token
from typing import Final

from cards.knowledge.elm.errors import LimitExceeded

_MOST_STEPS: Final = 50_000
_MOST_SECONDS: Final = 1.0
_LONGEST_TEXT: Final = 100_000


class Budget:
    """What is left of the steps and the time of one evaluation; what runs in its `with` block counts against it."""

    def __init__(self) -> None:
        self.steps = _MOST_STEPS
        self.until = time.thread_time() + _MOST_SECONDS
        self._tokens: list[Token[Budget | None]] = []

    def __enter__(self) -> None:
        self._tokens.append(_CURRENT.set(self))

    def __exit__(self, *_error: object) -> None:
        _CURRENT.reset(self._tokens.pop())


_CURRENT: Final[ContextVar[Budget | None]] = ContextVar("budget of the evaluation", default=None)


def spend(count: int) -> None:
    """Count steps of the evaluation that is running.

    Raises:
        LimitExceeded: there were too many, or they took too long.
    """
    budget = _CURRENT.get()
    if budget is None:  # a library is being compiled
        return
    before, budget.steps = budget.steps, budget.steps - count
    if budget.steps < 0:
        raise LimitExceeded("The evaluation took more steps than it may.")
    if before >> 6 != budget.steps >> 6 and time.thread_time() > budget.until:  # the clock is read every 64 steps
        raise LimitExceeded(f"The evaluation took more than {_MOST_SECONDS} s of processor time.")


def check_length(length: int) -> None:
    """Raise LimitExceeded where a text would be too long, before it is made."""
    if length > _LONGEST_TEXT:
        raise LimitExceeded(f"A text is longer than {_LONGEST_TEXT} characters.")
