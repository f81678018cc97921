"""How a process keeps its memory: when Python looks for garbage, and what of the heap is given back to the kernel.

Calls need the same memory over and over; it is kept, instead of asking the kernel for it again at each large call.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

# mallopt(3): free memory at the end of the heap above the first is given back to the kernel; blocks above the second
# are mapped and unmapped each by itself (32 MiB is the most that glibc allows).
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_MOST_FREE_BYTES = 64 * 1024 * 1024
_MOST_IN_HEAP_BYTES = 32 * 1024 * 1024
_OBJECTS_BEFORE_COLLECTION = 20_000


def settle_memory() -> None:
    """Settle the memory once, when everything that lives as long as the process is there.

    What was made so far is left out of garbage collection for good. What of it is garbage stays too: collecting it
    first takes 0.2 s, and it is little. Freed memory up to 64 MiB is kept: without that a call of 683 KB has 50 to 200
    page faults, which are 5 to 8 % of its time (docs/decisions/0006).

    All threads share one heap: of their own ones each keeps what it freed, 3 MB together soon after the start.

    A call leaves no cycles, so the collector looks seldom: with Python's 700 objects it walked through the calls that
    were under way, for 3 to 4 % of the time, half a millisecond each time.
    """
    import ctypes  # a command that settles nothing does not load it

    library = ctypes.CDLL(None)
    mallopt = getattr(library, "mallopt", None)  # there is none without glibc
    if mallopt is not None:
        library.malloc_trim(0)  # what the start alone needed: 1 MB
        mallopt(_TRIM_THRESHOLD, _MOST_FREE_BYTES)
        mallopt(_MMAP_THRESHOLD, _MOST_IN_HEAP_BYTES)
        mallopt(_ARENA_MAX, 1)
    gc.freeze()
    gc.set_threshold(_OBJECTS_BEFORE_COLLECTION)
    gc.enable()


@contextmanager
def no_collection() -> Iterator[None]:
    """No garbage collection meanwhile: where much is made and kept, it takes a fifth of the time and finds nothing."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
