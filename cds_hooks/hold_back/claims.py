"""Lets workers and machines that share a record take names of which each has one: a turn, a place of a budget."""

from contextlib import suppress
from typing import Final

from cds_hooks.errors import ReplayStoreFailed
from cds_hooks.security.replay import ReplayStore, open_replay_store
from cds_hooks.settings import Settings
from cds_hooks.storage.database import parse_url
from cds_hooks.storage.decision import RecordUnavailable

_PURPOSE: Final = "one card for a patient"
_PLACES: Final = "places of a budget"
_SECONDS: Final = 60


class Claims:
    """Names that were taken in the last minute or two, in the store of used tokens: there they are hashes."""

    def __init__(self, database_url: str) -> None:
        """Name the store beside this record, which the first claim opens."""
        self._url = database_url
        self._store: ReplayStore | None = None

    async def is_first(self, name: str, now: float) -> bool:
        """Return whether nobody took this name a moment ago; `now` in epoch seconds.

        True too where that cannot be said: a card twice does less harm than none.
        """
        minute = int(now // _SECONDS)
        try:
            self._store = self._store or open_replay_store(self._url)
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
            self._store = self._store or open_replay_store(self._url)
            return await self._store.first_use(_PLACES, name, until, now)
        except (ReplayStoreFailed, RecordUnavailable):
            return True

    async def _take(self, store: ReplayStore, name: str, minute: int, now: float) -> bool:
        return await store.first_use(_PURPOSE, f"{minute}\n{name}", now + 3 * _SECONDS, now)

    async def aclose(self) -> None:
        """Close the store."""
        store, self._store = self._store, None
        if store is not None:
            with suppress(ReplayStoreFailed):
                await store.aclose()


def claims_between_workers(configured: Settings) -> Claims | None:
    """Return what workers of one machine, or machines that share PostgreSQL, need; None for one process alone."""
    shares = configured.metrics_dir is not None or parse_url(configured.database_url).get_backend_name() != "sqlite"
    return Claims(configured.database_url) if shares else None
