"""Cards of which a patient gets one, although several services could each show one: a reminder, a follow-up.

An EHR calls the services of a hook at the same time, and none knows of the others. So the first that has such a card
takes the turn, shows it for a day, and the others stay silent. Each worker knows two seconds later, from the record,
what another one showed; for calls of the same moment the workers ask a store that they share (`WorkerClaims`).

A reminder is a card of vaccines due, of preventive services due, or of a test to order: a patient gets one a day,
whichever service shows it. Of tests a patient is offered one in 90 days besides. Advice on a danger has no turns.
"""

from collections.abc import Callable
from contextlib import suppress
from threading import Lock
from time import monotonic
from typing import Final, Protocol

from msgspec import Struct

from cds_hooks.errors import ReplayStoreFailed
from cds_hooks.hold_back.patient_finding import FOLLOW_UP, Caller, PatientFinding
from cds_hooks.security.replay import ReplayStore, open_replay_store
from cds_hooks.settings import Settings
from cds_hooks.storage.database import parse_url
from cds_hooks.storage.decision import RecordUnavailable

TEST_DAYS: Final = 90
"""In so many days a patient is offered one test at most; the project's own choice."""
REMINDER_DAYS: Final = 1
"""In so many days a patient gets one reminder: one a visit; the project's own choice."""
SHOWN_AGAIN_DAYS: Final = 1
"""So long a card that nobody answered is shown at each opening; the project's own choice."""

_DAY_SECONDS: Final = 86_400.0
_RESERVED_SECONDS: Final = 30.0
_MOST: Final = 100_000
"""So many turns are remembered; beyond it the oldest are forgotten."""

_Key = tuple[str, str, str]


class Claims(Protocol):
    """Tells workers apart that want to show such a card at the same moment."""

    async def is_first(self, name: str, now: float) -> bool:
        """Whether nobody else took this name a moment ago; `now` in epoch seconds."""

    async def take(self, name: str, until: float, now: float) -> bool:
        """Whether nobody else has this name, which is the caller's now, until that time (epoch seconds)."""


class Turn(Struct, frozen=True, gc=False):
    """Who shows the card, and since when (epoch seconds); `owner` is empty where another worker has it."""

    owner: str
    at: float


_TEST: Final = "a test"
_REMINDER: Final = "a reminder"
_DAYS: Final = {_TEST: TEST_DAYS, _REMINDER: REMINDER_DAYS, FOLLOW_UP: SHOWN_AGAIN_DAYS}


def kinds_of(finding: PatientFinding) -> tuple[str, ...]:
    """The kinds of cards of which a patient gets one that this card is of; none for most cards."""
    if finding.asks:
        return _TEST, _REMINDER
    if finding.reminds:
        return (_REMINDER,)
    return (FOLLOW_UP,) if finding.about == FOLLOW_UP else ()


class Turns:
    """Whose turn it is, by client, patient and kind of card. Used from any thread."""

    def __init__(self, now: Callable[[], float], claims: Claims | None = None) -> None:
        """`now` gives epoch seconds by the clock of the calls; `claims` is needed where there are several workers."""
        self._now = now
        self._claims = claims
        self._turns: dict[_Key, Turn] = {}
        self._reserved: dict[_Key, Turn] = {}
        self._writing = Lock()

    async def of_another(self, caller: Caller, finding: PatientFinding) -> Turn | None:
        """Whose turn it is where this card is not shown; None where it is shown.

        The turn is kept for this caller until its answer is on record (`take`), or for half a minute.
        """
        for kind in kinds_of(finding):
            turn = await self._of_kind(caller, kind)
            if turn is not None:
                return turn
        return None

    async def _of_kind(self, caller: Caller, kind: str) -> Turn | None:
        key, owner, now = (caller.client, caller.patient, kind), caller.service, self._now()
        turn = self._turns.get(key)
        if turn is not None and 0 <= now - turn.at <= _DAYS[kind] * _DAY_SECONDS:
            is_again = turn.owner == owner and now - turn.at <= SHOWN_AGAIN_DAYS * _DAY_SECONDS
            return None if is_again else turn
        reserved = self._reserved.get(key)
        if reserved is not None and monotonic() - reserved.at < _RESERVED_SECONDS:
            return None if reserved.owner == owner else Turn(reserved.owner, now)
        self._reserved[key] = Turn(owner, monotonic())  # before anything is waited for
        if self._claims is None or await self._claims.is_first("\n".join(key), now):
            return None
        self._reserved.pop(key, None)
        return Turn("", now)

    def take(self, caller: Caller, finding: PatientFinding, at: float) -> None:
        """Takes what was shown at `at` (epoch seconds) and is on record."""
        with self._writing:
            for kind in kinds_of(finding):
                key = (caller.client, caller.patient, kind)
                known = self._turns.get(key)
                if known is None or at - known.at > _DAYS[kind] * _DAY_SECONDS or known.at > self._now():
                    self._turns.pop(key, None)  # so that it stands at the end
                    self._turns[key] = Turn(caller.service, at)
                if len(self._turns) > _MOST:
                    self._turns.pop(next(iter(self._turns)))
                self._reserved.pop(key, None)

    def forget(self) -> None:
        """Leaves out what can no longer count."""
        now, oldest = self._now(), monotonic() - _RESERVED_SECONDS
        with self._writing:
            self._turns = {key: one for key, one in self._turns.items() if now - one.at <= TEST_DAYS * _DAY_SECONDS}
            for key in [key for key, one in self._reserved.items() if one.at < oldest]:
                self._reserved.pop(key, None)


_PURPOSE: Final = "one card for a patient"
_PLACES: Final = "places of a budget"
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

    async def take(self, name: str, until: float, now: float) -> bool:
        """Whether nobody has taken this name, which is taken now until that time (epoch seconds).

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
        """Closes the store."""
        store, self._store = self._store, None
        if store is not None:
            with suppress(ReplayStoreFailed):
                await store.aclose()


def claims_between_workers(configured: Settings) -> WorkerClaims | None:
    """What the workers of one machine, or the machines that share PostgreSQL, need; None for one process alone."""
    shares = configured.metrics_dir is not None or parse_url(configured.database_url).get_backend_name() != "sqlite"
    return WorkerClaims(configured.database_url) if shares else None
