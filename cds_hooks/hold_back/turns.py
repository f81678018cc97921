"""Shows a patient at most three cards at an opening of the chart, one follow-up at discharge, the same test once.

An EHR calls the services of a hook at the same time, and none knows of the others. Each decides by the chart alone, so
that the same cards are shown in whatever order it calls. Where more than three come, what cannot wait is shown
whatever came before it (dangers, results to follow up, what a disease asks for); a reminder, the talk about a statin
and a test for an estimate are kept for the worklist once three cards are shown. Each worker knows two seconds later,
from the record, what another one showed; for calls of the same moment the workers ask a store that they share
(`claims.py`).

A test for an estimate is offered once in 90 days. At discharge one service shows a card for a patient in a day. A
critical card has no turns.

Where a site sets CDS_VISIT_WINDOW, a reminder waits so many seconds for the other services of patient-view: what can
harm, results to follow up and talks go first, then the talk about a statin, then vaccines, which can be given at this
visit, then preventive services, then a test for an estimate. Of the reminders the first of this list is shown, and only
where nothing goes before it; the others go to the worklist. One process ranks by itself: calls of one moment that
different workers answer are not ranked against each other.
"""

import asyncio
from collections.abc import Callable
from enum import IntEnum
from time import monotonic, time
from typing import Final

from msgspec import Struct, field

from cds_hooks.hold_back.claims import Claims
from cds_hooks.hold_back.memory import (
    MOST_CARDS,
    Bounded,
    PatientMemory,
    Turn,
    card_kind,
    is_this_opening,
    turn_days,
    turn_kind,
)
from cds_hooks.hold_back.patient_finding import Caller, PatientFinding


class VisitRank(IntEnum):
    """Where the reminders of a service stand in the list of a visit: each service declares its own."""

    BEFORE_REMINDERS = 0
    PREVENTIVE_TALK = 1
    VACCINES = 2
    PREVENTION = 3
    TESTS = 4


_ONE_MOMENT_SECONDS: Final = 5.0
"""Calls about a patient belong to one visit for so long after the first; the project's own choice."""
_MOST_VISITS: Final = 10_000


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
            if len(self._visits) >= _MOST_VISITS:
                self._visits.clear()
            visit = self._visits[key] = _Visit(now)
        return visit


_DAY_SECONDS: Final = 86_400.0
_RESERVED_SECONDS: Final = 30.0
_MOST: Final = 100_000
"""So many turns are kept for calls that are under way; beyond it the oldest are given up."""

_Key = tuple[str, str, str]
"""Client, patient and kind of card."""


class _Reserved(Struct, frozen=True):
    """The turn of a call that may still be under way, and when it was taken (seconds of the monotonic clock)."""

    turn: Turn
    taken_at: float

    def is_kept(self, now: float) -> bool:
        """Returns whether that was within the half minute, by the clock of the calls as well."""
        return monotonic() - self.taken_at < _RESERVED_SECONDS and abs(now - self.turn.at) < _RESERVED_SECONDS


class Turns:
    """Whose turn it is, and which calls of a visit are under way."""

    def __init__(
        self, now: Callable[[], float] = time, claims: Claims | None = None, visit_seconds: float = 0.0
    ) -> None:
        """`now` gives epoch seconds by the clock of the calls; `claims` is needed where there are several workers.

        `visit_seconds`: how long a reminder waits for the other services of this moment (`OneVisit`).
        """
        self._now = now
        self._claims = claims
        self.visits = OneVisit(visit_seconds)
        self._reserved = Bounded[_Key, _Reserved](_MOST)
        self._places = Bounded[tuple[str, str], dict[str, _Reserved]](_MOST)

    async def is_beyond_opening(
        self, caller: Caller, memory: PatientMemory, finding: PatientFinding, *, can_wait: bool
    ) -> bool:
        """Whether the cards of this opening have no place for this one, which can wait; else it takes a place."""
        kind, now = card_kind(finding), self._now()
        shown = memory.cards_of_opening(now)
        places = self._places.get((caller.client, caller.patient)) or {}
        reserved = {other for other, turn in places.items() if turn.is_kept(now)}
        if kind in shown | reserved:
            return False
        if can_wait and len(shown | reserved) >= MOST_CARDS:
            return True
        reservations = {other: turn for other, turn in places.items() if other in reserved}
        reservations[kind] = _Reserved(Turn(caller.service, now), monotonic())
        self._places.put((caller.client, caller.patient), reservations)  # before anything is waited for
        return can_wait and not await self._has_place(caller, len(shown), now)

    async def _has_place(self, caller: Caller, shown: int, now: float) -> bool:
        """Whether one of the places is left for this worker."""
        if self._claims is None:
            return True
        for number in range(MOST_CARDS - shown):
            if await self._claims.is_first("\n".join((caller.client, caller.patient, f"place {number}")), now):
                return True
        return False

    async def turn_of_another(self, caller: Caller, memory: PatientMemory, finding: PatientFinding) -> Turn | None:
        """Whose turn it is where this card is not shown; None where it is shown.

        The turn is kept for this caller for half a minute: by then its answer is on record.
        """
        kind = turn_kind(finding)
        if not kind:
            return None
        key, owner, now = (caller.client, caller.patient, kind), caller.service, self._now()
        turn = memory.turns.get(kind)
        if turn is not None and 0 <= now - turn.at <= turn_days(kind) * _DAY_SECONDS:
            return None if turn.owner == owner and is_this_opening(turn, now) else turn
        reserved = self._reserved.get(key)
        if reserved is not None and reserved.is_kept(now):
            return None if reserved.turn.owner == owner else reserved.turn
        self._reserved.put(key, _Reserved(Turn(owner, now), monotonic()))  # before anything is waited for
        if self._claims is None or await self._claims.is_first("\n".join(key), now):
            return None
        self._reserved.remove(key)
        return Turn("", now)
