"""The one follower of the record: reads each decision, answer and act once and hands it to every projection.

All rows are committed in the order of their numbers, whichever process writes them (`storage/chain.py`), so it reads on
from the last link of the chain that it has. Of several processes on one machine one follows, which a lock decides, and
all read what it wrote.
"""

import asyncio
import fcntl
import os
import sqlite3
import sys
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from time import monotonic, sleep
from types import MappingProxyType
from typing import IO, Any, ClassVar, Final

from msgspec import Struct
from sqlalchemy import func, select

from cds_hooks.evidence.decision_views.file import TABLES, Mark, Views, is_damaged, make_tables, write_mark
from cds_hooks.evidence.storage.database import database_error_reason
from cds_hooks.evidence.storage.decision import RecordUnavailable, is_trial
from cds_hooks.evidence.storage.queries import NUMBERED, DecisionRow, get_rows, newest_number, read_decisions, read_rows
from cds_hooks.evidence.storage.tables import chain, decisions, events, feedback, removals
from cds_hooks.telemetry.logs import log

POLL_SECONDS: Final = 0.5
"""Time between two readings of the record by a server."""
AT_ONCE: Final = 500
_FEW: Final = 25
"""So many rows are taken at once beside the calls of a server, in some 8 ms. Where more came, as from 50 calls a second
on, a process of its own follows: in a server that answers 200 calls a second, following them took a seventh of the
processor time of one worker, and its calls waited for the interpreter meanwhile."""
_CATCH_UP_SECONDS: Final = 60.0
# The calls of the server come first, from the first import on; on a busy processor it still takes more than 100 rows a
# second. A session of its own is a group of its own to Linux, for which the process's own number says nothing.
_PROGRAM_BEHIND: Final = """
import contextlib, os, runpy, sys
os.nice(10)
with contextlib.suppress(OSError), open("/proc/self/autogroup", "w") as group:  # no Linux, or not to be written
    group.write("10")
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""
_LOOK_SECONDS: Final = 0.01
_FORGET_SECONDS: Final = 3_600.0


class AnswerRow(Struct, frozen=True):
    """An answer as it is on record, and the decision on whose card it is; None where that is no longer there."""

    feedback: Any
    decision: DecisionRow | None


class Batch(Struct, frozen=True):
    """Some rows that follow each other in the record, each kind in its order."""

    decisions: Sequence[DecisionRow] = ()
    answers: Sequence[AnswerRow] = ()
    acts: Sequence[Any] = ()

    def without_trials(self) -> "Batch":
        """Return the same rows but for those of trial calls."""
        decisions = [row for row in self.decisions if not is_trial(row.decision.client)]
        answers = [row for row in self.answers if not is_trial(row.feedback.client)]
        return Batch(decisions, answers, self.acts)

    def one_by_one(self) -> "Iterator[Batch]":
        """Yield each row alone."""
        yield from (Batch(decisions=(row,)) for row in self.decisions)
        yield from (Batch(answers=(row,)) for row in self.answers)
        yield from (Batch(acts=(row,)) for row in self.acts)

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.decisions) + len(self.answers) + len(self.acts)


class Projection:
    """What is kept of the record for one purpose, in tables of its own."""

    tables: ClassVar[str]
    """The SQL that makes them. A change of it makes all views again."""

    takes_trials: ClassVar[bool] = False
    """Whether it is handed the decisions and answers of trial calls, too."""

    def take(self, connection: sqlite3.Connection, batch: Batch) -> None:
        """Take rows in the transaction of this connection; each row comes once."""
        raise NotImplementedError

    def forget(self, connection: sqlite3.Connection, oldest: int) -> None:
        """Leaves out what counts no more; `oldest`: the time of the oldest decision that was not taken out."""


class Follower:
    """Follows one record into its views; `close` lets another process follow."""

    def __init__(
        self,
        url: str,
        views: Views,
        projections: Iterable[Projection],
        program: str = "",
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """`program` is the module that follows the same record in a process of its own, with this environment."""
        self._url = url
        self.views = views
        self._projections = tuple(projections)
        tables = [projection.tables for projection in self._projections]
        self._tables = "".join(tables)
        self.version = zlib.crc32("\n".join((TABLES, *tables)).encode()) & 0x7FFF_FFFF
        self._lock: IO[bytes] | None = None
        self._program, self._environment = program, environment
        self._forgot_at: float | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="follower")

    async def keep_following(self) -> None:
        """Follows the record until canceled: a few rows at a time in a thread, more in a process of its own.

        Raises:
            RecordUnavailable: The record or the views cannot be used, or the process ended.
        """
        in_thread = partial(asyncio.get_running_loop().run_in_executor, self._thread)
        at_once = AT_ONCE
        try:
            while True:
                if await in_thread(partial(self.follow, at_once=at_once, is_part=True)) >= at_once:
                    await self._follow_in_process()
                at_once = _FEW
                await asyncio.sleep(POLL_SECONDS)
        finally:
            self._thread.submit(self.close)  # when the thread has written what it took

    async def _follow_in_process(self) -> None:
        """Let a process follow that inherits the lock; it ends with this one, which alone can write to its input."""
        if self._lock is None:
            return
        lock = self._lock.fileno()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _PROGRAM_BEHIND, self._program, str(lock)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            env=os.environ | self._environment,
            pass_fds=(lock,),
            start_new_session=True,
        )
        try:
            status = await process.wait()
            raise RecordUnavailable(f"the process that follows the record ended with status {status}")
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    def catch_up(self, progress: Callable[[int], None] = lambda _: None, seconds: float = _CATCH_UP_SECONDS) -> None:
        """Return when what is on record now is in the views, whichever process takes it.

        Raises:
            RecordUnavailable: The record or the views cannot be used, or the process that follows is far behind.
        """
        newest, until = newest_number(self._url), monotonic() + seconds
        while not self.is_mine():
            if self.has_taken(newest):
                return
            if monotonic() > until:
                waiting = newest - self.views.mark().sequence
                raise RecordUnavailable(
                    f"{waiting:,} rows of the record are not in the views yet; try again in a moment"
                )
            sleep(_LOOK_SECONDS)
        try:
            self.follow(progress)
        finally:
            self.close()

    def has_taken(self, newest: int) -> bool:
        """Return whether the views have the rows up to this number; False where they cannot be read."""
        with suppress(RecordUnavailable):
            return self.views.mark().sequence >= newest
        return False

    def is_mine(self) -> bool:
        """Return whether this process is the one that follows; it stays so until `close`.

        Raises:
            RecordUnavailable: The folder of the views cannot be written.
        """
        if self._lock is None:
            try:
                self.views.file.parent.mkdir(parents=True, exist_ok=True)
                handle = self.views.file.with_name(f"{self.views.file.name}.lock").open("ab")
            except OSError as error:
                reason = database_error_reason(error)
                raise RecordUnavailable(f"the views of the record cannot be made: {reason}") from error
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                handle.close()
                return False
            self._lock = handle
        return True

    def inherit(self, lock: int) -> None:
        """Follow with the lock of the process that started this one, which is open as this number."""
        self._lock = os.fdopen(lock, "ab")

    def close(self) -> None:
        """Lets another process follow."""
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.close()

    def follow(
        self, progress: Callable[[int], None] = lambda _: None, at_once: int = AT_ONCE, *, is_part: bool = False
    ) -> int:
        """Take what came to the record since the last time, and return how many rows these were.

        Of another record than the views are of, or one that lost rows that were taken, everything is taken anew. With
        `is_part` no more than `at_once` are taken. Where another process follows, nothing is done.

        Raises:
            RecordUnavailable: The record or the views cannot be used; views that are damaged are made anew by the next
                call.
        """
        if not self.is_mine():
            return 0
        try:
            return self._follow(progress, at_once, is_part=is_part)
        except RecordUnavailable as error:
            if isinstance(error.__cause__, sqlite3.Error) and is_damaged(error.__cause__):
                reason = database_error_reason(error.__cause__)
                log().error("the views of the record are damaged: they are made anew", reason=reason)
                self.views.set_aside()
            raise

    def _follow(self, progress: Callable[[int], None], at_once: int, *, is_part: bool) -> int:
        self._prepare()
        before, count = self.views.mark().sequence, 0
        for mark, batch in self._batches(before, at_once):
            with self.views.open() as connection:
                for projection in self._projections:
                    _hand_over(projection, connection, batch)
                write_mark(connection, mark)
            count = mark.sequence - before
            progress(count)
            if is_part:
                break
        self._forget()
        return count

    def _prepare(self) -> None:
        """Make the views anew where there are none, or where they are of another record or have other tables."""
        views = self.views
        if views.file.is_file() and views.read("PRAGMA user_version")[0][0] == self.version and views.is_of(self._url):
            return
        with self.views.open() as connection:
            if connection.execute("PRAGMA user_version").fetchone()[0] == self.version and self.version:
                log().error("the record is another one, or lost rows that were read: its views are made anew")
            make_tables(connection, self._tables)
            connection.execute(f"PRAGMA user_version = {self.version}")

    def _batches(self, after: int, at_once: int) -> Iterator[tuple[Mark, Batch]]:
        query = select(chain.c.sequence, chain.c.hash, chain.c.of_table).order_by(chain.c.sequence).limit(at_once)
        is_more = True
        while is_more and (links := read_rows(self._url, query.where(chain.c.sequence > after))):
            upto, is_more = links[-1].sequence, len(links) == at_once
            yield Mark(upto, bytes(links[-1].hash)), self._rows(after, upto, {link.of_table for link in links})
            after = upto

    def _rows(self, after: int, upto: int, tables: Collection[str]) -> Batch:
        """Return the rows of these tables between two numbers, but for those that were taken out."""
        number = decisions.c.sequence
        decided = read_decisions(self._url, NUMBERED.where(number > after, number <= upto).order_by(number))
        answered, acts = (
            read_rows(self._url, select(table).where(number > after, number <= upto).order_by(number))
            if table.name in tables
            else ()
            for table, number in ((feedback, feedback.c.sequence), (events, events.c.sequence))
        )
        about = get_rows(self._url, {row.decision for row in answered if row.decision})
        return Batch(
            decided,
            [AnswerRow(row, about.get(row.decision)) for row in answered],
            acts,
        )

    def _forget(self) -> None:
        """Leaves out what counts no more and what was taken out, once an hour."""
        if self._forgot_at is not None and monotonic() - self._forgot_at < _FORGET_SECONDS:
            return
        self._forgot_at = monotonic()
        was_removed = read_rows(self._url, select(removals.c.sequence).limit(1))
        oldest = read_rows(self._url, select(func.min(decisions.c.decided_at)))[0][0] if was_removed else 0
        with self.views.open() as connection:
            for projection in self._projections:
                projection.forget(connection, int(oldest or 0))


def _hand_over(projection: Projection, connection: sqlite3.Connection, batch: Batch) -> None:
    """Hands rows to a projection; one that it cannot take is left out of it alone, and the log says so."""
    if not projection.takes_trials:
        batch = batch.without_trials()
    connection.execute("SAVEPOINT projection")
    try:
        projection.take(connection, batch)
    except sqlite3.OperationalError:  # as a full disk: the same rows come again
        raise
    except Exception as error:
        connection.execute("ROLLBACK TO projection")
        if len(batch) > 1:
            for row in batch.one_by_one():
                _hand_over(projection, connection, row)
        else:
            name = type(projection).__name__
            log().error("a row of the record was not taken", reason=name, error_type=type(error).__name__)
    connection.execute("RELEASE projection")
