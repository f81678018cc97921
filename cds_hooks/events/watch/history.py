"""Counts of one feed in steps of five minutes: messages of a month, everything of two days, and the rest by day.

What leaves the two days is added to its day and can then be learned, unless something was wrong with the feed at that
time: an incident that is found a day later is not learned either.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fhir.terminology.caching import remembered

STEP_SECONDS: Final = 300
STEPS_A_DAY: Final = 288
RECENT_STEPS: Final = 2 * STEPS_A_DAY
KEPT_DAYS: Final = 28
_MOST_NAMES: Final = 5000
"""Names of a day: a sender that invents a code for each message must not fill the memory."""

Numbers = NDArray[np.float64]
Counts = Mapping[str, float]


class History:
    """What was counted of one feed, by name, as the inbox names it, and which steps are not learned."""

    def __init__(self, first: int) -> None:
        """`first` is the first step, numbered from 1970."""
        self.first, self.length = first, 0
        self._messages = np.zeros(KEPT_DAYS * STEPS_A_DAY)
        self._left_out = np.zeros(KEPT_DAYS * STEPS_A_DAY, dtype=bool)
        self.recent: deque[Counts] = deque(maxlen=RECENT_STEPS)
        self.days: dict[int, Counter[str]] = {}

    @property
    def end(self) -> int:
        """The step after the newest one."""
        return self.first + self.length

    def append(self, counts: Counts) -> None:
        """Add the counts of the next step; the oldest of two days is learned unless it is left out."""
        if self.length == len(self._messages):
            self._messages = np.append(self._messages, np.zeros(KEPT_DAYS * STEPS_A_DAY))
            self._left_out = np.append(self._left_out, np.zeros(KEPT_DAYS * STEPS_A_DAY, dtype=bool))
        self._messages[self.length] = counts.get("messages", 0.0)
        if len(self.recent) == RECENT_STEPS and not self._left_out[self.length - RECENT_STEPS]:
            self.add_to_day((self.end - RECENT_STEPS) // STEPS_A_DAY, self.recent[0])
        self.recent.append(counts)
        self.length += 1

    def add_to_day(self, day: int, counts: Counts) -> None:
        """Add counts to what can be learned of a day; names beyond a bound are not followed."""
        if day not in self.days:
            self.days[day] = Counter()
            for old in [other for other in self.days if other <= day - KEPT_DAYS]:
                del self.days[old]
        of_day = self.days[day]
        for name, count in counts.items():
            if name in of_day or len(of_day) <= _MOST_NAMES:
                of_day[name] += int(count)

    def _span(self, start: int, end: int) -> slice:
        return slice(max(start - self.first, 0), max(end - self.first, 0))

    def messages(self, start: int, end: int) -> Numbers:
        """Return the messages of steps from `start` up to `end`."""
        return self._messages[self._span(start, end)]

    def left_out(self, start: int, end: int) -> NDArray[np.bool_]:
        """Return of steps from `start` up to `end` whether nothing is learned from them."""
        return self._left_out[self._span(start, end)]

    def leave_out(self, start: int, end: int) -> None:
        """Do not learn from these steps, which may be to come."""
        self._left_out[self._span(start, end)] = True

    def learned(self) -> Counter[str]:
        """Return what was counted in all days and in the newest two, without what is left out."""
        total: Counter[str] = Counter()
        left_out = self.left_out(self.end - len(self.recent), self.end).tolist()
        newest = [counts for counts, is_left_out in zip(self.recent, left_out, strict=True) if not is_left_out]
        for counts in [*self.days.values(), *newest]:
            total.update(counts)
        return total

    def total(self, start: int) -> Counter[str]:
        """Return what was counted since a step of the newest two days."""
        total: Counter[str] = Counter()
        for index in range(max(len(self.recent) - (self.end - start), 0), len(self.recent)):
            total.update(self.recent[index])
        return total


@remembered("names of counts", entries=20_000, longest=120)
def parts_of(name: str) -> tuple[str, str, int]:
    """Return the kind of a name, what it is about, and the number at its end.

    >>> parts_of("value:2823-3|mmol/L:1048648"), parts_of("latency:-36"), parts_of("sender:G1")
    (('value', '2823-3|mmol/L', 1048648), ('latency', '', -36), ('sender', 'G1', 0))
    """
    kind, _, subject = name.partition(":")
    if kind == "latency":
        return kind, "", int(subject)
    if kind == "value":
        subject, _, number = subject.rpartition(":")
        return kind, subject, int(number)
    return kind, subject, 0


def by_subject(names: Counts, kind: str) -> dict[str, Counter[int]]:
    """Return what was counted of a kind by what it is about, and by the number at the end of the names."""
    subjects = defaultdict[str, Counter[int]](Counter)
    for name, count in names.items():
        kind_of_name, subject, number = parts_of(name)
        if kind_of_name == kind:
            subjects[subject][number] += int(count)
    return subjects
