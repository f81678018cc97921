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
from cds_hooks.governance.loop_guard import LoopGuard
from cds_hooks.governance.one_card import Claims
from cds_hooks.governance.patient_finding import Caller, patient_finding
from cds_hooks.governance.said_once import Chosen
from cds_hooks.governance.said_rows import ShownDecision

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
        of_caller = [each for each in budgets if _names_of(each, caller.client, audience)]
        shown: set[str] = set()
        for card in sorted(chosen.cards, key=lambda each: -SEVERITY[each.indicator]):
            beyond = await self._exhausted(of_caller, caller.client, audience, card, len(shown))
            if beyond is None:
                shown.add(card.uuid)
            else:
                chosen.withhold(card.uuid, Silence(subject_of(card, caller), BUDGET, _words(beyond, card)))
        chosen.cards = [card for card in chosen.cards if card.uuid in shown]

    def take_shown(self, each: ShownDecision) -> None:
        """Counts what was shown on this day before this process began, or by another one without a shared store."""
        day = int(each.as_of // _DAY_SECONDS)
        if self._claims is not None or day != self._today:
            return
        number = sum(card.indicator != "critical" for card in each.cards)
        names = [("client", each.client, each.client), ("user", each.client, each.user)]
        names += [("unit", "", name) for name in each.units]
        for of, client, name in names:
            if name:
                self._shown[day, of, client, name] += number

    @property
    def _today(self) -> int:
        return int(self._now() // _DAY_SECONDS)

    async def _exhausted(
        self, budgets: Sequence[Budget], client: str, audience: Audience, card: Card, in_call: int
    ) -> Budget | None:
        """The budget that this card goes beyond; None where it is shown, which is counted."""
        if card.indicator == "critical":
            return None
        for budget in budgets:
            if budget.cards_per_call is not None and in_call >= budget.cards_per_call:
                return budget
        of_day = [each for each in budgets if each.cards_per_day is not None]
        for budget in of_day:
            if self._count(budget, client, audience) >= (budget.cards_per_day or 0):
                return budget
        taken: set[tuple[_Key, ...]] = set()
        for budget in of_day:
            keys = self._keys(budget, client, audience)
            if keys not in taken and not await self._take_place(budget, keys):
                return budget
            taken.add(keys)
        return None

    def _count(self, budget: Budget, client: str, audience: Audience) -> int:
        return max(self._shown[key] for key in self._keys(budget, client, audience))

    def _keys(self, budget: Budget, client: str, audience: Audience) -> tuple[_Key, ...]:
        owner = "" if budget.of == "unit" else client
        return tuple((self._today, budget.of, owner, name) for name in _names_of(budget, client, audience))

    async def _take_place(self, budget: Budget, keys: tuple[_Key, ...]) -> bool:
        """Takes the next place of this day; False where none is left."""
        place = max(self._shown[key] for key in keys)
        while place < (budget.cards_per_day or 0):
            place += 1
            for key in keys:
                self._shown[key] = max(self._shown[key], place)
            if self._claims is None:
                self._forget()
                return True
            day, *named = keys[0]
            until = (day + _DAYS_KEPT) * _DAY_SECONDS
            if await self._claims.take("\n".join((str(day), *named, str(place))), until, self._now()):
                self._forget()
                return True
        return False

    def _forget(self) -> None:
        """Leaves out the days before."""
        if len(self._shown) and next(iter(self._shown))[0] != self._today:
            self._shown = Counter({key: count for key, count in self._shown.items() if key[0] == self._today})


def _names_of(budget: Budget, client: str, audience: Audience) -> tuple[str, ...]:
    """The names under which this caller is counted for the budget; none where it is for somebody else."""
    if budget.of == "client":
        return (client,) if not budget.names or client in budget.names else ()
    if budget.of == "user":
        return (audience.user,) if audience.user else ()
    return tuple(sorted(budget.names)) if budget.names.intersection(audience.units) else ()


def subject_of(card: Card, caller: Caller) -> str:
    """What a reason against a card is about: its first rule, its model or guideline, else the service."""
    said = card.own_extension
    if said.findings:
        return said.findings[0].rule
    finding = patient_finding(said, caller.hook)
    return finding.subject if finding is not None and finding.subject else caller.service


def _words(budget: Budget, card: Card) -> str:
    return f"Beyond the budget of {budget.words} ({budget.note}), so not shown: {card.summary}"
