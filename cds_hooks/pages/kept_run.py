"""Work that goes on beside the pages, in a thread, and the counts of the record as the pages read them."""

import threading
from collections.abc import Callable
from contextlib import suppress
from math import inf
from time import monotonic
from typing import Generic, TypeVar

from msgspec import Struct

from cds_hooks.decision_views.follow import Follower
from cds_hooks.monitor.book import CountBook
from cds_hooks.storage.decision import RecordUnavailable
from cds_hooks.storage.queries import newest_number

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


_WAIT_SECONDS = 1.5


class Counted(Struct, frozen=True):
    """The book, None where it cannot be used, and what the page says where not everything is in it."""

    book: CountBook | None
    note: str = ""


class CountKeeper:
    """Waits a moment for what is new in the record before a page is made."""

    def __init__(self, url: str, follower: Follower) -> None:
        self._url = url
        self._follower = follower
        self._book = CountBook(follower.views)

    def counted(self) -> Counted:
        """Return the book, with what is new in the record where that is little.

        Raises:
            RecordUnavailable: the record cannot be read.
        """
        newest = newest_number(self._url)
        try:
            self._follower.catch_up(seconds=_WAIT_SECONDS)
            return Counted(self._book)
        except RecordUnavailable as error:
            return self._behind(newest, error)

    def _behind(self, newest: int, error: RecordUnavailable) -> Counted:
        try:
            waiting = newest - self._book.counted_to()
        except RecordUnavailable:
            text = "Searches by rule, service or outcome look through the record as it is, which takes longer."
            return Counted(None, f"The counts cannot be used: {error}. {text}")
        return Counted(self._book, f"{waiting:,} decisions are being counted; load this page again in a moment.")
