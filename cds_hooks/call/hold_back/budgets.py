"""Budgets of cards: of each client, of a care unit or of each user, in a day or in one call.

Critical cards are shown and not counted. Of the others the most severe come first, in the order of the service. A day
is that of UTC, by the clock of the calls. The places of a day are taken in the store of used tokens, where they are
hashes: workers and machines that share a record never show more together, and a restart forgets nothing.
"""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from time import time
from typing import TYPE_CHECKING, Final

from cards.rules.engine.governance import Budget
from cds_hooks.errors import ReplayStoreFailed
from cds_hooks.evidence.storage.decision import RecordUnavailable

if TYPE_CHECKING:
    from cds_hooks.call.security.replay import ReplayStore

_PLACES: Final = "places of a budget"
_DAY_SECONDS: Final = 86_400.0
_DAYS_KEPT: Final = 2

_Key = tuple[int, str, str, str]
"""Day (UTC, days since 1970), of what, client, name."""


class Budgets:
    """The places that cards have taken of the budgets of a day."""

    def __init__(self, database_url: str = "", now: Callable[[], float] = time) -> None:
        """Name the record beside which the store lies; `now` gives epoch seconds by the clock of the calls.

        Without a record, and in a trial, nothing was shown before a call.
        """
        self._url = database_url
        self._now = now
        self._store: ReplayStore | None = None
        self._taken: Counter[_Key] = Counter()
        """How many places are known to be taken: no one asks the store for them again."""
        self._returned: Counter[_Key] = Counter()
        """How many of them this process holds and no card has, because another budget of the card had none left."""

    async def exhausted(
        self,
        budgets: Sequence[Budget],
        client: str,
        user: Callable[[], str],
        units: Callable[[], Collection[str]],
        in_call: int,
        *,
        is_trial: bool = False,
    ) -> Budget | None:
        """Return the budget that one card more goes beyond; None where it is shown, which is counted.

        `user` and the patient's care `units` are asked only where a budget is about them. `in_call` is how many cards
        of this call are shown already, critical ones apart.
        """
        is_counted, limits = bool(self._url) and not is_trial, self._limits(budgets, client, user, units)
        for budget, key in limits:
            of_day = self._taken[key] - self._returned[key] if is_counted else in_call
            if any(
                most is not None and shown >= most
                for most, shown in ((budget.cards_per_call, in_call), (budget.cards_per_day, of_day))
            ):
                return budget
        smallest: dict[_Key, tuple[int, Budget]] = {}
        for budget, key in limits if is_counted else ():
            most = budget.cards_per_day
            if most is not None and (key not in smallest or most < smallest[key][0]):
                smallest[key] = most, budget
        held: list[_Key] = []
        for key, (most, budget) in smallest.items():
            if not await self._take_place(key, most):
                self._returned.update(held)
                return budget
            held.append(key)
        return None

    def _limits(
        self, budgets: Sequence[Budget], client: str, user: Callable[[], str], units: Callable[[], Collection[str]]
    ) -> list[tuple[Budget, _Key]]:
        """Return the budgets that hold for this caller, each with the key under which it is counted today."""
        day = int(self._now() // _DAY_SECONDS)
        limits: list[tuple[Budget, _Key]] = []
        for budget in budgets:
            if budget.of == "client" and (not budget.names or client in budget.names):
                limits.append((budget, (day, "client", client, client)))
            elif budget.of == "user" and (name := user()):
                limits.append((budget, (day, "user", client, name)))
            elif budget.of == "unit" and not budget.names.isdisjoint(units()):
                limits.append((budget, (day, "unit", "", min(budget.names))))  # names of one unit are counted as one
        return limits

    async def _take_place(self, key: _Key, most: int) -> bool:
        """Take the next place of this day; False where none is left."""
        day, *names = key
        for other in [other for other in self._taken if other[0] != day]:
            del self._taken[other], self._returned[other]
        if self._returned[key]:
            self._returned[key] -= 1
            return True
        while self._taken[key] < most:
            self._taken[key] += 1
            if await self._is_free("\n".join((str(day), *names, str(self._taken[key]))), (day + _DAYS_KEPT)):
                return True
        return False

    async def _is_free(self, place: str, until_day: int) -> bool:
        """Return whether nobody has this place, which is taken now.

        True too where that cannot be said: a card too many does less harm than one that is missing.
        """
        from cds_hooks.call.security.replay import open_replay_store  # a server without budgets opens no store here

        try:
            self._store = self._store or open_replay_store(self._url)
            return await self._store.first_use(_PLACES, place, until_day * _DAY_SECONDS, self._now())
        except (ReplayStoreFailed, RecordUnavailable):
            return True

    async def aclose(self) -> None:
        """Close the store."""
        store, self._store = self._store, None
        if store is not None:
            with suppress(ReplayStoreFailed):
                await store.aclose()
