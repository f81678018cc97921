"""One timer ends every wait that takes too long, and no other."""

import asyncio

import pytest

from cds_hooks.routes.deadline import Deadline, Overdue


def test_what_is_there_in_time_is_given() -> None:
    async def wait() -> str:
        return await Deadline(10).wait_for(asyncio.sleep(0, "there"))

    assert asyncio.run(wait()) == "there"


def test_what_never_comes_is_overdue_and_the_task_goes_on() -> None:
    async def wait() -> str:
        with pytest.raises(Overdue):
            await Deadline(0.02).wait_for(asyncio.Event().wait())
        return await asyncio.sleep(0.01, "alive")

    assert asyncio.run(wait()) == "alive"


def test_of_many_waits_only_those_that_take_too_long_are_ended() -> None:
    async def wait() -> list[bool | BaseException]:
        deadline = Deadline(0.1)
        early, late = asyncio.Event(), asyncio.Event()
        waits = [asyncio.create_task(deadline.wait_for(each.wait())) for each in (early, late, early)]
        await asyncio.sleep(0)
        early.set()
        return await asyncio.gather(*waits, return_exceptions=True)

    first, second, third = asyncio.run(wait())
    assert first is third is True
    assert isinstance(second, Overdue)


def test_who_cancels_for_another_reason_is_obeyed() -> None:
    async def wait() -> None:
        waiting = asyncio.create_task(Deadline(10).wait_for(asyncio.Event().wait()))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(wait())


def test_a_deadline_serves_one_event_loop_after_another() -> None:
    deadline = Deadline(0.02)
    for _ in range(2):
        with pytest.raises(Overdue):
            asyncio.run(deadline.wait_for(asyncio.Event().wait()))
