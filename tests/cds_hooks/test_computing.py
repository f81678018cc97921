"""Large calls are computed beside the event loop, small ones in turns: no client waits for all that another sent."""

import asyncio
import threading
import time
from collections.abc import Callable
from math import inf
from time import monotonic

import pytest

from cds_hooks.computing import LARGE_BYTES, MIDDLING_BYTES, MIDDLING_ORDER_BYTES, Computing, refuse_late
from cds_hooks.errors import CallTimedOut, Overloaded
from fhir.terminology.time_limit import check_time

Work = Callable[[], str]


def _work(name: str, log: list[str]) -> Work:
    def work() -> str:
        log.append(name)
        return name

    return work


async def _call(computing: Computing, client: str, work: Work, *, is_large: bool = False) -> str:
    async with computing.call_of(client, LARGE_BYTES if is_large else 0) as turn:
        return await turn.compute(work)


async def test_the_small_calls_of_clients_take_turns_however_many_each_has_sent() -> None:
    computing, log = Computing(60), list[str]()
    async with computing.call_of("b"):  # b's call has come, and its body is being read
        calls = [_call(computing, "a", _work(f"a{n}", log)) for n in range(4)]
        await asyncio.gather(*calls, *(_call(computing, "b", _work(f"b{n}", log)) for n in range(2)))
    assert log == ["a0", "b0", "a1", "b1", "a2", "a3"]


async def test_a_middling_call_is_large_while_another_client_calls_and_for_a_second_after() -> None:
    alone, beside = [False, False, False], [True, True, False]
    now = 100.0
    computing = Computing(60, lambda: now)
    seen = []
    for client, seconds in (("a", 0.0), ("a", 0.1), ("b", 0.1), ("a", 0.9), ("a", 0.9), ("a", 0.2)):
        now += seconds
        async with computing.call_of(client):
            sizes = (MIDDLING_BYTES, 0), (1_000, MIDDLING_ORDER_BYTES), (1_000, 1_000)
            seen.append([computing.is_large(*size) for size in sizes])
    assert seen == [alone, alone, beside, beside, beside, alone]
    assert Computing(60).is_large(LARGE_BYTES)


async def test_a_call_whose_time_is_over_ends_with_an_error_for_its_caller() -> None:
    with pytest.raises(CallTimedOut, match=r"No answer within 0\.01 seconds"):
        async with Computing(0.01).call_of("a"):
            await asyncio.sleep(60)


async def test_a_cancellation_by_somebody_else_is_no_timeout() -> None:
    async def wait() -> None:
        async with Computing(60).call_of("a"):
            await asyncio.sleep(60)

    waiting = asyncio.ensure_future(wait())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_what_fails_by_itself_fails_with_its_own_error() -> None:
    with pytest.raises(TimeoutError, match="of a database"):
        async with Computing(60).call_of("a"):
            raise TimeoutError("of a database")


async def test_a_work_that_takes_too_long_on_the_loop_is_begun_again_beside_it_and_after_three_so_are_the_next() -> (
    None
):
    places: list[str] = []

    def slow() -> str:
        places.append(threading.current_thread().name)
        end = time.thread_time() + 0.2
        while time.thread_time() < end:
            check_time()
        return "computed"

    async def slow_async() -> str:
        return slow()

    computing = Computing(60)
    async with computing.call_of("a") as turn:
        assert await turn.compute(slow) == "computed"
        assert await turn.compute_async(slow_async) == "computed"
        assert await turn.compute(slow) == "computed"
    assert await _call(computing, "a", _work_in(places)) == "computed"
    assert await _call(computing, "b", _work_in(places)) == "computed"
    assert [name.startswith("large-call") for name in places] == [*[False, True] * 3, True, False]


def _work_in(places: list[str]) -> Work:
    def work() -> str:
        places.append(threading.current_thread().name)
        return "computed"

    return work


async def test_what_is_computed_beside_the_loop_ends_with_the_time_of_its_call() -> None:
    ended = threading.Event()

    def endless() -> str:
        try:
            while True:
                check_time()
        finally:
            ended.set()

    computing = Computing(0.1)
    with pytest.raises(CallTimedOut):
        await _call(computing, "a", endless, is_large=True)
    assert await asyncio.to_thread(ended.wait, 30)


def test_a_small_call_that_has_waited_too_long_for_its_turn_is_refused_and_none_that_has_begun(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def two_clients() -> list[object]:
        computing = Computing(20)

        async def call(client: str) -> str:
            async with computing.call_of(client) as under_way:
                await asyncio.sleep(0)  # both are under way
                await under_way.compute(str, client)
                under_way.has_waited()
                return await under_way.compute(str, client)

        return list(await asyncio.gather(call("a"), call("b"), return_exceptions=True))

    assert asyncio.run(two_clients()) == ["a", "b"]
    monkeypatch.setattr("cds_hooks.computing.PATIENCE_SECONDS", 0.0)
    assert [type(answer) for answer in asyncio.run(two_clients())] == [Overloaded, Overloaded]


def test_a_request_that_arrived_too_long_ago_is_refused() -> None:
    refuse_late(monotonic() - 4)
    refuse_late(inf)  # a caller without a server
    with pytest.raises(Overloaded, match="again in a second"):
        refuse_late(monotonic() - 6)
