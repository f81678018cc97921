"""Shows a patient one card of a kind, although several services could each show one: a reminder, a test, a follow-up.

An EHR calls the services of a hook at the same time, and none knows of the others. So the first that has such a card
takes the turn, shows it for a day, and the others stay silent. Each worker knows two seconds later, from the record,
what another one showed; for calls of the same moment the workers ask a store that they share (`claims.py`).

A reminder is a card of vaccines due, of preventive services due, or of a test to order: a patient gets one a day,
whichever service shows it; the others go to the worklist. What is due and can be done at this visit goes before a test
for an estimate, whichever call came first, and the follow-up of an abnormal result is no reminder: it has no turns. Of
tests a patient is offered one in 90 days besides. At discharge one service shows a card for a patient in a day. Advice
on a danger has no turns.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from time import monotonic, time
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from cards.card import Card
from cards.compose.equation import worklist_entry
from cards.extension import WorklistEntry
from cards.rules.engine.finding import Silence
from cds_hooks.hold_back.checks import Check, CheckedCall, Reason
from cds_hooks.hold_back.claims import Claims
from cds_hooks.hold_back.memory import (
    SHOWN_AGAIN_DAYS,
    TEST_DAYS,
    TURN_DAYS,
    Bounded,
    Turn,
    kinds_of,
    rank_of,
)
from cds_hooks.hold_back.one_visit import OneVisit, VisitRank
from cds_hooks.hold_back.patient_finding import PatientFinding
from cds_hooks.hold_back.suppression import SAID_ONCE
from cds_hooks.protocol.hooks import PATIENT_VIEW

WORKLIST: Final = "worklist"
"""The reason code of a reminder that is kept for another moment."""

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


def _visit_rank(card: Card, finding: PatientFinding | None, call: CheckedCall) -> VisitRank:
    if finding is not None and finding.asks:
        return VisitRank.TESTS
    return call.visit_rank if card.uuid in call.reminders else VisitRank.BEFORE_REMINDERS


class OneReminder(Check):
    """Another service has shown this patient a reminder today, a test lately, or a follow-up of this discharge."""

    codes = (WORKLIST, SAID_ONCE)
    title = "One reminder a day, one test in 90 days, one follow-up at discharge"
    remembers = True
    lets_through = "Time: the next day, or 90 days after the test that was offered; a reminder stands in the worklist."

    def __init__(
        self, now: Callable[[], float] = time, claims: Claims | None = None, visit_seconds: float = 0.0
    ) -> None:
        """`now` gives epoch seconds by the clock of the calls; `claims` is needed where there are several workers.

        `visit_seconds`: how long a reminder waits for the other services of this moment (`OneVisit`).
        """
        self._now = now
        self._claims = claims
        self._one_visit = OneVisit(visit_seconds)
        self._reserved = Bounded[_Key, _Reserved](_MOST)

    async def check(self, card: Card, call: CheckedCall) -> Reason | None:
        """Returns why another service has the turn; a reminder comes back with its worklist entry."""
        finding = call.patient_finding(card)
        if call.caller.hook == PATIENT_VIEW:
            service = await self._one_visit.goes_before(call.caller, _visit_rank(card, finding, call))
            if service is not None and finding is not None:
                entry = replace(call.reminders.get(card.uuid) or worklist_entry(card, ""), because="offered-before")
                text = f"{entry.test}: kept for the worklist, because {service} goes before it at this visit."
                return Reason(Silence(finding.subject, WORKLIST, text), worklist=entry)
        if finding is None or (turn := await self.turn_of_another(call, finding)) is None:
            return None
        if not finding.asks and not finding.reminds:
            text = f"One card for each discharge: {turn.owner or 'another service'} shows it."
            return Reason(Silence(finding.subject, SAID_ONCE, text))
        entry = replace(call.reminders.get(card.uuid) or worklist_entry(card, ""), because="offered-before")
        return Reason(Silence(finding.subject, WORKLIST, _sentence(entry, turn)), worklist=entry)

    async def turn_of_another(self, call: CheckedCall, finding: PatientFinding) -> Turn | None:
        """Whose turn it is where this card is not shown; None where it is shown.

        The turn is kept for this caller for half a minute: by then its answer is on record.
        """
        for kind in kinds_of(finding):
            turn = await self._turn_of_kind(call, kind, rank_of(finding))
            if turn is not None:
                return turn
        return None

    async def _turn_of_kind(self, call: CheckedCall, kind: str, rank: int) -> Turn | None:
        caller = call.caller
        key, owner, now = (caller.client, caller.patient, kind), caller.service, self._now()
        turn = call.memory.turns.get(kind)
        if turn is not None and turn.rank >= rank and 0 <= now - turn.at <= TURN_DAYS[kind] * _DAY_SECONDS:
            is_again = turn.owner == owner and now - turn.at <= SHOWN_AGAIN_DAYS * _DAY_SECONDS
            return None if is_again else turn
        reserved = self._reserved.get(key)
        if reserved is not None and reserved.is_kept(now) and reserved.turn.rank >= rank:
            return None if reserved.turn.owner == owner else reserved.turn
        self._reserved.put(key, _Reserved(Turn(owner, now, rank), monotonic()))  # before anything is waited for
        if self._claims is None or await self._claims.is_first("\n".join((*key, str(rank))), now):
            return None
        self._reserved.remove(key)
        return Turn("", now)


def _sentence(entry: WorklistEntry, turn: Turn) -> str:
    by, on = f" by {turn.owner}" if turn.owner else "", datetime.fromtimestamp(turn.at, UTC).date().isoformat()
    return (
        f"{entry.test}: kept for the worklist, because this patient had a reminder{by} on {on} "
        f"(one a day, and one test in {TEST_DAYS} days)."
    )
