"""Opens the database of a URL: parses the URL, prepares an SQLite file, creates engines."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import NullPool, QueuePool

from cds_hooks.evidence.storage.decision import RecordUnavailable
from cds_hooks.evidence.storage.tables import SCHEMA_VERSION
from fhir.terminology.caching import remembered

LOCK_WAIT_SECONDS = 5.0
_POSTGRES_SOCKET: Final = {
    "connect_timeout": "5",
    "tcp_user_timeout": "10000",
    "keepalives_idle": "10",
    "keepalives_interval": "3",
    "keepalives_count": "3",
}
"""A PostgreSQL that vanished from the network is noticed in about 20 s, not in the system's 15 minutes and more: nobody
reads acts meanwhile, and the threads that wait are missing elsewhere. The URL of the site can name other values."""
BOUND_WAITS: Final = (
    "SELECT set_config('idle_in_transaction_session_timeout', '15s', false), set_config('lock_timeout', '5s', false)"
)
"""A machine that dies in the middle of a transaction holds its locks no longer, and nobody waits longer for a lock of
another program (a migration, a VACUUM FULL) than for one of SQLite. PostgreSQL would wait for hours, and so would
everybody who records or reads a decision, an answer or an act, each in a thread that others need."""
_DEFAULT_FOLDER: Final = Path("var")
_MOST_LOG_BYTES: Final = 64 * 2**20


def parse_url(text: str) -> URL:
    """Return the URL of an SQLite file, or of PostgreSQL through psycopg 3.

    Raises:
        RecordUnavailable: it is any other URL.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        example = "sqlite:///var/decisions.sqlite3"
        raise RecordUnavailable(
            f"the database URL is not an SQLAlchemy URL such as {example}; nothing was read"
        ) from error
    name = url.drivername.partition("+")[0]
    if name in ("postgresql", "postgres"):
        # a database made without a locale is SQL_ASCII, and its texts would come as bytes
        return url.set(drivername="postgresql+psycopg").update_query_dict({"client_encoding": "utf8"})
    if name == "sqlite" and url.database not in (None, "", ":memory:"):
        return url
    raise RecordUnavailable(f"the record is kept in an SQLite file or in PostgreSQL, not in {shown_url(url)}")


def shown_url(url: URL) -> str:
    """Return a URL for people: without the password, and without the query, where one may stand, too."""
    database = url.database or ""
    # Of "//user:12/34@host/name" and "//user:12@34@host/name": a password that is not quoted.
    if "@" in (url.host or "") or ("@" in database and url.get_backend_name() != "sqlite"):
        url = url.set(database="***", host="***", port=None)
    return url.set(query={}).render_as_string(hide_password=True)


def sqlite_file(url: URL) -> Path:
    """Return the file of an SQLite URL."""
    return Path(url.database or "")


def make_file(file: Path) -> None:
    """Create the file where it does not exist; of the folders only the default one.

    Raises:
        RecordUnavailable: It cannot be created, or its folder is not there, as where a volume was not mounted.
    """
    if file.parent != _DEFAULT_FOLDER and not file.parent.is_dir():
        raise RecordUnavailable(
            f"the folder {file.parent} of the record is not there, and none is made, because an empty record would "
            "take the place of yours: mount its volume, or make the folder for a new record"
        )
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # it will hold patients' data: only this user may read it, and SQLite gives its other files the same permissions
        file.touch(mode=0o600)
    except OSError as error:
        raise RecordUnavailable(f"the record {file} cannot be made: {database_error_reason(error)}") from error


def connect_sqlite(file: Path) -> sqlite3.Connection:
    """Return a connection in autocommit mode that does not wait for locks and has no automatic checkpoints."""
    # used by one thread at a time, though not always by the one that opened it
    connection = sqlite3.connect(file, isolation_level=None, timeout=LOCK_WAIT_SECONDS, check_same_thread=False)
    log = f"journal_size_limit={_MOST_LOG_BYTES}"  # what a long reader made it grow beyond is given back
    for setting in ("synchronous=NORMAL", "wal_autocheckpoint=0", log, "busy_timeout=0"):
        connection.execute(f"PRAGMA {setting}")
    return connection


def engine_for(url: URL) -> Engine:
    """Return an engine for writing: its SQLite transactions take the write lock at their beginning, and wait for it."""
    return _engine(url, True)


def reading_engine(url: URL) -> Engine:
    """Return an engine for reading that never creates a file.

    Raises:
        RecordUnavailable: there is no record yet.
    """
    if url.get_backend_name() == "sqlite" and not sqlite_file(url).is_file():
        raise RecordUnavailable(
            f"there is no record at {sqlite_file(url)}. Check the path, which --database or CDS_DATABASE_URL gives; a "
            "server makes the record when it starts"
        )
    engine = _KEPT.engine_for(url) or _engine(_readable(url), False)
    return engine.execution_options(isolation_level="AUTOCOMMIT")


class _KeptConnections:
    """The pools of a server that is running: it reads the record several times a second, each from any thread."""

    def __init__(self) -> None:
        self._pools: dict[str, tuple[Engine, int]] = {}
        self._changing = Lock()

    def engine_for(self, url: URL) -> Engine | None:
        """Return the engine with kept connections; None where nobody keeps any for this database."""
        pool = self._pools.get(_name_of(url)) if self._pools else None
        return pool[0] if pool is not None else None

    def take(self, url: URL) -> None:
        with self._changing:
            engine, users = self._pools.get(_name_of(url)) or (_pooled(url), 0)
            self._pools[_name_of(url)] = (engine, users + 1)

    def give_back(self, url: URL) -> None:
        with self._changing:
            engine, users = self._pools.pop(_name_of(url))
            if users > 1:
                self._pools[_name_of(url)] = (engine, users - 1)
                return
        engine.dispose()


