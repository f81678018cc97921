"""Work for several processes comes back in the order of the tasks, with few of them under way."""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from threading import Event
from typing import cast

import pytest

from models_onnx.errors import PanelRefused
from models_onnx.panel.processes import results_in_order


@pytest.fixture
def pool() -> Iterator[ProcessPoolExecutor]:
    """One thread: it is asked as a process is, and starts at once."""
    with ThreadPoolExecutor(1) as threads:
        yield cast(ProcessPoolExecutor, threads)


def test_results_come_in_the_order_of_the_tasks_and_so_many_are_under_way(pool: ProcessPoolExecutor) -> None:
    drawn: list[int] = []

    def tasks() -> Iterator[int]:
        for number in range(5):
            drawn.append(number)
            yield number

    results = results_in_order(pool, lambda number: number * 10, tasks(), 3)
    assert [(result, len(drawn)) for result in results] == [(0, 3), (10, 4), (20, 5), (30, 5), (40, 5)]


def test_a_process_that_ended_is_said_with_what_to_do(pool: ProcessPoolExecutor) -> None:
    def ended(number: int) -> int:
        raise BrokenProcessPool

    for count in (1, 3):
        with pytest.raises(PanelRefused) as refused:
            list(results_in_order(pool, ended, iter(range(count)), 3))
        assert str(refused.value) == (
            "A process ended before its part was scored, most often because the memory was full. Type the same "
            "command with fewer --workers: it goes on where this one stopped."
        )


def test_who_stops_early_has_the_waiting_tasks_taken_back(pool: ProcessPoolExecutor) -> None:
    begun, go_on, done = Event(), Event(), list[int]()

    def work(number: int) -> int:
        if number == 1:
            begun.set()
            go_on.wait(10)
        done.append(number)
        return number

    results = cast("Iterator[int]", results_in_order(pool, work, iter(range(6)), 4))
    assert next(results) == 0
    assert begun.wait(10)
    results.close()  # type: ignore[attr-defined]
    go_on.set()
    pool.shutdown(wait=True)
    assert done == [0, 1]
