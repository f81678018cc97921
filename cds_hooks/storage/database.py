"""Where the record is: the SQLAlchemy URL read once, its SQLite file made ready, its engine."""

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool

from cds_hooks.storage.log import RecordUnavailable

PAGE_BYTES = 4096
LOCK_WAIT_SECONDS = 5.0


def parse_url(text: str) -> URL:
    """The URL of an SQLite file or of PostgreSQL through psycopg 3; RecordUnavailable for anything else."""
    try:
        url = make_url(text)
    except ArgumentError as error:
        raise RecordUnavailable(
            "the database URL is not an SQLAlchemy URL such as sqlite:///var/decisions.sqlite3"
        ) from error
    backend = "postgresql" if url.drivername == "postgres" else url.get_backend_name()
    if backend == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    if backend == "sqlite" and url.database not in (None, "", ":memory:"):
        return url
    raise RecordUnavailable(f"the record is kept in an SQLite file or in PostgreSQL, not in {url.drivername}://")


def sqlite_file(url: URL) -> Path:
    """The file of an SQLite URL."""
    return Path(url.database or "")


def make_folder(file: Path) -> None:
    """The file's folder is there afterwards; RecordUnavailable when it cannot be made."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise RecordUnavailable(f"the record's folder {file.parent} cannot be made: {reason}") from error


def connect_sqlite(file: Path) -> sqlite3.Connection:
    """A connection without transactions of its own, on which nobody waits for a lock and nobody checkpoints unasked."""
    # used by one thread at a time, though not always by the one that opened it
    connection = sqlite3.connect(file, isolation_level=None, timeout=0, check_same_thread=False)
    for statement in ("PRAGMA synchronous=NORMAL", "PRAGMA wal_autocheckpoint=0"):
        connection.execute(statement)
    return connection


def engine_for(url: URL) -> Engine:
    """An engine whose SQLite transactions take the write lock at once, so that two processes never migrate together."""
    if url.get_backend_name() == "postgresql":
        return create_engine(url, poolclass=NullPool)
    engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": LOCK_WAIT_SECONDS})

    @event.listens_for(engine, "connect")
    def _set_up(connection: DBAPIConnection, _record: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA page_size={PAGE_BYTES}")
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine
