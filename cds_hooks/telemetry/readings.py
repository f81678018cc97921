"""Reads a file that is followed on a thread of its own, and says which readings do not come back."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from time import monotonic, time
from typing import Final, TypeAlias, TypeVar

_T = TypeVar("_T")
Stamp: TypeAlias = tuple[int, int, int, int] | None
"""By what a change of a file is seen; None where there is no such file."""

_LONGEST_SECONDS: Final = 5.0
"""The largest file that is read takes less than a second."""
_begun: Final[dict[str, tuple[float, float]]] = {}
"""When each reading began, by the clock and by the seconds that nobody can set."""


async def read_beside(name: str, read: Callable[[], _T]) -> _T:
    """Return what `read` returns; `name` is that of the setting that names the file.

    The thread is none of a pool, so that what fills the pool delays no revocation, and it ends with the process, so
    that a mount that hangs keeps no server from stopping.
    """
    result = Future[_T]()
    result.set_running_or_notify_cancel()

    def run() -> None:
        try:
            result.set_result(read())
        except Exception as error:
            result.set_exception(error)

    _begun[name] = time(), monotonic()
    try:
        Thread(target=run, name=name, daemon=True).start()
        return await asyncio.wrap_future(result)
    finally:
        _begun.pop(name, None)


def stamp_of(path: Path) -> Stamp:
    """Return by what a change of this file is seen."""
    try:
        status = path.stat()
    except OSError:
        return None
    # its rights change the last alone: a file that may not be read any more would be met at the next start
    return status.st_mtime_ns, status.st_ino, status.st_size, status.st_ctime_ns


def hanging_readings() -> Iterator[tuple[str, str]]:
    """Yield the name of each reading that does not come back, and what an operator has to know in a sentence."""
    for name, (begun, began) in list(_begun.items()):
        if monotonic() - began > _LONGEST_SECONDS:
            since = datetime.fromtimestamp(begun, UTC)
            yield (
                name,
                f"What {name} names has been read since {since:%Y-%m-%d %H:%M:%S} UTC without an end: its disk or "
                "network does not answer. What was read before is in force, and no change is seen.",
            )
