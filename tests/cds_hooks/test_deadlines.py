"""One timer for all deadlines: what is late is cancelled with a TimeoutError, and nothing else is."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from cds_hooks.deadlines import Deadlines

_FOREVER = 60.0
_SOON = 0.01


async def _wait(deadlines: Deadlines, seconds: float) -> str:
    with deadlines.start():
        await asyncio.sleep(seconds)
    return "in time"


async def _outcome(waiting: Coroutine[Any, Any, str]) -> str:
    try:
        return await waiting
    except TimeoutError:
        return "late"


def test_what_is_late_ends_with_a_timeout_error() -> None:
    with pytest.raises(TimeoutError):
        asyncio.run(_wait(Deadlines(_SOON), _FOREVER))


def test_what_is_in_time_is_left_alone_and_so_is_what_begins_after_it() -> None:
    async def run() -> list[str]:
        deadlines = Deadlines(_SOON)
        return [await _outcome(_wait(deadlines, seconds)) for seconds in (0, _FOREVER, 0, _FOREVER)]

    assert asyncio.run(run()) == ["in time", "late", "in time", "late"]


def test_each_of_many_has_its_own_time_and_only_the_late_ones_are_cancelled() -> None:
    async def run() -> list[str]:
        deadlines = Deadlines(_SOON)
        return await asyncio.gather(*(_outcome(_wait(deadlines, _FOREVER * (n % 2))) for n in range(6)))

    assert asyncio.run(run()) == ["in time", "late"] * 3


def test_one_that_began_while_another_was_watched_is_late_after_it() -> None:
    async def run() -> list[str]:
        deadlines, late = Deadlines(5 * _SOON), list[str]()

        async def wait(name: str) -> None:
            await _outcome(_wait(deadlines, _FOREVER))
            late.append(name)

        first = asyncio.ensure_future(wait("first"))
        await asyncio.sleep(_SOON)
        await asyncio.gather(first, wait("second"))
        return late

    assert asyncio.run(run()) == ["first", "second"]


def test_a_cancellation_by_somebody_else_stays_one() -> None:
    async def run() -> None:
        waiting = asyncio.ensure_future(_wait(Deadlines(_FOREVER), _FOREVER))
        await asyncio.sleep(0)
        waiting.cancel()
        await waiting

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(run())


def test_what_fails_by_itself_fails_with_its_own_error() -> None:
    async def run() -> None:
        with Deadlines(_FOREVER).start():
            raise KeyError("its own")

    with pytest.raises(KeyError, match="its own"):
        asyncio.run(run())


def test_a_new_event_loop_has_a_timer_of_its_own() -> None:
    deadlines = Deadlines(_SOON)
    assert [asyncio.run(_outcome(_wait(deadlines, _FOREVER))) for _ in range(2)] == ["late", "late"]


def test_without_a_task_there_is_nothing_to_cancel() -> None:
    async def run() -> None:
        asyncio.get_running_loop().call_soon(lambda: failed.append(_start_in_a_callback()))
        await asyncio.sleep(0)

    failed: list[str] = []
    asyncio.run(run())
    assert failed == ["a deadline is for a task"]


def _start_in_a_callback() -> str:
    try:
        with Deadlines(_FOREVER).start():
            return ""
    except RuntimeError as error:
        return str(error)
