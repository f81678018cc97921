"""Budgets of cards, which calls share, with claims between workers.

A budget is of each client, of a care unit or of each user, in a day or in one call.

Critical cards are shown and not counted. Of the others the most severe come first, in the order of the service. A day
is that of UTC, by the clock of the calls. One process counts by itself and finds its counts in the record after a
restart; several workers or machines take places of the budget from the store that they share (`Claims`), so that
together they never show more.
"""

import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from functools import partial
from time import time
from typing import TYPE_CHECKING, ClassVar, Final

from msgspec import Struct

from cards.rules.engine.governance import Budget
from cds_hooks.decision_views.file import Views
from cds_hooks.decision_views.follow import Batch, Projection
from cds_hooks.errors import ReplayStoreFailed
from cds_hooks.hold_back.sent_cards import shown_decision
from cds_hooks.settings import Settings
from cds_hooks.storage.database import parse_url
from cds_hooks.storage.decision import RecordUnavailable

if TYPE_CHECKING:
    from cds_hooks.security.replay import ReplayStore

# Lets workers and machines that share a record take names of which each has one: a place of a budget


_PLACES: Final = "places of a budget"


class BudgetClaims:
    """Names that were taken in the last minute or two, in the store of used tokens: there they are hashes."""

    def __init__(self, database_url: str) -> None:
        """Name the store beside this record, which the first claim opens."""
        # A process that shares nothing makes no claims and imports nothing of the store.
        from cds_hooks.security.replay import open_replay_store

        self._open = partial(open_replay_store, database_url)
        self._store: ReplayStore | None = None

    async def take(self, name: str, until: float, now: float) -> bool:
        """Return whether nobody has taken this name, which is taken now until that time (epoch seconds).

        True too where that cannot be said: a card too many does less harm than one that is missing.
        """
        try:
            self._store = self._store or self._open()
            return await self._store.first_use(_PLACES, name, until, now)
        except (ReplayStoreFailed, RecordUnavailable):
            return True

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
