"""The worklist as the pages show it, from the views of the record."""

import threading
from collections.abc import Callable
from datetime import datetime
from time import monotonic
from typing import Final

from cds_hooks.pages.worklist.acts import Acts
from cds_hooks.record.follow import Follower
from cds_hooks.record.views import Mark
from cds_hooks.worklist.worklist import Worklist, read_worklist

_MADE_SECONDS: Final = 60.0
"""The list is put in order again when something is new, and for the days that go by once a minute."""
_CAPACITY: Final = 100_000


class WorklistKeeper:
    """Makes the list again when the record has something new; one for each server process."""

    def __init__(self, follower: Follower, now: Callable[[], datetime]) -> None:
        """`now` is the clock by which calls are answered."""
        self._follower = follower
        self._now = now
        self._lock = threading.Lock()
        self._made: tuple[list[Mark], float, Worklist, Acts] | None = None

    def worklist(self) -> tuple[Worklist, Acts]:
        """Return everybody who is on the list now or of whom something was said before, and what people did.

        Raises:
            RecordUnavailable: The views cannot be read.
        """
        views, moment = self._follower.views, monotonic()
        with self._lock:
            # by the marks: they are written with the rows, the time up to which all is whole some moments later
            marks = [views.mark(name) for name in ("decisions", "feedback", "events")]
            if self._made is None or self._made[0] != marks or moment - self._made[1] >= _MADE_SECONDS:
                rows = read_worklist(views, self._now(), _CAPACITY, with_shown=True)
                self._made = (marks, moment, rows, Acts(views))
            return self._made[2:]
