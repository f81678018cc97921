"""One feed: what was counted of it in steps of five minutes, and from which step on it is judged.

Messages are kept for four weeks, and everything for two days. What leaves the two days can then be learned, unless
something was wrong with the feed at that time: an incident that is found a day later is not learned either.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from fhir.terminology.caching import remembered

STEP_SECONDS: Final = 300
STEPS_A_DAY: Final = 288
RECENT_STEPS: Final = 2 * STEPS_A_DAY
KEPT_DAYS: Final = 28
WINDOWS: Final = np.array([1, 2, 3, 4, 6, 9, 12, 18, 24, 36, 48, 72, 96, 144, 192, 288, 432, 576])
"""Steps of five minutes: windows from 5 minutes to 2 days."""
CATCH_UP_STEPS: Final = 18
"""So long after a planned downtime what waited comes in."""
_KEPT_STEPS: Final = KEPT_DAYS * STEPS_A_DAY
_INFORMATION: Final = frozenset({"unit-label", "code-gone"})
_MOST_NAMES: Final = 5000
"""Names of a day: a sender that invents a code for each message must not fill the memory."""

Numbers = NDArray[np.float64]
Counts = Mapping[str, float]


class Signal(Struct, frozen=True):
    """Something that departs from what is usual.

    `ratio` is what came to what was expected (of a share, the share), `since` the first step of the window, and `group`
    what is judged together.
    """

    feed: str
    kind: str
    subject: str
    ratio: float
    since: int
    group: str
    severity: str = "medium"


class Feed:
    """What was counted of a feed, by name, as the inbox names it."""

    def __init__(self, name: str, first: int, planned: Sequence[tuple[int, int]] = ()) -> None:
        """`first` is the first step, numbered from 1970; announced downtimes (`planned`) are not learned."""
        self.name, self.first, self.planned = name, first, planned
        self.end = first
        """The step after the newest one."""
        self.recent: deque[Counts] = deque(maxlen=RECENT_STEPS)
        self.left_out: set[int] = set()
        """Steps that are not learned; some may be to come."""
        self._days: deque[Counter[str]] = deque([Counter()], maxlen=KEPT_DAYS)
        self._messages = np.zeros(_KEPT_STEPS)
        self._judged_from, self._starts = first, dict[str, int]()

    def take(self, counts: Counts) -> None:
        """Add the counts of the next step; the oldest of two days is learned unless it is left out."""
        oldest = self.end - RECENT_STEPS
        if not oldest % STEPS_A_DAY:
            self._days.append(Counter())
            self.left_out -= {step for step in self.left_out if step < self.end - _KEPT_STEPS}
        if len(self.recent) == RECENT_STEPS and oldest not in self.left_out:
            day = self._days[-1]
            for name, count in self.recent[0].items():
                if name in day or len(day) <= _MOST_NAMES:
                    day[name] += int(count)
        if any(start <= self.end < stop + CATCH_UP_STEPS for start, stop in self.planned):
            self.left_out.add(self.end)
        self._messages[self.end % _KEPT_STEPS] = counts.get("messages", 0.0)
        self.recent.append(counts)
        self.end += 1

    def messages(self, steps: int = _KEPT_STEPS) -> Numbers:
        """Return the messages of the last steps, of four weeks at the most."""
        return self._messages[np.arange(max(self.end - steps, self.first), self.end) % _KEPT_STEPS]

    def learned(self) -> Counter[str]:
        """Return what was counted in all days and in the newest two, without what is left out."""
        total: Counter[str] = Counter()
        for day in self._days:
            total.update(day)
        for step, counts in enumerate(self.recent, self.end - len(self.recent)):
            if step not in self.left_out:
                total.update(counts)
        return total

    def total(self, steps: int) -> Counter[str]:
        """Return what was counted in the last steps, of two days at the most."""
        total: Counter[str] = Counter()
        for index in range(max(len(self.recent) - steps, 0), len(self.recent)):
            total.update(self.recent[index])
        return total

    def judge_from(self, step: int, group: str = "") -> None:
        """Judge nothing of a group, or of any, before this step again: it was told of before."""
        if group:
            self._starts[group] = step
        else:
            self._judged_from, self._starts = step, {}

    def judged(self, group: str) -> int:
        """Return how many of the last steps are judged."""
        return self.end - max(self._judged_from, self._starts.get(group, 0))

    def windows(self, group: str) -> NDArray[np.int64]:
        """Return the lengths of the windows that lie within the steps that are judged."""
        return WINDOWS[: np.searchsorted(WINDOWS, self.judged(group), side="right")]

    def signal(
        self, kind: str, group: str, steps: int, ratio: float, subject: str = "", *, is_strong: bool = False
    ) -> Signal:
        """Return a signal about the last steps."""
        severity = "information" if kind in _INFORMATION else "high" if is_strong else "medium"
        return Signal(self.name, kind, subject, float(ratio), self.end - int(steps), group, severity)


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
