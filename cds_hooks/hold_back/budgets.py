"""What calls share: budgets of cards, turns of services at one patient, and claims of both between workers.

A budget is of each client, of a care unit or of each user, in a day or in one call.

Critical cards are shown and not counted. Of the others the most severe come first, in the order of the service. A day
is that of UTC, by the clock of the calls. One process counts by itself and finds its counts in the record after a
restart; several workers or machines take places of the budget from the store that they share (`Claims`), so that
together they never show more.
"""

import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from enum import IntEnum
from functools import partial
from time import monotonic, time
from typing import TYPE_CHECKING, ClassVar, Final

from msgspec import Struct
from msgspec.structs import replace

from cards.rules.engine.governance import Budget
from cds_hooks.decision_views.file import Views
from cds_hooks.decision_views.follow import Batch, Projection
from cds_hooks.errors import ReplayStoreFailed
from cds_hooks.hold_back.memory import MOST_CARDS, Bounded, PatientMemory, Turn, is_this_opening, turn_days, turn_kind
from cds_hooks.hold_back.sent_cards import Caller, PatientFinding, shown_decision
from cds_hooks.settings import Settings
from cds_hooks.storage.database import parse_url
from cds_hooks.storage.decision import RecordUnavailable

if TYPE_CHECKING:
    from cds_hooks.security.replay import ReplayStore

# Lets workers and machines that share a record take names of which each has one: a turn, a place of a budget


_PURPOSE: Final = "one card for a patient"
_PLACES: Final = "places of a budget"
_SECONDS: Final = 60


