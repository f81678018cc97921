"""Work that several processes share: what they give comes back in the order of the tasks."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from models_onnx.errors import PanelRefused

_T = TypeVar("_T")
_R = TypeVar("_R")


def results_in_order(
    pool: ProcessPoolExecutor, function: Callable[[_T], _R], tasks: Iterator[_T], most: int
) -> Iterator[_R]:
    """Yield what the function gives of each task; at most so many tasks are under way, so that memory is bounded.

    Raises:
        PanelRefused: a process ended before its task was done.
    """
    waiting: list[Future[_R]] = []
    try:
        for task in tasks:
            waiting.append(pool.submit(function, task))
            if len(waiting) >= most:
                yield waiting.pop(0).result()
        while waiting:
            yield waiting.pop(0).result()
    except BrokenProcessPool as error:
        raise PanelRefused(
            "A process ended before its part was scored, most often because the memory was full. Type the same "
            "command with fewer --workers: it goes on where this one stopped."
        ) from error
    finally:
        for future in waiting:
            future.cancel()
