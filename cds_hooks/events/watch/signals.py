"""What departs from the baseline of one feed now: by kind, what it is about, since when, and on how many messages."""

from typing import Final

import numpy as np
from msgspec import Struct

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


class Starts:
    """From which step on a kind is looked at: what an incident was opened or kept open by is not looked at again."""

    def __init__(self, first: int) -> None:
        self.first = first
        self._by_kind: dict[str, int] = {}

    def of(self, kind: str) -> int:
        """Return the first step."""
        return max(self.first, self._by_kind.get(kind, 0))

    def set(self, kind: str, step: int) -> None:
        """Look at nothing before this step again."""
        self._by_kind[kind] = step

    def rows(self, kind: str, end: int, most: int) -> int:
        """Return how many of the windows lie behind the first step."""
        return min(int(np.searchsorted(WINDOWS, end - self.of(kind), side="right")), most)