class BudgetClaims:
    """Names that were taken in the last minute or two, in the store of used tokens: there they are hashes."""

    def __init__(self, database_url: str) -> None:
        """Name the store beside this record, which the first claim opens."""
        # A process that shares nothing makes no claims and imports nothing of the store.
        from cds_hooks.security.replay import open_replay_store

        self._open = partial(open_replay_store, database_url)
        self._store: ReplayStore | None = None

    async def is_first(self, name: str, now: float) -> bool:
        """Return whether nobody took this name a moment ago; `now` in epoch seconds.

        True too where that cannot be said: a card twice does less harm than none.
        """
        minute = int(now // _SECONDS)
        try:
            self._store = self._store or self._open()
            # The minute before as well, else two calls around the full minute would both be the first.
            before = await self._take(self._store, name, minute - 1, now)
            return await self._take(self._store, name, minute, now) and before
        except (ReplayStoreFailed, RecordUnavailable):
            return True

    async def take(self, name: str, until: float, now: float) -> bool:
        """Return whether nobody has taken this name, which is taken now until that time (epoch seconds).

        True too where that cannot be said: a card too many does less harm than one that is missing.
        """
        try:
            self._store = self._store or self._open()
            return await self._store.first_use(_PLACES, name, until, now)
        except (ReplayStoreFailed, RecordUnavailable):
            return True

    async def _take(self, store: "ReplayStore", name: str, minute: int, now: float) -> bool:
        return await store.first_use(_PURPOSE, f"{minute}\n{name}", now + 3 * _SECONDS, now)

    async def aclose(self) -> None:
        """Close the store."""
        store, self._store = self._store, None
        if store is not None:
            with suppress(ReplayStoreFailed):
                await store.aclose()


def claims_between_workers(configured: Settings) -> BudgetClaims | None:
    """Return what workers of one machine, or machines that share PostgreSQL, need; None for one process alone."""
    shares = configured.metrics_dir is not None or parse_url(configured.database_url).get_backend_name() != "sqlite"
    return BudgetClaims(configured.database_url) if shares else None


_DAY_SECONDS: Final = 86_400.0
_DAYS_KEPT: Final = 2

_Key = tuple[int, str, str, str]
"""Day (UTC, days since 1970), of what, client, name."""


class Audience(Struct, frozen=True):
    """Who is shown the cards: the user, as it is recorded where it is recorded, and the patient's care units."""

    user: str = ""
    units: tuple[str, ...] = ()


NOBODY: Final = Audience()
"""Nobody who has a budget."""


def audience_of(
    budgets: Sequence[Budget], units: Callable[[], Collection[str]], recorded_user: Callable[[], str]
) -> Audience:
    """Return the user, where users have a budget, and those of the patient's care units that have one.

    `units` and `recorded_user` are asked only where a budget is about them.
    """
    if not budgets:
        return NOBODY
    names = [budget.names for budget in budgets if budget.of == "unit"]
    user = recorded_user() if any(budget.of == "user" for budget in budgets) else ""
    return Audience(user, tuple(sorted(frozenset().union(*names).intersection(units()))) if names else ())


class Budgets:
    """The places that cards have taken of the budgets of a day."""

    def __init__(
        self,
        budgets: Callable[[], Sequence[Budget]] = tuple,
        now: Callable[[], float] = time,
        claims: BudgetClaims | None = None,
    ) -> None:
        """`now` gives epoch seconds by the clock of the calls; `claims` is needed where there are several workers."""
        self._budgets = budgets
        self._now = now
        self._claims = claims
        self._shown: Counter[_Key] = Counter()

    async def exhausted(
        self, budgets: Sequence[Budget], client: str, audience: Audience, in_call: int
    ) -> Budget | None:
        """Return the budget that one card more goes beyond; None where it is shown, which is counted.

        `in_call` is how many cards of this call are shown already.
        """
        return await self._exhausted(self._limits(budgets, client, audience), in_call)

    def count_earlier(self, views: Views) -> None:
        """Count what was shown on this day before this process began; with a shared store that is known there.

        Raises:
            RecordUnavailable: The views cannot be read.
        """
        if self._claims is not None:
            return
        query = "SELECT client, user, units, cards FROM shown_cards WHERE day = ?"
        for client, user, units, cards in views.read(query, int(self._now() // _DAY_SECONDS)):
            audience = Audience(user, tuple(filter(None, units.split("\n"))))
            for key in {key for _, key in self._limits(self._budgets(), client, audience)}:
                self._shown[key] += cards

    def _limits(self, budgets: Sequence[Budget], client: str, audience: Audience) -> list[tuple[Budget, _Key]]:
        """Return the budgets that hold for this caller, each with the key under which it is counted today."""
        day = int(self._now() // _DAY_SECONDS)
        limits: list[tuple[Budget, _Key]] = []
        for budget in budgets:
            if budget.of == "client" and (not budget.names or client in budget.names):
                limits.append((budget, (day, "client", client, client)))
            elif budget.of == "user" and audience.user:
                limits.append((budget, (day, "user", client, audience.user)))
            elif budget.of == "unit" and not budget.names.isdisjoint(audience.units):
                limits.append((budget, (day, "unit", "", min(budget.names))))  # names of one unit are counted as one
        return limits

    async def _exhausted(self, limits: Sequence[tuple[Budget, _Key]], in_call: int) -> Budget | None:
        """Return the budget that one card more goes beyond; None where it is shown, which is counted."""
        for budget, key in limits:
            if budget.cards_per_call is not None and in_call >= budget.cards_per_call:
                return budget
            if budget.cards_per_day is not None and self._shown[key] >= budget.cards_per_day:
                return budget
        counted: set[_Key] = set()
        for budget, key in limits:
            if budget.cards_per_day is not None and key not in counted:
                if not await self._take_place(key, budget.cards_per_day):
                    return budget
                counted.add(key)
        return None

    async def _take_place(self, key: _Key, most: int) -> bool:
        """Take the next place of this day; False where none is left."""
        counts = self._shown
        if self._claims is None:
            counts[key] += 1
            self._forget(key[0])
            return True
        day, *names = key
        while counts[key] < most:
            counts[key] += 1
            name = "\n".join((str(day), *names, str(counts[key])))
            if await self._claims.take(name, (day + _DAYS_KEPT) * _DAY_SECONDS, self._now()):
                self._forget(day)
                return True
        return False

    def _forget(self, today: int) -> None:
        """Leaves out the days before."""
        if next(iter(self._shown))[0] != today:
            self._shown = Counter({key: count for key, count in self._shown.items() if key[0] == today})


class ShownCards(Projection):
    """How many cards that are not critical were shown on each of the newest days, by client, user and care units."""

    tables: ClassVar[str] = """
CREATE TABLE shown_cards (
    day INTEGER, client TEXT, user TEXT, units TEXT, cards INTEGER NOT NULL, PRIMARY KEY (day, client, user, units)
) WITHOUT ROWID;
"""

    def __init__(self, now: Callable[[], float] = time) -> None:
        """`now` gives epoch seconds by the clock of the calls."""
        self._now = now

    def take(self, connection: sqlite3.Connection, batch: Batch) -> None:
        """Count the decisions that are not too old to count."""
        counts, first_day = Counter[tuple[int, str, str, str]](), int(self._now() // _DAY_SECONDS) - 1
        for row in batch.decisions:
            shown = shown_decision(row.decision) if row.decision.decided_at >= first_day * _DAY_SECONDS * 1e6 else None
            if shown is not None and shown.as_of >= first_day * _DAY_SECONDS:
                key = (int(shown.as_of // _DAY_SECONDS), shown.client, shown.user, "\n".join(shown.units))
                counts[key] += sum(card.indicator != "critical" for card in shown.cards)
        connection.executemany(
            "INSERT INTO shown_cards VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET cards = cards + excluded.cards",
            [(*key, cards) for key, cards in counts.items()],
        )

    def forget(self, connection: sqlite3.Connection, oldest: int) -> None:  # noqa: ARG002 - it is a day or two
        """Leaves out the days before yesterday."""
        first_day = int(self._now() // _DAY_SECONDS) - 1
        connection.execute("DELETE FROM shown_cards WHERE day < ?", (first_day,))


# Shows a patient at most three cards at an opening of the chart, one follow-up at discharge, the same test once


_MOST_WORDS: Final = 250
"""The words of all cards at an opening together, unless a critical card or a warning needs more; our own choice."""
_KEPT_WORDS: Final = 45
"""What reminders, talks and findings leave of them for a warning or an abnormal result that they may not know of."""
_MORE_WORDS: Final = 20
"""By so many words a warning may be longer than the others see it: its own call has the dates and orders."""


class VisitRank(IntEnum):
    """What is lost if a card is missed at this visit, the most first; the order is the project's own choice."""

    DANGER = 0
    """A critical card, a warning, abnormal results: shown beside whatever else is shown."""
    TIME_BOUND = 1
    """What can be done in these weeks only, such as a vaccine in a pregnancy."""
    FINDING = 2
    """What a disease or a medication asks for."""
    TALK = 3
    """A talk about a benefit of later years."""
    TESTS = 4
    """A test for an estimate, once in 90 days: before the two services that know what all others have."""
    VACCINES = 5
    PREVENTION = 6
    QUESTIONS = 7
    """What only asks for an entry of the chart."""


class VisitCard(Struct, frozen=True, order=True):
    """A card that a service has for this opening, ordered as the cards are shown; `kind` is that of `turn_kind`.

    `least` are the words of its shorter form, 0 where it has none.
    """

    rank: VisitRank
    service: str
    kind: str = ""
    words: int = 0
    least: int = 0


def card_in_place(card: VisitCard, others: Iterable[VisitCard]) -> VisitCard | int:
    """Return with how many words the card is shown, or the last of those before it where they leave it no place.

    Cards that have a shorter form leave place for the others by it; what is over goes to the first of them.
    Vaccines and prevention know what all others have, and no other card is shorter for theirs. The others may not know
    of each other, so that a card of theirs counts as shown although by this rule it has no place.
    """
    first = [other for other in others if other.rank < VisitRank.VACCINES]
    if card.rank < VisitRank.VACCINES:
        return _shown_words(card, sorted([*first, card]), [])
    last = [other for other in others if other.rank >= VisitRank.VACCINES]
    return _shown_words(card, sorted([*last, card]), _with_their_words(sorted(first)))


def _shown_words(card: VisitCard, cards: Iterable[VisitCard], shown: list[VisitCard]) -> VisitCard | int:
    """Return the same as `card_in_place`, of cards in their order beside those that are shown."""
    for other in cards:
        if _has_place(other, shown):
            shown.append(other)
        elif other is card:
            return shown[-1]
    placed = zip(shown, _with_their_words(shown), strict=True)
    return next(other.words for shown_card, other in placed if shown_card is card)


def _with_their_words(cards: Sequence[VisitCard]) -> list[VisitCard]:
    """Return the cards with the words that they have beside each other."""
    settled: list[VisitCard] = []
    for number, card in enumerate(cards, start=1):
        is_whole = card.words <= _words_left(card, [*settled, *cards[number:]])
        settled.append(replace(card, words=card.words if is_whole else _least_words(card), least=0))
    return settled


def _least_words(card: VisitCard) -> int:
    return card.least or card.words


def _has_place(card: VisitCard, shown: Sequence[VisitCard]) -> bool:
    if card.kind and any(other.kind == card.kind for other in shown):
        return False
    may_stand_beside = card.rank is not VisitRank.TESTS and len(shown) < MOST_CARDS
    is_first = card.rank is VisitRank.DANGER or not shown
    return is_first or (may_stand_beside and _least_words(card) <= _words_left(card, shown))


def _words_left(card: VisitCard, shown: Collection[VisitCard], more_words: int = _MORE_WORDS) -> int:
    """Return how many words the others leave; of what is no danger some are kept for one that is not known.

    `more_words` is by how many a danger among them may be longer: none where it was placed with the words it has.
    """
    first = [other for other in shown if other.rank < VisitRank.VACCINES]
    dangers = sum(_least_words(other) for other in first if other.rank is VisitRank.DANGER)
    knows_dangers = not first or card.rank is VisitRank.DANGER or card.rank >= VisitRank.VACCINES
    kept = 0 if knows_dangers else max(_KEPT_WORDS - dangers, more_words)
    return _MOST_WORDS - max(kept + sum(map(_least_words, first)), sum(map(_least_words, shown)))


_RESERVED_SECONDS: Final = 30.0
_OPENING_SECONDS: Final = 60.0
"""Calls about a patient within a minute are those of one opening, whose words are counted together."""
_MOST: Final = 10_000
"""So many turns are kept for calls that are under way; beyond it the oldest are given up."""

_TurnKey = tuple[str, str, str]
"""Client, patient and kind of card."""


class _Reserved(Struct, frozen=True):
    """The turn of a call that may still be under way, and when it was taken (seconds of the monotonic clock)."""

    turn: Turn
    taken_at: float

    def is_kept(self, now: float) -> bool:
        """Return whether that was within the half minute, by the clock of the calls as well."""
        return monotonic() - self.taken_at < _RESERVED_SECONDS and abs(now - self.turn.at) < _RESERVED_SECONDS


class _Opening(Struct, frozen=True):
    """When the first card of an opening was placed (epoch seconds), and its cards by service and number of its call."""

    at: float
    cards: dict[tuple[str, int], VisitCard] = {}


class Turns:
    """Whose turn it is, which calls of a visit are under way, and how many words its cards have."""

    def __init__(self, now: Callable[[], float] = time, claims: BudgetClaims | None = None) -> None:
        """`now` gives epoch seconds by the clock of the calls; `claims` is needed where there are several workers."""
        self._now = now
        self._claims = claims
        self._reserved = Bounded[_TurnKey, _Reserved](_MOST)
        self._openings = Bounded[tuple[str, str], _Opening](_MOST)

    def take_words(self, caller: Caller, card: VisitCard, number: int, *, is_critical: bool = False) -> int:
        """Return how many words are left for this card of the opening, which takes them: its own, its least, or 0.

        `number` is its place among the cards of its call; cards that the service had from there on a moment ago count
        no more. The rule of `card_in_place` leaves every card its words where the services know of each other.
        """
        key, now = (caller.client, caller.patient), self._now()
        with self._openings.writing:
            opening = self._openings.get(key)
            if opening is None or not 0 <= now - opening.at <= _OPENING_SECONDS:
                opening = _Opening(now)
            kept = {at: other for at, other in opening.cards.items() if at[0] != card.service or at[1] < number}
            left = _words_left(card, kept.values(), more_words=0)
            least = _least_words(card)
            # An abnormal result or a warning is never left out, be the opening a few words longer for it.
            may_be_short = least <= left or card.rank is VisitRank.DANGER
            words = card.words if is_critical or card.words <= left else least if may_be_short else 0
            placed = replace(card, words=words, least=0)
            self._openings.put(key, _Opening(opening.at, {**kept, (card.service, number): placed}))
        return words

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
