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

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from time import monotonic, time
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from cards.card import Card
from cards.compose.equation import worklist_entry
from cards.extension import WorklistEntry
from cards.rules.engine.finding import Silence
from cds_hooks.hold_back.checks import LONGEST_ID, Check, CheckedCall, Reason
from cds_hooks.hold_back.claims import Claims
from cds_hooks.hold_back.one_visit import OneVisit, VisitRank
from cds_hooks.hold_back.patient_finding import FOLLOW_UP, Caller, PatientFinding
from cds_hooks.hold_back.remembered import Remembered
from cds_hooks.hold_back.sent_cards import ShownDecision
from cds_hooks.hold_back.suppression import SAID_ONCE, SHOWN_AGAIN_DAYS
from cds_hooks.protocol.hooks import PATIENT_VIEW

WORKLIST: Final = "worklist"
"""The reason code of a reminder that is kept for another moment."""
TEST_DAYS: Final = 90
"""In so many days a patient is offered one test at most; the project's own choice."""
REMINDER_DAYS: Final = 1
"""In so many days a patient gets one reminder: one a visit; the project's own choice."""

_DAY_SECONDS: Final = 86_400.0
_RESERVED_SECONDS: Final = 30.0
_MOST: Final = 100_000
"""So many turns are remembered; beyond it the oldest are forgotten."""

_TEST: Final = "a test"
_REMINDER: Final = "a reminder"
_DAYS: Final = {_TEST: TEST_DAYS, _REMINDER: REMINDER_DAYS, FOLLOW_UP: SHOWN_AGAIN_DAYS}

_Key = tuple[str, str, str]
"""Client, patient and kind of card."""


class Turn(Struct, frozen=True, gc=False):
    """Who shows the card, and since when (epoch seconds); `owner` is empty where another worker has it."""

    owner: str
    at: float
    rank: int = 0
    """1 where the card says what is due and can be done at this visit, 0 where it asks for a test of an estimate."""


def kinds_of(finding: PatientFinding) -> tuple[str, ...]:
    """Returns the kinds of cards of which a patient gets one that this card is of; none for most cards."""
    if finding.asks:
        return _TEST, _REMINDER
    if finding.reminds:
        return (_REMINDER,)
    return (FOLLOW_UP,) if finding.about == FOLLOW_UP else ()


def _rank(finding: PatientFinding) -> int:
    """Returns the rank among reminders: one of less does not hold back one of more that came later."""
    return 1 if finding.reminds else 0


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
        self._turns = Remembered[_Key, Turn](_MOST)
        self._reserved = Remembered[_Key, Turn](_MOST)

    async def check(self, card: Card, call: CheckedCall) -> Reason | None:
        """Returns why another service has the turn; a reminder comes back with its worklist entry."""
        finding = call.patient_finding(card)
        if call.caller.hook == PATIENT_VIEW:
            service = await self._one_visit.goes_before(call.caller, _visit_rank(card, finding, call))
            if service is not None and finding is not None:
                entry = replace(call.reminders.get(card.uuid) or worklist_entry(card, ""), because="offered-before")
                text = f"{entry.test}: kept for the worklist, because {service} goes before it at this visit."
                return Reason(Silence(finding.subject, WORKLIST, text), worklist=entry)
        if finding is None or (turn := await self.turn_of_another(call.caller, finding)) is None:
            return None
        if not finding.asks and not finding.reminds:
            text = f"One card for each discharge: {turn.owner or 'another service'} shows it."
            return Reason(Silence(finding.subject, SAID_ONCE, text))
        entry = replace(call.reminders.get(card.uuid) or worklist_entry(card, ""), because="offered-before")
        return Reason(Silence(finding.subject, WORKLIST, _sentence(entry, turn)), worklist=entry)

    async def turn_of_another(self, caller: Caller, finding: PatientFinding) -> Turn | None:
        """Whose turn it is where this card is not shown; None where it is shown.

        The turn is kept for this caller until its answer is on record (`note_shown`), or for half a minute.
        """
        for kind in kinds_of(finding):
            turn = await self._turn_of_kind(caller, kind, _rank(finding))
            if turn is not None:
                return turn
        return None

    async def _turn_of_kind(self, caller: Caller, kind: str, rank: int) -> Turn | None:
        key, owner, now = (caller.client, caller.patient, kind), caller.service, self._now()
        turn = self._turns.get(key)
        if turn is not None and turn.rank >= rank and 0 <= now - turn.at <= _DAYS[kind] * _DAY_SECONDS:
            is_again = turn.owner == owner and now - turn.at <= SHOWN_AGAIN_DAYS * _DAY_SECONDS
            return None if is_again else turn
        reserved = self._reserved.get(key)
        is_reserved = reserved is not None and monotonic() - reserved.at < _RESERVED_SECONDS
        if reserved is not None and is_reserved and reserved.rank >= rank:
            return None if reserved.owner == owner else Turn(reserved.owner, now)
        self._reserved.put(key, Turn(owner, monotonic(), rank))  # before anything is waited for
        if self._claims is None or await self._claims.is_first("\n".join((*key, str(rank))), now):
            return None
        self._reserved.remove(key)
        return Turn("", now)

    def note_shown(self, cards: Sequence[Card], call: CheckedCall) -> None:
        """Takes what is shown just now and on record."""
        findings = (call.patient_finding(card) for card in cards)
        self.take(call.caller, (finding for finding in findings if finding is not None), call.as_of)

    def take_shown(self, shown: ShownDecision) -> None:
        """Takes what another process showed, or this one before it was started again."""
        self.take(Caller(shown.client, shown.patient, shown.service, shown.hook), shown.findings, shown.as_of)

    def take(self, caller: Caller, findings: Iterable[PatientFinding], at: float) -> None:
        """Takes what was shown at `at` (epoch seconds) and is on record."""
        if len(caller.patient) > LONGEST_ID:
            return
        for kind, rank in ((kind, _rank(finding)) for finding in findings for kind in kinds_of(finding)):
            key = (caller.client, caller.patient, kind)
            with self._turns.writing:
                turn = self._turns.get(key)
                is_over = turn is None or at - turn.at > _DAYS[kind] * _DAY_SECONDS or turn.at > self._now()
                if turn is None or is_over or turn.rank < rank:
                    self._turns.put(key, Turn(caller.service, at, rank))
                self._reserved.remove(key)

    def forget(self) -> None:
        """Leaves out what can no longer count."""
        now, oldest = self._now(), monotonic() - _RESERVED_SECONDS
        self._turns.forget(lambda turn: now - turn.at > TEST_DAYS * _DAY_SECONDS)
        self._reserved.forget(lambda turn: turn.at < oldest)


def _sentence(entry: WorklistEntry, turn: Turn) -> str:
    by, on = f" by {turn.owner}" if turn.owner else "", datetime.fromtimestamp(turn.at, UTC).date().isoformat()
    return (
        f"{entry.test}: kept for the worklist, because this patient had a reminder{by} on {on} "
        f"(one a day, and one test in {TEST_DAYS} days)."
    )
