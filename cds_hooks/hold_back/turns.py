"""Shows a patient at most three cards at an opening of the chart, one follow-up at discharge, the same test once.

An EHR calls the services of a hook in any order or at the same time. Each call therefore asks what the other services
that this client calls would show about the same chart (`answer.py`), and the cards of all are ranked by what is lost if
they are missed at this visit. The first two are shown, the third where all three have at most 250 words, the others go
to the worklist, whoever is called first. A critical card, a warning and the card of abnormal results are always shown.

A test for an estimate is offered once in 90 days. At discharge one service shows a card for a patient in a day: each
worker knows two seconds later, from the record, what another one showed; for calls of the same moment the workers ask a
store that they share (`claims.py`).
"""

from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum
from time import monotonic, time
from typing import Final

from msgspec import Struct

from cds_hooks.hold_back.claims import Claims
from cds_hooks.hold_back.memory import MOST_CARDS, Bounded, PatientMemory, Turn, is_this_opening, turn_days, turn_kind
from cds_hooks.hold_back.patient_finding import Caller, PatientFinding

_MOST_WORDS: Final = 250
"""A third card is shown where all have no more words than this; the project's own choice."""
_ANY_LENGTH: Final = MOST_CARDS - 1


class VisitRank(IntEnum):
    """What is lost if a card is missed at this visit, the most first; the order is the project's own choice."""

    DANGER = 0
    """A critical card, a warning, abnormal results: always shown."""
    TIME_BOUND = 1
    """What can be done in these weeks only, such as a vaccine in a pregnancy."""
    FINDING = 2
    """What a disease or a medication asks for."""
    TALK = 3
    """A talk about a benefit of later years."""
    VACCINES = 4
    TESTS = 5
    """A test for an estimate."""
    PREVENTION = 6
    QUESTIONS = 7
    """What only asks for an entry of the chart."""


class VisitCard(Struct, frozen=True, order=True):
    """A card that a service has for this opening, ordered as the cards are shown; `kind` is that of `turn_kind`."""

    rank: VisitRank
    service: str
    kind: str = ""
    words: int = 0


def card_in_place(card: VisitCard, others: Iterable[VisitCard]) -> VisitCard | None:
    """Return the last of the cards of this opening that leave no place for this one; None where it is shown."""
    shown: list[VisitCard] = []
    for other in sorted(other for other in others if other < card):
        if _has_place(other, shown):
            shown.append(other)
    return None if _has_place(card, shown) else shown[-1]


def _has_place(card: VisitCard, shown: Sequence[VisitCard]) -> bool:
    if card.kind and any(other.kind == card.kind for other in shown):
        return False
    words = card.words + sum(other.words for other in shown)
    return (
        card.rank is VisitRank.DANGER or len(shown) < _ANY_LENGTH or (len(shown) < MOST_CARDS and words <= _MOST_WORDS)
    )


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
        """Return whether that was within the half minute, by the clock of the calls as well."""
        return monotonic() - self.taken_at < _RESERVED_SECONDS and abs(now - self.turn.at) < _RESERVED_SECONDS


class Turns:
    """Whose turn it is, and which calls of a visit are under way."""

    def __init__(self, now: Callable[[], float] = time, claims: Claims | None = None) -> None:
        """`now` gives epoch seconds by the clock of the calls; `claims` is needed where there are several workers."""
        self._now = now
        self._claims = claims
        self._reserved = Bounded[_Key, _Reserved](_MOST)

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
