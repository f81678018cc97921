"""Lets one of several workers show a card of which a patient gets one, where an EHR calls several services at once.

Each worker knows what was shown two seconds later, from the record; this is for the calls of the same moment.
"""

from contextlib import suppress
from typing import Final

from cds_hooks.errors import ReplayStoreFailed
from cds_hooks.security.replay import ReplayStore
from cds_hooks.security.trust import open_replay_store
from cds_hooks.settings import Settings
from cds_hooks.storage.database import parse_url
from cds_hooks.storage.decision import RecordUnavailable

_PURPOSE: Final = "one card for a patient"
_SECONDS: Final = 60


class WorkerClaims:
    """Names that were taken in the last minute or two, in the store of used tokens: there they are hashes."""

    def __init__(self, database_url: str) -> None:
        """The store beside this record is opened by the first claim."""
        self._url = database_url
        self._store: ReplayStore | None = None

    async def is_first(self, name: str, now: float) -> bool:
        """Whether nobody took this name a moment ago; `now` in epoch seconds.

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

    async def _take(self, store: ReplayStore, name: str, minute: int, now: float) -> bool:
        return await store.first_use(_PURPOSE, f"{minute}\n{name}", now + 3 * _SECONDS, now)

    async def aclose(self) -> None:
        """Closes the store."""
        store, self._store = self._store, None
        if store is not None:
            with suppress(ReplayStoreFailed):
                await store.aclose()


def claims_between_workers(configured: Settings) -> WorkerClaims | None:
    """What the workers of one machine, or the machines that share PostgreSQL, need; None for one process alone."""
    shares = configured.metrics_dir is not None or parse_url(configured.database_url).get_backend_name() != "sqlite"
    return WorkerClaims(configured.database_url) if shares else None
