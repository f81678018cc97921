"""The decision log in an SQLite file, and the thread that copies its write-ahead log into the file (checkpoint)."""

import asyncio
import errno
import os
import sqlite3
import threading
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from msgspec.structs import astuple
from sqlalchemy import URL, insert
from sqlalchemy.dialects import sqlite

from cds_hooks.evidence.storage.chain import NEWEST_LINK, as_stored, linked, values_of_decision
from cds_hooks.evidence.storage.database import LOCK_WAIT_SECONDS, connect_sqlite, database_error_reason, sqlite_file
from cds_hooks.evidence.storage.decision import (
    Decision,
    RecordHealth,
    StoredChart,
    WaitingDecisions,
    answer_all,
)
from cds_hooks.evidence.storage.tables import chain, decisions

_EVERY_ROWS = 500
"""Of one process. A row is some 50 KB of the log, since a commit writes whole pages of each index: with 2,000 two
processes let it grow to 200 MB."""
_BYTES_OF_A_ROW = 64 * 1024
"""So many bytes of what is written count as a row more: a chart, or an answer about thousands of medications."""
_RESTART_WAIT_MS = 50
_STEPS = 2
"""The second copies what was written while the first took its 0.2 s, and leaves little to the last."""


class Checkpointer:
    """Counts what is written and starts a checkpoint after every 500 rows, or 32 MB of large ones."""

    def __init__(self, file: Path) -> None:
        """Name the file; it is opened and the thread started when the first checkpoint is due."""
        self._file = file
        self._rows = 0
        self._due = threading.Event()
        self._closing = False
        self._thread: threading.Thread | None = None

    def written(self, rows: int, size: int = 0) -> None:
        """To be called after each commit with the rows and the bytes of all that was written; returns at once."""
        self._rows += rows + size // _BYTES_OF_A_ROW
        if self._rows < _EVERY_ROWS:
            return
        self._rows = 0
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="checkpoint", daemon=True)
            self._thread.start()
        self._due.set()

    def close(self) -> None:
        """Wait for a running checkpoint."""
        self._closing = True
        self._due.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        # never closed: with any descriptor of the file a process loses all of SQLite's locks on it (fcntl(2))
        descriptor: int | None = None
        while True:
            self._due.wait()
            self._due.clear()
            if self._closing:
                return
            # for example a full disk: the writer meets and reports it too; the log is kept until the next checkpoint
            with suppress(sqlite3.Error, OSError), closing(connect_sqlite(self._file)) as connection:
                descriptor = os.open(self._file, os.O_RDONLY) if descriptor is None else descriptor
                _checkpoint(connection, descriptor)


def _checkpoint(connection: sqlite3.Connection, descriptor: int) -> None:
    """Copy the write-ahead log into the file in steps, so that SQLite can reset it.

    The first ones copy nearly all of it while others write, the last one the rest while writers wait. Without the last,
    a log that is written without a pause would grow without limit. A reader that blocks it for longer than the wait
    postpones it to the next checkpoint.

    While others write, SQLite leaves it to the last step to bring what was copied to the disk. That is done before: all
    calls waited 100 to 350 ms for it.
    """
    for _ in range(_STEPS):
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        os.fsync(descriptor)
    connection.execute(f"PRAGMA busy_timeout={_RESTART_WAIT_MS}")
    connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()


_INSERT, _INSERT_LINK = (
    str(insert(table).compile(dialect=sqlite.dialect(paramstyle="qmark"), column_keys=table.columns.keys()))
    for table in (decisions, chain)
)

# a visit before this one may have written it
_INSERT_CHART = "INSERT OR IGNORE INTO charts (hash, content) VALUES (?, ?)"

# another process is writing; the low byte of SQLite's extended codes
_LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_RETRY_SECONDS = 0.001
_LOCKED_OUT_SECONDS = 0.1
"""So long decisions wait after others had waited in vain: another worker has the file no longer than this."""

_PROBE_EVERY_SECONDS = 1.0
_PROBE_WAIT_SECONDS = 1.5
# A decision takes a page or two of the write-ahead log; below this the next checkpoint would not fit.
_LEAST_FREE_BYTES = 1024 * 1024

# committing 8 together costs about what 3 cost one by one, so a group that grows gets up to two more turns of the loop
_MOST_TURNS = 2
_FULL_GROUP = 32