_KEPT: Final = _KeptConnections()


def _name_of(url: URL) -> str:
    return url.render_as_string(hide_password=False)


def noticing_loss(url: URL) -> URL:
    """Return the URL for a connection by which a PostgreSQL that vanished from the network is noticed."""
    return url.set(query={**_POSTGRES_SOCKET, **url.query})


def _pooled(url: URL) -> Engine:
    """Two connections are kept; one that was lost, as after a restart of the database, is noticed and opened again."""
    engine = create_engine(
        noticing_loss(url),
        poolclass=QueuePool,
        pool_size=2,
        max_overflow=8,
        pool_timeout=LOCK_WAIT_SECONDS,
        pool_pre_ping=True,
    )
    return _with_bounded_waits(engine)


def _with_bounded_waits(engine: Engine) -> Engine:
    @event.listens_for(engine, "connect")
    def _set_up(connection: DBAPIConnection, _record: Any) -> None:
        connection.autocommit = True  # what is set in a transaction goes with it where that is rolled back
        connection.cursor().execute(BOUND_WAITS)
        connection.autocommit = False

    return engine


@contextmanager
def kept_connections(text: str) -> Iterator[None]:
    """Meanwhile a PostgreSQL is read over kept connections, which are closed at the end; of SQLite none are kept.

    Opening one takes PostgreSQL a new process and some 5 ms.
    """
    url = parse_url(text)
    if url.get_backend_name() != "postgresql":
        yield
        return
    _KEPT.take(url)
    try:
        yield
    finally:
        _KEPT.give_back(url)


def _readable(url: URL) -> URL:
    """Return the URL for reading a write-protected SQLite file, beside which SQLite cannot create its other files."""
    if url.get_backend_name() != "sqlite":
        return url
    file = sqlite_file(url)
    if os.access(file.parent, os.W_OK) or file.with_name(file.name + "-wal").exists():
        return url
    return url.set(database=f"file:{quote(str(file.absolute()))}", query={"immutable": "1", "uri": "true"})


DATABASE_ERRORS: Final = (DBAPIError, PoolTimeout, ImportError, OSError)
"""What a database that cannot be used raises; a pool without a free connection has an error of its own."""


# An engine holds no connection open (NullPool), but the statements that it compiled: a query takes 5 ms less with it.
@remembered("database engines", entries=8, longest=600)
def _engine(url: URL, is_writing: bool) -> Engine:
    if url.get_backend_name() == "postgresql":
        # whatever the database's default: the newest row is read after the wait for its lock (`postgres.py`)
        return _with_bounded_waits(
            create_engine(noticing_loss(url), poolclass=NullPool, isolation_level="READ COMMITTED")
        )
    engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": LOCK_WAIT_SECONDS})
    settings = (
        # what is taken out of the tables must not stay in the file: not every SQLite is built to overwrite it
        ["journal_mode=WAL", "synchronous=NORMAL", "secure_delete=ON"] if is_writing else ["query_only=ON"]
    )

    @event.listens_for(engine, "connect")
    def _set_up(connection: DBAPIConnection, _record: Any) -> None:
        connection.isolation_level = (
            None  # as SQLAlchemy's documentation recommends: the driver does not begin transactions itself
        )
        cursor = connection.cursor()
        for setting in settings:
            cursor.execute(f"PRAGMA {setting}")
        cursor.close()

    if is_writing:
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


NOT_UTF_8: Final = "Could not decode to UTF-8"
"""What SQLite says of a text that somebody has put in; no server writes one."""


def database_error_reason(error: Exception) -> str:
    """Give the database's or the operating system's message in one line, without the values that are stored."""
    if isinstance(error, DBAPIError):
        error = error.orig if isinstance(error.orig, Exception) else error
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    lines = str(error).strip().splitlines()
    if lines and lines[0].startswith(NOT_UTF_8):
        return lines[0].partition(" with text ")[0]
    return lines[0] if lines else type(error).__name__


def refuse_other_tables(url: URL, error: Exception) -> None:
    """Refuse a record that cannot be used because its tables are those of another version of this program.

    A PostgreSQL that does not answer is not asked again: that would wait once more.

    Raises:
        RecordUnavailable: They are; nothing is raised where that cannot be seen.
    """
    if url.get_backend_name() != "sqlite" and not isinstance(error, ProgrammingError):
        return
    with suppress(*DATABASE_ERRORS), reading_engine(url).connect() as connection:
        refuse_other(schema_version(connection) or SCHEMA_VERSION)


def schema_version(connection: Connection) -> str | None:
    """Return the version of the database's schema; None for a database without the record."""
    if not inspect(connection).has_table("record_schema"):
        return None
    version = connection.scalar(text("SELECT version FROM record_schema"))
    return str(version) if version else None


def refuse_other(version: str) -> None:
    """Refuse a record whose schema another version of this program made: nothing of it is written or copied.

    Raises:
        RecordUnavailable: The schema is not this version's.
    """
    if version != SCHEMA_VERSION:
        raise RecordUnavailable(
            f"the record has the schema {version[:32]!r}, and this version reads {SCHEMA_VERSION!r} only: install the "
            "version that wrote it, or restore the backup from before the upgrade into an empty record "
            "(docs/operations/install.md)"
        )
