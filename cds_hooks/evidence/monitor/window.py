"""The days that a report is about, and those that they are held against."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Final

from msgspec import Struct

from models_onnx.monitoring.figure import Key

GROWS: Final = 4
"""To so many times its days a window grows until there is enough to judge."""


class Window(Struct, frozen=True):
    """The days that are judged: up to `last`, against those before, and how many of mature predictions.

    `frozen`: by figure the day on which its incident began, which is open or ended on a day that would be held against.
    `usual`: by client the day from which on what came is usual, which a person said.
    """

    last: date
    days: int
    before: int
    label_days: int
    at: datetime | None = None
    frozen: Mapping[Key, date] = {}
    usual: Mapping[str, date] = {}

    @property
    def start(self) -> date:
        """The first day of a window that does not grow."""
        return self.last - timedelta(days=self.days - 1)

    @property
    def first(self) -> date:
        """The first day that any comparison needs."""
        oldest = min([self.start - timedelta(days=self.days * (GROWS - 1)), *self.frozen.values()])
        return oldest - timedelta(days=self.before)

    def reference(self, key: Key, start: date) -> tuple[date, date]:
        """Return the first day that a figure is held against, and the day after the last; it is judged from `start`."""
        end, usual = min(start, self.frozen.get(key, start)), self.usual.get(key[0], date.min)
        end = start if end < usual else end  # an incident that a person said is usual
        return max(end - timedelta(days=self.before), usual), end
