"""One feed under watch: what came, what is expected, and from which step on each kind of departure is looked at."""

from math import log
from typing import Final

import numpy as np
from msgspec import Struct

from cds_hooks.events.watch.baseline import Expected
from cds_hooks.events.watch.history import History

WINDOWS: Final = np.array([1, 2, 3, 4, 6, 9, 12, 18, 24, 36, 48, 72, 96, 144, 192, 288, 432, 576])
"""Steps of five minutes: windows from 5 minutes to 2 days."""
NEVER: Final = 1e-9
"""A probability below which something is no chance."""


class Signal(Struct, frozen=True):
    """Something that departs from the baseline.

    `ratio` is what came to what was expected (of a share, the share), `since` the first step of the window, `weight`
    the messages that it took to tell, and `group` what is looked at together.
    """

    feed: str
    kind: str
    subject: str
    ratio: float
    since: int
    weight: float
    group: str
    is_strong: bool = False


class Feed:
    """A feed at the end of its newest step."""

    def __init__(self, name: str, first: int) -> None:
        self.name, self.history = name, History(first)
        self.expected: Expected | None = None
        self.judged_from = first
        self._starts: dict[str, int] = {}

    @property
    def end(self) -> int:
        """The step after the newest one."""
        return self.history.end

    def start_at(self, step: int, group: str = "") -> None:
        """Look at nothing of a group, or of any, before this step again: an incident was opened or kept open by it."""
        if group:
            self._starts[group] = step
        else:
            self.judged_from, self._starts = step, {}

    def start_of(self, group: str) -> int:
        """Return the first step that is looked at."""
        return max(self.judged_from, self._starts.get(group, 0))

    def rows(self, group: str, most: int = len(WINDOWS)) -> int:
        """Return how many of the windows lie behind the first step."""
        return min(int(np.searchsorted(WINDOWS, self.end - self.start_of(group), side="right")), most)

    def signal(
        self, kind: str, group: str, steps: int, ratio: float, weight: float, subject: str = "", *,
        is_strong: bool = False,
    ) -> Signal:  # fmt: skip
        """Return a signal about the last steps."""
        return Signal(self.name, kind, subject, float(ratio), self.end - steps, float(weight), group, is_strong)

    def messages(self, steps: int) -> float:
        """Return the messages of the last steps."""
        return float(self.history.messages(self.end - steps, self.end).sum())

    def came_and_due(self, since: int) -> tuple[float, float]:
        """Return the messages that came and that were due since a step; what came where nothing was learned."""
        came = self.messages(self.end - since)
        if self.expected is None:
            return came, came
        steps = self.end - max(since, self.expected.start)
        return came, float(self.expected.within(self.expected.low, self.end, steps))

    def fits(self, since: int, ratio: float) -> float | None:
        """Return the evidence that this feed has changed by the same ratio since a step, as a log likelihood ratio."""
        if self.expected is None or self.expected.baseline.is_batch or ratio <= 0:
            return None
        came, due = self.came_and_due(since)
        return (came * log(ratio) - due * (ratio - 1)) / self.expected.baseline.spread
