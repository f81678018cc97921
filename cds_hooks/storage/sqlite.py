"""The decision log in an SQLite file: a group of decisions is committed in one turn of the event loop."""

import asyncio
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import URL, insert
from sqlalchemy.dialects import sqlite

from cds_hooks.storage.chain import Chain, Row
from cds_hooks.storage.checkpoint import Checkpointer
from cds_hooks.storage.database import LOCK_WAIT_SECONDS, connect_sqlite, sqlite_file
from cds_hooks.storage.decision import Decision, FeedbackItem
from cds_hooks.storage.feedback import store_feedback
from cds_hooks.storage.log import RecordUnavailable
from cds_hooks.storage.tables import decisions

_COLUMNS = [column.name for column in decisions.columns if column.name != "sequence"]
_INSERT = str(insert(decisions).values(dict.fromkeys(_COLUMNS)).compile(dialect=sqlite.dialect(paramstyle="qmark")))
_NEWEST_HASH = "SELECT hash FROM decisions ORDER BY sequence DESC LIMIT 1"

# SQLITE_BUSY, its extended codes and SQLITE_LOCKED in the low byte: another process is writing
_LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_RETRY_SECONDS = 0.001


class SqliteDecisionLog:
    """A `DecisionLog` that writes from the event loop's own thread; see docs/decisions/0004-decision-record.md."""

    def __init__(self, url: URL) -> None:
        """The file is there and migrated; RecordUnavailable when it cannot be opened."""
        self._url = url
        self._file = sqlite_file(url)
        self._waiting: list[tuple[Decision, asyncio.Future[None]]] = []
        self._scheduled = False
        self._locked_since: float | None = None
        try:
            self._connection = connect_sqlite(self._file)
            self._chain = self._new_chain()
            self._identity = _identity(self._file)
        except (sqlite3.Error, OSError) as error:
            raise self._unavailable(error) from error
        self._checkpointer = Checkpointer(self._file)

    async def append(self, decision: Decision) -> None:
        """Returns when the decision is committed; RecordUnavailable when it could not be."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._waiting.append((decision, future))
        if not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._flush, loop)
        await future

    async def append_feedback(self, items: Sequence[FeedbackItem]) -> int:
        """Stores all items or none, and says how many were new."""
        return await asyncio.to_thread(store_feedback, self._url, items)

    async def close(self) -> None:
        """Commits what is waiting and closes the file."""
        loop = asyncio.get_running_loop()
        while self._waiting:
            self._flush(loop)
            await asyncio.sleep(_RETRY_SECONDS if self._waiting else 0)
        self._checkpointer.close()
        self._connection.close()

    def _flush(self, loop: asyncio.AbstractEventLoop) -> None:
        """Commits everything that waits, and wakes those who wait; tried again shortly while another process writes."""
        waiting = self._waiting
        if not waiting:
            return
        rows = self._chain.link([decision for decision, _ in waiting])
        try:
            self._commit(rows)
        except (sqlite3.Error, OSError) as error:
            if _is_locked(error) and self._may_wait(loop):
                loop.call_later(_RETRY_SECONDS, self._flush, loop)
                return
            failure: RecordUnavailable | None = self._recover(error)
        else:
            self._chain.moved_to(rows)
            self._checkpointer.written(len(rows))
            failure = None
        self._waiting, self._scheduled, self._locked_since = [], False, None
        for _, future in waiting:
            _answer(future, failure)

    def _commit(self, rows: list[Row]) -> None:
        if _identity(self._file) != self._identity:
            raise FileNotFoundError(0, "the file was moved or replaced while the server ran; restart the server")
        connection = self._connection
        if len(rows) == 1:
            connection.execute(_INSERT, rows[0])
            return
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(_INSERT, rows)
        connection.execute("COMMIT")

    def _may_wait(self, loop: asyncio.AbstractEventLoop) -> bool:
        now = loop.time()
        if self._locked_since is None:
            self._locked_since = now
        return now - self._locked_since < LOCK_WAIT_SECONDS

    def _recover(self, error: Exception) -> RecordUnavailable:
        """Nothing half-written stays; the next group starts a new chain, as this one's end is now uncertain."""
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._chain = self._new_chain()
        except sqlite3.Error as second:
            return self._unavailable(second)
        return self._unavailable(error)

    def _new_chain(self) -> Chain:
        newest = self._connection.execute(_NEWEST_HASH).fetchone()
        return Chain(newest[0] if newest else None)

    def _unavailable(self, error: Exception) -> RecordUnavailable:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return RecordUnavailable(f"the record at {self._file} cannot be written: {reason}")


def _identity(file: Path) -> tuple[int, int]:
    status = os.stat(file)
    return status.st_dev, status.st_ino


def _is_locked(error: Exception) -> bool:
    return isinstance(error, sqlite3.Error) and (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _LOCKED


def _answer(future: asyncio.Future[None], failure: RecordUnavailable | None) -> None:
    if future.done():  # its caller went away; the decision is in the record all the same
        return
    if failure is None:
        future.set_result(None)
    else:
        future.set_exception(failure)
