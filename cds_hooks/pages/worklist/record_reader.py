"""The worklist as the pages show it, from the views of the record."""

import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from time import monotonic
from typing import Final

from msgspec import Struct

from cds_hooks.pages.worklist.acts import Acts
from cds_hooks.record.follow import Follower, newest_numbers
from cds_hooks.storage.decision import RecordUnavailable
from cds_hooks.worklist.worklist import Worklist, read_worklist

_WAIT_SECONDS: Final = 1.5
AFTER_AN_ACT_SECONDS: Final = 8.0
"""Who has just taken a finding off waits for the list without it: the follower of a busy server rests between parts."""
_MADE_SECONDS: Final = 60.0
"""The list is put in order again when something is new, and for the days that go by once a minute."""
_CAPACITY: Final = 100_000


class Progress(Struct, frozen=True):
    """How many decisions of the record are in the list, and how many there are."""

    done: int
    total: int

    @property
    def is_whole(self) -> bool:
        """Whether everything was read."""
        return self.done >= self.total


class WorklistKeeper:
    """Makes the list again when the record has something new; one for each server process."""

    def __init__(self, url: str, follower: Follower, now: Callable[[], datetime]) -> None:
        """`now` is the clock by which calls are answered."""
        self._url = url
        self._follower = follower
        self._now = now
        self._lock = threading.Lock()
        self._made: tuple[float, float, Worklist, Acts] | None = None

    def follow(self, seconds: float = _WAIT_SECONDS) -> Progress:
        """Waits so long for what is new; what takes longer is there when the page is loaded again.

        Raises:
            RecordUnavailable: The record cannot be read.
        """
        total = newest_numbers(self._url)["decisions"]
        with suppress(RecordUnavailable):
            self._follower.catch_up(seconds=seconds)
            return Progress(total, total)
        return Progress(self._follower.views.mark("decisions").sequence, total)

    def worklist(self) -> tuple[Worklist, Acts]:
        """Return everybody who is on the list now or of whom something was said before, and what people did.

        Raises:
            RecordUnavailable: The views cannot be read.
        """
        views, moment = self._follower.views, monotonic()
        with self._lock:
            whole = views.whole_until()
            if self._made is None or self._made[0] != whole or moment - self._made[1] >= _MADE_SECONDS:
                rows = read_worklist(views, self._now(), _CAPACITY, with_shown=True)
                self._made = (whole, moment, rows, Acts(views))
            return self._made[2:]