class SqliteDecisionLog:
    """A `DecisionLog` that writes in the event loop's own thread.

    docs/decisions/0004-decision-record.md gives the reason.
    """

    def __init__(self, url: URL) -> None:
        """Name a file that exists and has the tables.

        Raises:
            RecordUnavailable: it cannot be opened.
        """
        self._file = sqlite_file(url)
        self.health = RecordHealth(f"the record at {self._file}")
        self._probed_at: float | None = None
        self._is_locked_out = False
        self._start_group()
        try:
            self._connection = connect_sqlite(self._file)
            self._identity = identity(self._file)
        except (sqlite3.Error, OSError) as error:
            raise self.health.refusal(database_error_reason(error)) from error
        self._checkpointer = Checkpointer(self._file)

    async def append(self, decision: Decision, chart: StoredChart | None = None) -> None:
        """Return when the decision is committed, and the chart that it names.

        Raises:
            RecordUnavailable: it could not be committed.
        """
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._waiting.append((as_stored(decision), future))
        if chart is not None:
            self._charts[chart.hash] = astuple(chart)
        if len(self._waiting) == 1:
            loop.call_soon(self._gather, loop)
        await future

    async def check(self) -> None:
        """Check that the file can be read and written.

        Raises:
            RecordUnavailable: the file was replaced, cannot be read or written, or its disk is full.
        """
        try:
            self._check_file()
            self._connection.execute(NEWEST_LINK).fetchone()
            await self._probe()
        except (sqlite3.Error, OSError) as error:
            self._probed_at = None
            cause = database_error_reason(error)
            self.health.failed(cause)
            raise self.health.refusal(cause) from error
        if (recent := self.health.recent_failure) is not None:
            raise self.health.refusal(recent)

    async def _probe(self) -> None:
        """Write SQLite's application number in the file's header: one page, and no row."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        if self._probed_at is not None and started - self._probed_at < _PROBE_EVERY_SECONDS:
            return
        if _free_bytes(self._file) < _LEAST_FREE_BYTES:
            raise OSError(errno.ENOSPC, "database or disk is full")
        while True:
            try:
                self._connection.execute(f"PRAGMA user_version={int(started) % 2**31}")
            except sqlite3.OperationalError as error:
                if not is_locked(error) or loop.time() - started > _PROBE_WAIT_SECONDS:
                    raise
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                break
        self._probed_at = started
        self._checkpointer.written(1)

    async def close(self) -> None:
        """Commit the waiting decisions and close the file."""
        while self._waiting:
            await asyncio.sleep(_RETRY_SECONDS)
        await asyncio.to_thread(self._checkpointer.close)
        self._connection.close()

    def _start_group(self) -> None:
        self._waiting: WaitingDecisions = []
        self._charts: dict[bytes, tuple[Any, ...]] = {}
        self._counted = 0
        self._turns = 0
        self._locked_since: float | None = None

    def _gather(self, loop: asyncio.AbstractEventLoop) -> None:
        """Flushes as soon as one turn of the event loop brings no new decision; a single caller waits for one turn."""
        count = len(self._waiting)
        if self._counted < count < _FULL_GROUP and self._turns < _MOST_TURNS:
            self._counted, self._turns = count, self._turns + 1
            loop.call_soon(self._gather, loop)
            return
        self._flush(loop)

    def _flush(self, loop: asyncio.AbstractEventLoop) -> None:
        """Commit all waiting decisions and answer their callers; retry shortly while another process writes.

        Who waited in vain for a program that holds the file was the last to wait so long: until a commit succeeds, the
        others are refused soon.
        """
        waiting, cause = self._waiting, None
        try:
            self._commit([decision for decision, _ in waiting])
        # every waiting caller gets an answer: after an unforeseen failure the decision is not on record either
        except Exception as error:
            if is_locked(error) and self._may_wait(loop):
                loop.call_later(_RETRY_SECONDS, self._flush, loop)
                return
            cause, self._is_locked_out = database_error_reason(error), is_locked(error)
        else:
            self._is_locked_out = False
        # the callers are answered first, so that no failure of logging or counting leaves them waiting
        self._start_group()
        answer_all(waiting, None if cause is None else self.health.refusal(cause))
        if cause is None:
            self.health.succeeded()
        else:
            self.health.failed(cause, len(waiting))

    def _commit(self, group: list[Decision]) -> None:
        self._check_file()
        with self._connection as connection:
            connection.execute("BEGIN IMMEDIATE")  # nobody else links a row to the newest one until the commit
            connection.executemany(_INSERT_CHART, self._charts.values())
            newest = connection.execute(NEWEST_LINK).fetchone()
            rows, links = linked(newest, decisions.name, map(values_of_decision, group))
            connection.executemany(_INSERT, rows)
            connection.executemany(_INSERT_LINK, links)
        sizes = [len(decision.response) + len(decision.basis) + len(decision.facts or b"") for decision in group]
        sizes += [len(content) for _, content in self._charts.values()]
        self._checkpointer.written(len(group), sum(sizes))

    def _check_file(self) -> None:
        # SQLite would continue to write into a file that was deleted
        if identity(self._file) != self._identity:
            raise FileNotFoundError(0, "the file was replaced while the server ran; restart the server")

    def _may_wait(self, loop: asyncio.AbstractEventLoop) -> bool:
        now = loop.time()
        if self._locked_since is None:
            self._locked_since = now
        return now - self._locked_since < (_LOCKED_OUT_SECONDS if self._is_locked_out else LOCK_WAIT_SECONDS)


def _free_bytes(file: Path) -> int:
    status = os.statvfs(file)
    return status.f_bavail * status.f_frsize


def identity(file: Path) -> tuple[int, int]:
    """Return what is another one after a file was replaced; OSError where it is not there."""
    status = os.stat(file)
    return status.st_dev, status.st_ino


def is_locked(error: Exception) -> bool:
    """Return whether the error says that another process or connection is writing."""
    return isinstance(error, sqlite3.OperationalError) and (error.sqlite_errorcode & 0xFF) in _LOCKED
