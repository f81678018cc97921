"""Remembers used tokens, so that each is accepted once: by all workers, and after a restart too.

They are in an SQLite file beside the decision record, or in PostgreSQL for servers on several machines that share one
decision record.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from hashlib import blake2b
from math import inf
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol

from sqlalchemy import URL

from cds_hooks.errors import ReplayStoreFailed
from cds_hooks.evidence.storage.database import parse_url, sqlite_file
from cds_hooks.evidence.storage.outage import KeptConnection, Outage, within
from cds_hooks.evidence.storage.sqlite import Checkpointer, identity, is_locked

if TYPE_CHECKING:
    from psycopg import AsyncConnection

_FAILED: Final = "The server cannot check the call's token. Try again later."
_TABLE: Final = "CREATE TABLE IF NOT EXISTS used (id BLOB PRIMARY KEY, expires INTEGER NOT NULL) WITHOUT ROWID"
_INSERT: Final = "INSERT OR IGNORE INTO used VALUES (?, ?)"
_FIND: Final = "SELECT 1 FROM used WHERE id = ?"
_FORGET: Final = "DELETE FROM used WHERE id >= ? AND id < ? AND expires < ?"
# As long as the longest token lives (3600 s, and 60 s of skew at both ends). One is kept for that long after its end,
# and after its use: a clock that was wrongly ahead forgets nothing that is good again when it is right.
_KEPT_SECONDS: Final = 3720
_OPENING_SECONDS: Final = 5.0
# another process's insert takes microseconds; whoever holds the lock for longer costs each call this and then a 503
_WAIT_SECONDS: Final = 0.25
_RETRY_SECONDS: Final = 0.002
# Ids are spread evenly, so one value of the first byte is 1/256 of the table. An index on `expires` would cost every
# insert 5 µs more (18 against 13); this costs a slice every 64 inserts, and what has expired is gone 16,384 later.
_INSERTS_PER_SLICE: Final = 64

# PostgreSQL
_LOCK: Final = 0x6364_735F_746F_6B65  # "cds_toke": one name for all that make the same table
_SET_UP: Final = (
    "CREATE TABLE IF NOT EXISTS used_tokens (id bytea PRIMARY KEY, expires bigint NOT NULL)",
    "CREATE INDEX IF NOT EXISTS used_tokens_expires ON used_tokens (expires)",
)
_FIND_ONE: Final = "SELECT 1 FROM used_tokens WHERE id = %s"
_INSERT_ALL: Final = (
    "WITH given AS (SELECT * FROM unnest(%s::bytea[], %s::bigint[], %s::bytea[]) AS given (id, expires, call)), "
    "new AS (INSERT INTO used_tokens SELECT id, expires FROM given ON CONFLICT DO NOTHING RETURNING id), "
    "calls AS (INSERT INTO used_tokens SELECT call, expires FROM given WHERE call IS NOT NULL "
    "AND id IN (SELECT id FROM new) ON CONFLICT DO NOTHING) SELECT id FROM new"
)
_FORGET_SOME: Final = (
    # the database's clock has its say, too: that of one machine of several can be ahead for as long as it runs
    "DELETE FROM used_tokens WHERE id IN (SELECT id FROM used_tokens "
    "WHERE expires < least(%s, extract(epoch FROM now())::bigint - 3720) ORDER BY expires LIMIT 4000)"
)
_PROBE: Final = "INSERT INTO used_tokens SELECT * FROM used_tokens WHERE false"
"""No row, but the locks that one needs: another program may hold the table alone."""
_INSERTS_PER_FORGETTING: Final = 1000
_ROUND_TRIP_SECONDS: Final = 5


class ReplayStore(Protocol):
    """Says of each token whether it is used for the first time."""

    async def first_use(self, iss: str, jti: str, expires: float, now: float, call_id: str = "") -> bool:
        """Return true for the first use of each pair, False for every later one. Times are seconds since the epoch.

        The `call_id` of the first use is kept with it, at the same moment: `was_used_by` finds it.

        Raises:
            ReplayStoreFailed: the store cannot be read or written.
        """

    async def was_used_by(self, iss: str, jti: str, call_id: str) -> bool:
        """Return whether the first use of this pair was that of this call; nothing is stored.

        Raises:
            ReplayStoreFailed: the store cannot be read.
        """

    async def aclose(self) -> None:
        """Close the store."""


class SqliteReplayStore:
    """A `ReplayStore` for the processes of one machine; it writes from the event loop's thread, about 13 µs a token.

    It never waits for a lock there: a call that meets one gives way to the others and tries again.
    """

    def __init__(self, file: Path, clock: Callable[[], float] = monotonic) -> None:
        """Open the file, and make it where there is none; `clock` gives seconds that nobody can set.

        Raises:
            ReplayStoreFailed: it cannot be opened.
        """
        self._file = file
        self._past = _Past(clock)
        self._inserts = self._slice = 0
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(file, isolation_level=None, timeout=_OPENING_SECONDS)
            for setting in ("journal_mode=WAL", "synchronous=NORMAL", "wal_autocheckpoint=0"):
                self._connection.execute(f"PRAGMA {setting}")
            self._connection.execute(_TABLE)
            self._connection.execute("PRAGMA busy_timeout=0")
            self._identity = identity(file)
        except (sqlite3.Error, OSError) as error:
            raise ReplayStoreFailed(f"The store of used tokens cannot be opened: {error}.") from error
        self._checkpointer = Checkpointer(file)

    async def first_use(self, iss: str, jti: str, expires: float, now: float, call_id: str = "") -> bool:
        """Return true for the first use of each pair in any process of this machine."""
        until = int(expires) + 1
        rows = [(token_id(iss, jti), until)]
        if call_id:
            rows.append((_id_of_call(iss, jti, call_id), until))
        return await self._when_free(lambda: self._insert(rows, now))

    async def was_used_by(self, iss: str, jti: str, call_id: str) -> bool:
        """Return whether the first use of this pair, by any process of this machine, was that of this call."""
        wanted = (_id_of_call(iss, jti, call_id),)
        return await self._when_free(lambda: self._connection.execute(_FIND, wanted).fetchone() is not None)

    def _insert(self, rows: list[tuple[bytes, int]], now: float) -> bool:
        if len(rows) == 1:
            added = self._connection.execute(_INSERT, rows[0]).rowcount
        else:
            with self._connection:
                self._connection.execute("BEGIN IMMEDIATE")
                added = self._connection.execute(_INSERT, rows[0]).rowcount
                if added:
                    self._connection.execute(_INSERT, rows[1])
        self._inserts += 1
        over = self._past.read(now)
        if self._inserts >= _INSERTS_PER_SLICE:
            with suppress(sqlite3.OperationalError):  # another process writes: the next insert tries again
                self._forget(self._slice, over)
                self._inserts, self._slice = 0, (self._slice + 1) % 256
        self._checkpointer.written(1)
        return added == 1

    async def aclose(self) -> None:
        """Close the file."""
        self._checkpointer.close()
        self._connection.close()

    def _forget(self, slice_: int, over: int) -> None:
        first = bytes([slice_])
        # b"\xff" + 16 times b"\xff" comes after every id of 16 bytes
        last = bytes([slice_ + 1]) if slice_ < 255 else b"\xff" * 17
        self._connection.execute(_FORGET, (first, last, over))

    async def _when_free(self, work: Callable[[], bool]) -> bool:
        """Return what the work returns, which is tried again while another process holds the lock of the file.

        Raises:
            ReplayStoreFailed: It cannot be done, the lock is held for too long, or the file was replaced: SQLite would
                go on in the old one, while a worker that starts again takes every token of it once more.
        """
        until = monotonic() + _WAIT_SECONDS
        while True:
            try:
                if identity(self._file) != self._identity:
                    raise FileNotFoundError(0, "the file was replaced while the server ran; restart the server")
                return work()
            except (sqlite3.Error, OSError) as error:
                if not is_locked(error) or monotonic() > until:
                    raise ReplayStoreFailed(_FAILED) from error
            await asyncio.sleep(_RETRY_SECONDS)


class _Past:
    """Says which tokens are over by each reading of the host's clock in the last hour, of which one may be right."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._began = self._lowest = inf
        self._lowest_before = 0.0  # nothing is forgotten until the clock was read for as long as a token lives

    def read(self, now: float) -> int:
        """Note a reading; a token that ended before the returned second can be forgotten."""
        uptime = self._clock()
        if uptime - self._began >= _KEPT_SECONDS:
            self._began, self._lowest_before, self._lowest = inf, self._lowest, inf
        self._began, self._lowest = min(self._began, uptime), min(self._lowest, now)
        return int(min(self._lowest_before, self._lowest)) - _KEPT_SECONDS


