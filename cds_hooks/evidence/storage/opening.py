"""Opens the decision log of a database URL and makes its tables where it is new."""

from sqlalchemy import URL, Connection, inspect, text

from cds_hooks.evidence.storage.database import (
    DATABASE_ERRORS,
    database_error_reason,
    engine_for,
    make_file,
    parse_url,
    reading_engine,
    refuse_other,
    schema_version,
    shown_url,
    sqlite_file,
)
from cds_hooks.evidence.storage.decision import DecisionLog, RecordUnavailable
from cds_hooks.evidence.storage.sqlite import SqliteDecisionLog
from cds_hooks.evidence.storage.tables import SCHEMA_VERSION, metadata

_POSTGRES_LOCK = 0x6364_735F_686F_6F6B  # "cds_hook": one name for all workers that open the same new database


def upgrade_schema(url: URL) -> None:
    """Make the tables of a new record; of one that is there, see that this version made them.

    Raises:
        RecordUnavailable: the database cannot be opened, or another version of this program made its tables.
    """
    is_sqlite = url.get_backend_name() == "sqlite"
    if is_sqlite:
        make_file(sqlite_file(url))
    try:
        # read without a lock: a worker that restarts must not wait for those that write
        with reading_engine(url).connect() as connection:
            if _has_schema(connection):
                return
        with engine_for(url).begin() as connection:
            if not is_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _POSTGRES_LOCK})
            if not _has_schema(connection):
                metadata.create_all(connection, checkfirst=False)
                connection.exec_driver_sql("CREATE TABLE record_schema (version VARCHAR(32) NOT NULL PRIMARY KEY)")
                connection.execute(text("INSERT INTO record_schema VALUES (:version)"), {"version": SCHEMA_VERSION})
    except DATABASE_ERRORS as error:
        raise RecordUnavailable(
            f"the record at {shown_url(url)} cannot be opened: {database_error_reason(error)}"
        ) from error


def _has_schema(connection: Connection) -> bool:
    version = schema_version(connection)
    if version is not None:
        refuse_other(version)
    elif inspect(connection).has_table("decisions"):
        refuse_other("of before 1.0")
    return version is not None


def open_decision_log(url: str) -> DecisionLog:
    """Return the decision log of an SQLite or PostgreSQL URL, its tables made where it is new.

    Raises:
        RecordUnavailable: the database cannot be opened, or another version made its tables.
    """
    parsed = parse_url(url)
    upgrade_schema(parsed)
    if parsed.get_backend_name() == "sqlite":
        return SqliteDecisionLog(parsed)
    # imported here: psycopg comes with the extra `postgres` only
    from cds_hooks.evidence.storage.postgres import PostgresDecisionLog

    return PostgresDecisionLog(parsed)
