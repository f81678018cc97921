"""Withholds cards beyond a budget: of each client, of a care unit, of each user, in a day or in one call.

Before that the loop guard withholds what was accepted a moment ago (`loop_guard.py`).

Critical cards are shown and not counted. Of the others the most severe come first, in the order of the service. A day
is that of UTC, by the clock of the calls. One process counts by itself and finds its counts in the record after a
restart; several workers or machines take places of the budget from the store that they share (`Claims`), so that
together they never show more.
"""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from time import time
from typing import Final

from msgspec import Struct

from cards.card import SEVERITY, Card
from cards.rules.engine.finding import Silence
from cards.rules.engine.governance import Budget
from cds_hooks.hold_back.loop_guard import LoopGuard
from cds_hooks.hold_back.patient_finding import Caller, patient_finding
from cds_hooks.hold_back.sent_cards import ShownDecision
from cds_hooks.hold_back.suppression import Chosen
from cds_hooks.hold_back.turns import Claims

BUDGET: Final = "budget"
"""The reason code of a card beyond a budget."""

_DAY_SECONDS: Final = 86_400.0
_DAYS_KEPT: Final = 2


class Audience(Struct, frozen=True):
    """Who is shown the cards: the user, as it is recorded where it is recorded, and the patient's care units."""

    user: str = ""
    units: tuple[str, ...] = ()


NOBODY: Final = Audience()
"""Nobody who has a budget."""
_Key = tuple[int, str, str, str]
"""Day (UTC, days since 1970), of what, client, name."""


class Restraint:
    """The budgets of a site, and how many cards were shown on this day."""

    def __init__(
        self,
        budgets: Callable[[], Sequence[Budget]] = tuple,
        now: Callable[[], float] = time,
        claims: Claims | None = None,
    ) -> None:
        """`now` gives epoch seconds by the clock of the calls; `claims` is needed where there are several workers."""
        self._budgets = budgets
        self._now = now
        self._claims = claims
        self._shown: Counter[_Key] = Counter()
        self.loops = LoopGuard(now)
        """The suggestions that were accepted lately."""

    def units_of(self, units: Callable[[], Collection[str]]) -> tuple[str, ...]:
        """Those of the patient's care units that have a budget; `units` is asked only where one has."""
        named = [each.names for each in self._budgets() if each.of == "unit"]
        return tuple(sorted(frozenset().union(*named).intersection(units()))) if named else ()

    @property
    def asks_for_user(self) -> bool:
        """Whether users have a budget."""
        return any(each.of == "user" for each in self._budgets())

    async def withhold(self, caller: Caller, chosen: Chosen, audience: Audience = NOBODY) -> None:
        """Takes what the loop guard holds back, and cards beyond a budget, out of `chosen`, each with its reason."""
        self.loops.withhold(caller, chosen)
        budgets = self._budgets()
        if not budgets or not chosen.cards:
            return
        limits = self._limits(budgets, caller.client, audience)
        shown: set[str] = set()
        for card in sorted(chosen.cards, key=_severest_first) if len(chosen.cards) > 1 else tuple(chosen.cards):
            beyond = await self._exhausted(limits, len(shown)) if card.indicator != "critical" else None
            if beyond is None:
                shown.add(card.uuid)
            else:
                chosen.withhold(card.uuid, Silence(subject_of(card, caller), BUDGET, _words(beyond, card)))
        if len(shown) < len(chosen.cards):
            chosen.cards = [card for card in chosen.cards if card.uuid in shown]

    def take_shown(self, each: ShownDecision) -> None:
        """Counts what was shown on this day before this process began, or by another one without a shared store."""
        day = int(each.as_of // _DAY_SECONDS)
        if self._claims is not None or day != int(self._now() // _DAY_SECONDS):
            return
        number = sum(card.indicator != "critical" for card in each.cards)
        audience = Audience(each.user, each.units)
        for key in {key for _, key in self._limits(self._budgets(), each.client, audience)}:
            self._shown[key] += number

    def _limits(self, budgets: Sequence[Budget], client: str, audience: Audience) -> list[tuple[Budget, _Key]]:
        """The budgets that hold for this caller, each with the key under which it is counted today."""
        day = int(self._now() // _DAY_SECONDS)
        found: list[tuple[Budget, _Key]] = []
        for each in budgets:
            if each.of == "client":
                if not each.names or client in each.names:
                    found.append((each, (day, "client", client, client)))
            elif each.of == "user":
                if audience.user:
                    found.append((each, (day, "user", client, audience.user)))
            elif not each.names.isdisjoint(audience.units):
                found.append((each, (day, "unit", "", min(each.names))))  # the names of a unit are counted as one
        return found

    async def _exhausted(self, limits: Sequence[tuple[Budget, _Key]], in_call: int) -> Budget | None:
        """The budget that one card more goes beyond; None where it is shown, which is counted."""
        for budget, key in limits:
            if budget.cards_per_call is not None and in_call >= budget.cards_per_call:
                return budget
            if budget.cards_per_day is not None and self._shown[key] >= budget.cards_per_day:
                return budget
        taken: set[_Key] = set()
        for budget, key in limits:
            if budget.cards_per_day is not None and key not in taken:
                if not await self._take_place(key, budget.cards_per_day):
                    return budget
                taken.add(key)
        return None

    async def _take_place(self, key: _Key, most: int) -> bool:
        """Takes the next place of this day; False where none is left."""
        shown = self._shown
        if self._claims is None:
            shown[key] += 1
            self._forget(key[0])
            return True
        day, *named = key
        while shown[key] < most:
            shown[key] += 1
            place = "\n".join((str(day), *named, str(shown[key])))
            if await self._claims.take(place, (day + _DAYS_KEPT) * _DAY_SECONDS, self._now()):
                self._forget(day)
                return True
        return False

    def _forget(self, today: int) -> None:
        """Leaves out the days before."""
        if next(iter(self._shown))[0] != today:
            self._shown = Counter({key: count for key, count in self._shown.items() if key[0] == today})


def _severest_first(card: Card) -> int:
    return -SEVERITY[card.indicator]


def subject_of(card: Card, caller: Caller) -> str:
    """What a reason against a card is about: its first rule, its model or guideline, else the service."""
    said = card.own_extension
    if said.findings:
        return said.findings[0].rule
    finding = patient_finding(said, caller.hook)
    return finding.subject if finding is not None and finding.subject else caller.service


def _words(budget: Budget, card: Card) -> str:
    return f"Beyond the budget of {budget.words} ({budget.note}), so not shown: {card.summary}"
