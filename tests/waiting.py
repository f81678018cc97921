"""Waits for a fact: the deadline is one that only a server that hangs misses, however busy the machine is."""

import asyncio
from collections.abc import Callable
from time import monotonic, sleep
from typing import Final

MOST_SECONDS: Final = 180.0
_NOT_YET: Final = "it did not become so in time"


def until(holds: Callable[[], object], what: object = _NOT_YET) -> None:
    """Return as soon as it holds.

    Raises:
        AssertionError: It never did; `what` says what was waited for.
    """
    end = monotonic() + MOST_SECONDS
    while not holds():
        assert monotonic() < end, what
        sleep(0.02)


async def until_async(holds: Callable[[], object], what: object = _NOT_YET) -> None:
    """Return as soon as it holds; the event loop goes on meanwhile."""
    end = monotonic() + MOST_SECONDS
    while not holds():
        assert monotonic() < end, what
        await asyncio.sleep(0.01)