def token_id(iss: str, jti: str) -> bytes:
    """16 bytes for a token: its `jti` is unique for its issuer (RFC 7519, section 4.1.7)."""
    # with the issuer's length no other pair gives the same text; JSON can hold half a surrogate pair
    text = f"{len(iss)}:{iss}{jti}".encode("utf-8", "surrogatepass")
    return blake2b(text, digest_size=16).digest()


def _id_of_call(iss: str, jti: str, call_id: str) -> bytes:
    return token_id(f"call {iss}", f"{len(jti)}:{jti}{call_id}")


Waiting = list[tuple[bytes, int, bytes | None, "asyncio.Future[bool]"]]
"""Tokens with their ends, the calls of those that a proxy named, and who waits."""


class PostgresReplayStore:
    """A `ReplayStore` over one connection; tokens that arrive during a round trip are sent together in the next."""

    def __init__(self, url: URL) -> None:
        """Name the database; the connection is opened and the table made when the first token arrives."""
        self._waiting: Waiting = []
        self._writer: asyncio.Task[None] | None = None
        self._connection = KeptConnection(url, _make_table)
        self._outage = Outage(self._probe)
        self._inserts = self._over = 0
        self._past = _Past()

    async def first_use(self, iss: str, jti: str, expires: float, now: float, call_id: str = "") -> bool:
        """Return true for the first use of each pair on any machine."""
        if self._outage.is_on:
            raise ReplayStoreFailed(_FAILED)
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        call = _id_of_call(iss, jti, call_id) if call_id else None
        self._waiting.append((token_id(iss, jti), int(expires) + 1, call, future))
        self._over = self._past.read(now)
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())
        return await future

    async def was_used_by(self, iss: str, jti: str, call_id: str) -> bool:
        """Return whether the first use of this pair, on any machine, was that of this call."""
        if self._outage.is_on:
            raise ReplayStoreFailed(_FAILED)
        try:
            return await within(_ROUND_TRIP_SECONDS, self._find(_id_of_call(iss, jti, call_id)))
        except Exception as error:  # whatever failed, as for `first_use`
            if isinstance(error, TimeoutError):
                self._outage.begin()
            raise ReplayStoreFailed(_FAILED) from error

    async def aclose(self) -> None:
        """Answers the waiting callers and closes the connection."""
        self._outage.end()
        if self._writer is not None:
            await self._writer
        await self._connection.aclose()

    async def _write(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting, []
            try:
                new = await within(_ROUND_TRIP_SECONDS, self._insert(group))
            # every waiting caller gets an answer, whatever failed: a token that cannot be checked is refused
            except Exception as error:
                if isinstance(error, TimeoutError):
                    self._outage.begin()
                    group, self._waiting = [*group, *self._waiting], []
                _refuse(group, error)
            else:
                _answer(group, new)
        self._writer = None

    async def _insert(self, group: Waiting) -> set[bytes]:
        # the first of a group with a token is the one whose use counts, so only its call is kept
        first = {token: (token, expires, call) for token, expires, call, _ in reversed(group)}
        columns = [list(column) for column in zip(*first.values(), strict=True)]
        async with self._connection.use() as connection:
            new = {bytes(row[0]) for row in await (await connection.execute(_INSERT_ALL, columns)).fetchall()}
            self._inserts += len(new)
            if self._inserts >= _INSERTS_PER_FORGETTING:
                self._inserts = 0
                await connection.execute(_FORGET_SOME, (self._over,))
        return new

    async def _find(self, wanted: bytes) -> bool:
        async with self._connection.use() as connection:
            return await (await connection.execute(_FIND_ONE, (wanted,))).fetchone() is not None

    async def _probe(self) -> None:
        async with self._connection.use() as connection:
            await connection.execute(_PROBE)


async def _make_table(connection: "AsyncConnection") -> None:
    ((is_made,),) = await (await connection.execute("SELECT to_regclass('used_tokens') IS NOT NULL")).fetchall()
    if not is_made:  # a role that may not make tables finds it made (docs/operations/insert-only-role.sql)
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            for statement in _SET_UP:
                await connection.execute(statement)


def _answer(group: Waiting, new: set[bytes]) -> None:
    """Answers True to the first caller with each token of `new`, the ids that were not stored before."""
    for token, _, _, future in group:
        if not future.done():  # otherwise its caller was canceled
            future.set_result(token in new)
        new.discard(token)


def _refuse(group: Waiting, error: Exception) -> None:
    for *_, future in group:
        if not future.done():
            failure = ReplayStoreFailed(_FAILED)
            failure.__cause__ = error
            future.set_exception(failure)


def open_replay_store(database_url: str) -> ReplayStore:
    """Return the store beside a decision record: in its PostgreSQL database, or in a file beside its SQLite file.

    Raises:
        ReplayStoreFailed: the file cannot be opened.
        RecordUnavailable: the URL is neither of SQLite nor of PostgreSQL.
    """
    url = parse_url(database_url)
    if url.get_backend_name() == "postgresql":
        return PostgresReplayStore(url)
    return SqliteReplayStore(sqlite_file(url).with_name("used-tokens.sqlite3"))
