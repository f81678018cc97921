"""Ranks what several services of patient-view have for a patient in one moment: one visit, one list.

An EHR calls the services of a hook at the same time. Where a site sets CDS_VISIT_WINDOW, a reminder waits so many
seconds for the others: what can harm, results to follow up and talks go first, then the talk about a statin, then
vaccines, which can be given at this visit, then preventive services, then a test for an estimate. Of the reminders the
first of this list is shown, and only where nothing goes before it; the others go to the worklist. One process ranks by
itself: calls of one moment that different workers answer are not ranked against each other.
"""

import asyncio
from enum import IntEnum
from time import monotonic
from typing import Final

from msgspec import Struct, field

from cds_hooks.hold_back.patient_finding import Caller


class VisitRank(IntEnum):
    """Where the reminders of a service stand in the list of a visit: each service declares its own."""

    BEFORE_REMINDERS = 0
    PREVENTIVE_TALK = 1
    VACCINES = 2
    PREVENTION = 3
    TESTS = 4


_ONE_MOMENT_SECONDS: Final = 5.0
"""Calls about a patient belong to one visit for so long after the first; the project's own choice."""
_MOST: Final = 10_000


class _Visit(Struct):
    begun: float
    ranks: dict[str, int] = field(default_factory=dict)
    """The best rank of each service that has a card."""


class OneVisit:
    """The cards that the services have for each patient in this moment."""

    def __init__(self, seconds: float) -> None:
        """`seconds`: how long a reminder waits for the other services; with 0 nothing is ranked."""
        self._seconds = seconds
        self._visits: dict[tuple[str, str], _Visit] = {}

    async def goes_before(self, caller: Caller, rank: VisitRank) -> str | None:
        """Returns the service whose card goes before one of this rank and takes its place; None where it is shown."""
        if not self._seconds:
            return None
        visit = self._visit_of(caller)
        visit.ranks[caller.service] = min(rank, visit.ranks.get(caller.service, rank))
        if rank is VisitRank.BEFORE_REMINDERS:
            return None
        await asyncio.sleep(max(0.0, visit.begun + self._seconds - monotonic()))
        first = min(visit.ranks, key=lambda service: (visit.ranks[service], service))
        return None if first == caller.service or visit.ranks[first] > rank else first

    def _visit_of(self, caller: Caller) -> _Visit:
        key, now = (caller.client, caller.patient), monotonic()
        visit = self._visits.get(key)
        if visit is None or now - visit.begun > self._seconds + _ONE_MOMENT_SECONDS:
            if len(self._visits) >= _MOST:
                self._visits.clear()
            visit = self._visits[key] = _Visit(now)
        return visit
