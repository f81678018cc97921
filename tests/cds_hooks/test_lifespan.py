"""What runs beside the calls goes on after a fault."""

import asyncio

import pytest

from cds_hooks import lifespan
from cds_hooks.metrics import Metrics
from cds_hooks.metrics.page import page_of


def test_work_that_fails_begins_again_and_ends_when_it_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifespan, "_AGAIN_SECONDS", 0)
    tries: list[int] = []

    async def work() -> None:
        tries.append(len(tries))
        if len(tries) < 3:
            raise RuntimeError("a fault that nobody expected")

    metrics = Metrics()
    asyncio.run(lifespan.keep_at(work, metrics))
    assert tries == [0, 1, 2]
    assert b"cds_work_failures_total 2.0" in page_of([metrics.snapshot()])


def test_work_that_is_cancelled_does_not_begin_again() -> None:
    async def story() -> int:
        begun = 0

        async def work() -> None:
            nonlocal begun
            begun += 1
            await asyncio.sleep(60)

        task = asyncio.create_task(lifespan.keep_at(work, Metrics()))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return begun

    assert asyncio.run(story()) == 1
