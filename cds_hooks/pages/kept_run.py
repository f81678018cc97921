"""Work that goes on beside the pages, in a thread, and what it gave last."""

import threading
from collections.abc import Callable
from contextlib import suppress
from math import inf
from time import monotonic
from typing import Generic, TypeVar

from cds_hooks.storage.decision import RecordUnavailable

T = TypeVar("T")


class KeptRun(Generic[T]):
    """What a piece of work on the record gives, done again when it is old: one run at a time, however many pages ask.

    Pages are made two at a time. Without the lock both could begin a run, and one could wait for a thread that the
    other had made and not begun, which Python refuses.
    """

    def __init__(self, name: str, seconds: float) -> None:
        """`name` is that of the thread; what is older than these seconds is old."""
        self._name, self._seconds = name, seconds
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._at = -inf
        self.newest: T | None = None
        """What the last run gave; None before the first one has ended."""

    def get(self, work: Callable[[], T], wait_seconds: float | None) -> T | None:
        """Return what the work gives, or gave last where a run that is due takes longer than these seconds.

        Where the record cannot be read, nothing changes: the pages read it, too, and say so.
        """
        with self._lock:
            if monotonic() - self._at < self._seconds:
                return self.newest
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, args=(work,), name=self._name, daemon=True)
                self._thread.start()
            thread = self._thread
        thread.join(wait_seconds)
        return self.newest

    def _run(self, work: Callable[[], T]) -> None:
        with suppress(RecordUnavailable):
            self.newest, self._at = work(), monotonic()
