"""The decision log in an SQLite file: a group of decisions is committed in one turn of the event loop."""

import asyncio
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import URL, insert
from sqlalchemy.dialects import sqlite

from cds_hooks.storage.chain import Chain
from cds_hooks.storage.checkpoint import Checkpointer
from cds_hooks.storage.database import LOCK_WAIT_SECONDS, connect_sqlite, reason, sqlite_file
from cds_hooks.storage.decision import Decision, FeedbackItem
from cds_hooks.storage.feedback import store_feedback
from cds_hooks.storage.log import RecordUnavailable, Waiting, answer_all
from cds_hooks.storage.tables import COLUMNS, NEWEST_HASH, decisions

_INSERT = str(insert(decisions).compile(dialect=sqlite.dialect(paramstyle="qmark"), column_keys=COLUMNS))

# another process is writing; the low byte of SQLite's extended codes
_LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_RETRY_SECONDS = 0.001

# committing 8 together costs about what 3 cost one by one, so a group that grows gets up to two more turns of the loop
_MOST_TURNS = 2
_FULL_GROUP = 32


class SqliteDecisionLog:
    """A `DecisionLog` that writes from the event loop's own thread; docs/decisions/0004-decision-record.md says why."""

    def __init__(self, url: URL) -> None:
        """The file is there and migrated; RecordUnavailable when it cannot be opened."""
        self._url = url
        self._file = sqlite_file(url)
        self._chain: Chain | None = None
        self._start_group()
        try:
            self._connection = connect_sqlite(self._file)
            self._identity = _identity(self._file)
        except (sqlite3.Error, OSError) as error:
            raise RecordUnavailable(self._reason(error)) from error
        self._checkpointer = Checkpointer(self._file)

    async def append(self, decision: Decision) -> None:
        """Returns when the decision is committed; RecordUnavailable when it could not be."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._waiting.append((decision, future))
        if len(self._waiting) == 1:
            loop.call_soon(self._gather, loop)
        await future

    async def append_feedback(self, items: Sequence[FeedbackItem]) -> list[FeedbackItem]:
        """Stores all items or none and returns those that are new."""
        return await asyncio.to_thread(store_feedback, self._url, items)

    async def check(self) -> None:
        """RecordUnavailable where the file is not the one that was opened, or cannot be read."""
        try:
            self._check_file()
            self._connection.execute(NEWEST_HASH).fetchone()
        except (sqlite3.Error, OSError) as error:
            raise RecordUnavailable(self._reason(error)) from error

    async def close(self) -> None:
        """Commits what is waiting and closes the file."""
        while self._waiting:
            await asyncio.sleep(_RETRY_SECONDS)
        await asyncio.to_thread(self._checkpointer.close)
        self._connection.close()

    def _start_group(self) -> None:
        self._waiting: Waiting = []
        self._counted = 0
        self._turns = 0
        self._locked_since: float | None = None

    def _gather(self, loop: asyncio.AbstractEventLoop) -> None:
        """Flushes once a turn of the loop has brought nothing more: a lone caller waits for one turn only."""
        count = len(self._waiting)
        if self._counted < count < _FULL_GROUP and self._turns < _MOST_TURNS:
            self._counted, self._turns = count, self._turns + 1
            loop.call_soon(self._gather, loop)
            return
        self._flush(loop)

    def _flush(self, loop: asyncio.AbstractEventLoop) -> None:
        """Commits everything that waits and wakes those who wait; comes back shortly while another process writes."""
        waiting, failure = self._waiting, None
        try:
            self._commit([decision for decision, _ in waiting])
        # whatever it was, nobody may be left waiting, and an unforeseen failure is a missing record too
        except Exception as error:
            if _is_locked(error) and self._may_wait(loop):
                loop.call_later(_RETRY_SECONDS, self._flush, loop)
                return
            # whether the rows arrived is uncertain, so this chain does not go on
            self._chain = None
            failure = self._reason(error)
        self._start_group()
        answer_all(waiting, failure)

    def _commit(self, group: list[Decision]) -> None:
        self._check_file()
        connection = self._connection
        chain = self._chain or self._new_chain()
        rows = chain.link(group)
        if len(rows) == 1:
            connection.execute(_INSERT, rows[0])
        else:
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany(_INSERT, rows)
        chain.moved_to(rows)
        self._chain = chain
        self._checkpointer.written(len(rows))

    def _check_file(self) -> None:
        # SQLite would go on writing into a file that was deleted
        if _identity(self._file) != self._identity:
            raise FileNotFoundError(0, "the file was replaced while the server ran; restart the server")

    def _new_chain(self) -> Chain:
        newest = self._connection.execute(NEWEST_HASH).fetchone()
        return Chain(newest[0] if newest else None)

    def _may_wait(self, loop: asyncio.AbstractEventLoop) -> bool:
        now = loop.time()
        if self._locked_since is None:
            self._locked_since = now
        return now - self._locked_since < LOCK_WAIT_SECONDS

    def _reason(self, error: Exception) -> str:
        return f"the record at {self._file} cannot be written: {reason(error)}"


def _identity(file: Path) -> tuple[int, int]:
    status = os.stat(file)
    return status.st_dev, status.st_ino


def _is_locked(error: Exception) -> bool:
    return isinstance(error, sqlite3.OperationalError) and (error.sqlite_errorcode & 0xFF) in _LOCKED
