"""The file of views: an SQLite file beside the record that is derived from it and made again where it is not there.

It holds names of patients, as the record does, and only its owner may read it.
"""

import hashlib
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any, Final

from msgspec import Struct

from cds_hooks.evidence.storage.database import database_error_reason, parse_url, sqlite_file
from cds_hooks.evidence.storage.decision import RecordUnavailable
from cds_hooks.evidence.storage.queries import has_link
from cds_hooks.settings import Settings

WAIT_SECONDS: Final = 5.0
"""So long a writer waits for another one: each transaction is about some hundred rows. With 30 s a file that another
program holds failed so seldom that the alert for work beside the calls did not speak."""
_READ_WAIT_SECONDS: Final = 0.05
_LOOK_SECONDS: Final = 1.0
TABLES: Final = """
CREATE TABLE IF NOT EXISTS mark (sequence INTEGER NOT NULL, hash BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS open_incidents (
    key TEXT PRIMARY KEY, client TEXT, family TEXT, is_told INTEGER, since TEXT, figures BLOB
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS past_incidents (figures BLOB, since TEXT, ended TEXT);
CREATE TABLE IF NOT EXISTS usual (client TEXT PRIMARY KEY, since TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS reports (at REAL, content BLOB);
CREATE TABLE IF NOT EXISTS verifications (at INTEGER NOT NULL, decisions INTEGER NOT NULL, fault TEXT NOT NULL);
"""
_KEPT: Final = ("open_incidents", "past_incidents", "usual", "reports", "verifications")
"""What others were told does not follow from the record: it stays when the views are made again."""


class Mark(Struct, frozen=True):
    """Number and hash of the last link of the record's chain that was followed: the hash is of all rows up to there."""

    sequence: int = 0
    hash: bytes = b""


def views_file(configured: Settings, url: str | None = None) -> Path:
    """Return the file for the record at this URL: the one that is set, else one beside an SQLite record, or in var."""
    if configured.counts_file is not None:
        return configured.counts_file
    parsed = parse_url(url or configured.database_url)
    if parsed.get_backend_name() == "sqlite":
        file = sqlite_file(parsed)
        return file.with_name(f"{file.stem}.views.sqlite3")
    name = hashlib.sha256(f"{parsed.host}:{parsed.port}/{parsed.database}".encode()).hexdigest()[:8]
    return Path("var") / f"{name}.views.sqlite3"


class Views:
    """One file of views; used from any thread."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._local = threading.local()

    @contextmanager
    def open(self, *, is_writing: bool = True) -> Iterator[sqlite3.Connection]:
        """Yield one transaction on the file, which is made where it is not there.

        Raises:
            RecordUnavailable: The file cannot be used.
        """
        try:
            if is_writing:
                self.file.parent.mkdir(parents=True, exist_ok=True)
                self.file.touch(mode=0o600)
            elif not self.file.is_file():
                raise RecordUnavailable(f"the record was not followed into {self.file} yet")
            wait = WAIT_SECONDS if is_writing else _READ_WAIT_SECONDS
            with closing(sqlite3.connect(self.file, timeout=wait, isolation_level=None)) as connection:
                connection.execute("PRAGMA synchronous=NORMAL")
                if is_writing:
                    connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("BEGIN IMMEDIATE" if is_writing else "BEGIN")
                with connection:
                    yield connection
        except (OSError, sqlite3.Error) as error:
            reason = database_error_reason(error)
            raise RecordUnavailable(f"the views of the record in {self.file} cannot be used: {reason}") from error

    def read(self, query: str, *values: Any) -> list[Any]:
        """Return the rows of a query that an index answers, on a connection that this thread keeps.

        Raises:
            RecordUnavailable: The file cannot be read.
        """
        try:
            return self._kept().execute(query, values).fetchall()
        except (OSError, sqlite3.Error) as error:
            self._local.connection = None
            raise RecordUnavailable(
                f"the views of the record in {self.file} cannot be read: {database_error_reason(error)}"
            ) from error

    def _kept(self) -> sqlite3.Connection:
        """Return the connection of this thread; a new one where the file was made again, which is seen in a second."""
        local, now = self._local, monotonic()
        connection: sqlite3.Connection | None = getattr(local, "connection", None)
        if connection is None or now - local.looked_at >= _LOOK_SECONDS:
            inode = self.file.stat().st_ino
            if connection is None or local.inode != inode:
                connection = sqlite3.connect(
                    f"{self.file.absolute().as_uri()}?mode=rw",
                    uri=True,
                    timeout=_READ_WAIT_SECONDS,
                    isolation_level=None,
                    check_same_thread=False,
                )
                local.connection, local.inode = connection, inode
            local.looked_at = now
        return connection

    def set_aside(self) -> None:
        """Rename a damaged file: the next transaction that writes makes a new one."""
        for end in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                self.file.with_name(f"{self.file.name}{end}").replace(f"{self.file}.damaged{end}")

    def mark(self) -> Mark:
        """Return how far the record was followed.

        Raises:
            RecordUnavailable: The file cannot be read.
        """
        rows = self.read("SELECT sequence, hash FROM mark")
        return Mark(*rows[0]) if rows else Mark()

    def is_of(self, url: str) -> bool:
        """Return whether the views are of this record, or of none yet, and it still has what was followed.

        Raises:
            RecordUnavailable: The record or the views cannot be read.
        """
        mark = self.mark()
        return has_link(url, mark.sequence, mark.hash)


def is_damaged(error: sqlite3.Error) -> bool:
    """Return whether an error says that the file is damaged, or is no file of SQLite."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def make_tables(connection: sqlite3.Connection, tables: str) -> None:
    """Make all tables, empty: those of the views themselves and `tables`, those of the projections."""
    kept = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    for name in kept.difference(_KEPT):
        if not name.startswith("sqlite_"):
            connection.execute(f'DROP TABLE "{name}"')
    for statement in filter(str.strip, (TABLES + tables).split(";")):
        connection.execute(statement)


def write_mark(connection: sqlite3.Connection, mark: Mark) -> None:
    """Note how far the record was followed."""
    connection.execute("DELETE FROM mark")
    connection.execute("INSERT INTO mark VALUES (?, ?)", (mark.sequence, mark.hash))
