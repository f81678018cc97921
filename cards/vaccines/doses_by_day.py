"""Given doses in the order of their days, asked by vaccine and period without going through all of them each time.

Each dose of a series is compared with those before it: without an index 5,000 doses took over 40 seconds.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Container, Sequence
from datetime import date

from msgspec import Struct

from cards.vaccines.knowledge import Period


class GivenDose(Struct, frozen=True):
    """A vaccine dose that was given: the day, the vaccine (CVX code) and where the record says so."""

    given: date
    cvx: str
    manufacturer: str = ""
    substandard: bool = False
    source: str = ""


class DosesByDay:
    """The days of doses by vaccine. The sequence is in the order of the days and may grow at its end."""

    __slots__ = ("_days", "_doses")

    def __init__(self, doses: Sequence[GivenDose]) -> None:
        self._doses = doses
        self._days: dict[frozenset[str], tuple[list[date], int]] = {}

    def count(self, cvx: frozenset[str], begin: date, end: date) -> int:
        """How many doses of these vaccines (none named: of any) were given from `begin` on and before `end`."""
        days = self._days_of(cvx)
        return max(0, bisect_left(days, end) - bisect_left(days, begin))

    def has_any(self, cvx: frozenset[str]) -> bool:
        """Whether one of these vaccines (none named: any) was given on any day."""
        return bool(self._doses) and bool(self._days_of(cvx))

    def latest(self, cvx: frozenset[str]) -> date | None:
        """Return the last day on which one of these vaccines was given."""
        days = self._days_of(cvx)
        return days[-1] if days else None

    def latest_before(self, cvx: frozenset[str], day: date, period: Period) -> date | None:
        """Return the last day on which one of these vaccines was given that lies at least the period before `day`."""
        days = self._days_of(cvx)
        position = bisect_right(days, day, key=period.after)
        return days[position - 1] if position else None

    def _days_of(self, cvx: frozenset[str]) -> list[date]:
        days, seen = self._days.get(cvx) or ([], 0)
        if seen < len(self._doses):
            days += [dose.given for dose in self._doses[seen:] if not cvx or dose.cvx in cvx]
            self._days[cvx] = days, len(self._doses)
        return days


class LatestDose:
    """The latest of some doses up to a day, asked for one day after the other."""

    __slots__ = ("_next", "_ordered", "_passed")

    def __init__(self, doses: Sequence[GivenDose]) -> None:
        """`doses` are in the order of their days."""
        self._ordered = doses
        self._next = 0
        self._passed: list[GivenDose] = []

    def up_to(self, dose: GivenDose | None, left_out: Container[int]) -> date | None:
        """Return the day of the latest one up to the day of `dose` (None: of all), which does not count itself.

        `left_out` are the ids of doses that do not count either, now and later on.
        """
        while self._next < len(self._ordered) and (dose is None or self._ordered[self._next].given <= dose.given):
            self._passed.append(self._ordered[self._next])
            self._next += 1
        itself: list[GivenDose] = []
        while self._passed and (self._passed[-1] is dose or id(self._passed[-1]) in left_out):
            last = self._passed.pop()
            if last is dose:
                itself.append(last)
        latest = self._passed[-1].given if self._passed else None
        self._passed += itself
        return latest
