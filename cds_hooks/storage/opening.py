"""Opens the decision log of a database URL and brings its schema up to date."""

from pathlib import Path

from sqlalchemy import URL, Connection, inspect, text

from cds_hooks.storage.database import (
    DATABASE_ERRORS,
    database_error_reason,
    engine_for,
    make_file,
    parse_url,
    reading_engine,
    sqlite_file,
)
from cds_hooks.storage.decision import DecisionLog, RecordUnavailable
from cds_hooks.storage.sqlite import SqliteDecisionLog
from cds_hooks.storage.tables import SCHEMA_VERSION, metadata

_POSTGRES_LOCK = 0x6364_735F_686F_6F6B  # "cds_hook": one name for all workers that migrate the same database


def upgrade_schema(url: URL) -> None:
    """Make the tables of a new record; of one that is there, apply every migration that is missing.

    Raises:
        RecordUnavailable: the database cannot be opened.
    """
    is_sqlite = url.get_backend_name() == "sqlite"
    if is_sqlite:
        make_file(sqlite_file(url))
    try:
        # read without a lock: a worker that restarts must not wait for those that write
        with reading_engine(url).connect() as connection:
            version = schema_version(connection)
            if version == SCHEMA_VERSION:
                return
            refuse_newer(version)
        with engine_for(url).begin() as connection:
            if not is_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _POSTGRES_LOCK})
            version = schema_version(connection)
            if version is None:
                _make_tables(connection)
            elif version != SCHEMA_VERSION:
                _run_migrations(connection)
    except DATABASE_ERRORS as error:
        raise RecordUnavailable(
            f"the record at {url.render_as_string()} cannot be opened: {database_error_reason(error)}"
        ) from error


def schema_version(connection: Connection) -> str | None:
    """Return the version of the database's schema; None for a database without the record."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    version = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return str(version) if version else None


def refuse_newer(version: str | None) -> None:
    """Refuse a record whose schema a newer version of this program made: nothing of it is written or copied.

    Raises:
        RecordUnavailable: The schema is newer than this version's; schemas are numbers of four digits.
    """
    if version is not None and version > SCHEMA_VERSION:
        raise RecordUnavailable(
            f"the record has the schema {version[:32]!r}, which is newer than {SCHEMA_VERSION}, the newest that this "
            "version knows: install the version that wrote it, or restore the backup from before the upgrade into an "
            "empty record (docs/operations/install.md)"
        )


def _make_tables(connection: Connection) -> None:
    """Make a new record from the tables; alembic, whose import takes 0.13 s, is not needed for it."""
    metadata.create_all(connection, checkfirst=False)
    connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
    connection.execute(text("INSERT INTO alembic_version VALUES (:version)"), {"version": SCHEMA_VERSION})


def _run_migrations(connection: Connection) -> None:
    # imported here: a database that is up to date does not need alembic
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def open_decision_log(url: str) -> DecisionLog:
    """Return the decision log of an SQLite or PostgreSQL URL, with its schema brought up to date.

    Raises:
        RecordUnavailable: the database cannot be opened.
    """
    parsed = parse_url(url)
    upgrade_schema(parsed)
    if parsed.get_backend_name() == "sqlite":
        return SqliteDecisionLog(parsed)
    # imported here: psycopg comes with the extra `postgres` only
    from cds_hooks.storage.postgres import PostgresDecisionLog

    return PostgresDecisionLog(parsed)
