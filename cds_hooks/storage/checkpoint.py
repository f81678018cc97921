"""Moves SQLite's write-ahead log into the database file, in its own thread, so that no request waits for a disk."""

import sqlite3
import threading
from contextlib import closing, suppress
from pathlib import Path

from cds_hooks.storage.database import connect_sqlite

_EVERY_ROWS = 4000
_RESTART_WAIT_MS = 50


class Checkpointer:
    """Counts the rows written and checkpoints after every 4,000 of them."""

    def __init__(self, file: Path) -> None:
        """Nothing is opened and no thread started before the first checkpoint is due."""
        self._file = file
        self._rows = 0
        self._due = threading.Event()
        self._closing = False
        self._thread: threading.Thread | None = None

    def written(self, rows: int) -> None:
        """Called after each commit; returns at once."""
        self._rows += rows
        if self._rows < _EVERY_ROWS:
            return
        self._rows = 0
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="checkpoint", daemon=True)
            self._thread.start()
        self._due.set()

    def close(self) -> None:
        """Waits for a checkpoint that is under way."""
        self._closing = True
        self._due.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while True:
            self._due.wait()
            self._due.clear()
            if self._closing:
                return
            # a full disk, say: the writer meets it too and says so; the log is kept until the next time
            with suppress(sqlite3.Error), closing(connect_sqlite(self._file)) as connection:
                _checkpoint(connection)


def _checkpoint(connection: sqlite3.Connection) -> None:
    """First the bulk while others write; then the rest, with the writers held off, so that the log starts over.

    Without the second step a log that is written without a pause would grow for ever. A reader that is in the way
    for longer than the wait postpones it to the next time.
    """
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    connection.execute(f"PRAGMA busy_timeout={_RESTART_WAIT_MS}")
    connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
