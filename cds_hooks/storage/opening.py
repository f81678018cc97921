"""Opens the decision log of a database URL and brings its schema up to date."""

from pathlib import Path

from sqlalchemy import URL, Connection, create_engine, inspect, text

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
from cds_hooks.storage.tables import SCHEMA_VERSION

SQLITE_SCRIPT = Path(__file__).parent / "migrations" / "sqlite.sql"
"""What all migrations together make of an empty SQLite file; `cds-hooks reference` makes it again."""

_POSTGRES_LOCK = 0x6364_735F_686F_6F6B  # "cds_hook": one name for all workers that migrate the same database


def upgrade_schema(url: URL) -> None:
    """Applies every migration that is missing.

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
            if schema_version(connection) != SCHEMA_VERSION and not (is_sqlite and _made_at_once(connection)):
                _run_migrations(connection)
    except DATABASE_ERRORS as error:
        raise RecordUnavailable(
            f"the record at {url.render_as_string()} cannot be opened: {database_error_reason(error)}"
        ) from error


def schema_version(connection: Connection) -> str | None:
    """Returns the version of the database's schema; None for a database without the record."""
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


def _made_at_once(connection: Connection) -> bool:
    """Returns whether the script of this version made the tables of an empty SQLite file.

    So that alembic, whose import takes 0.13 s, is not needed for a new record.
    """
    version, *statements = SQLITE_SCRIPT.read_text(encoding="utf-8").strip().split("\n\n")
    if version != f"-- {SCHEMA_VERSION}" or connection.exec_driver_sql("SELECT 1 FROM sqlite_master").first():
        return False
    for statement in statements:
        connection.exec_driver_sql(statement)
    connection.execute(text("INSERT INTO alembic_version VALUES (:version)"), {"version": SCHEMA_VERSION})
    return True


def sqlite_script() -> str:
    """Returns the text of `SQLITE_SCRIPT`: the version, and every statement that SQLite keeps after all migrations."""
    with create_engine("sqlite://").begin() as connection:
        _run_migrations(connection)
        statements = connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid")
        return "\n\n".join([f"-- {SCHEMA_VERSION}", *statements.scalars()]) + "\n"


def make_older_schema(url: URL, version: str) -> None:
    """Makes the tables of an older version in a database without a record, for the rows of a backup of that version.

    Raises:
        RecordUnavailable: There is a record already, or the database cannot be opened.
    """
    if url.get_backend_name() == "sqlite":
        make_file(sqlite_file(url))
    try:
        with engine_for(url).begin() as connection:
            if schema_version(connection) is not None:
                raise RecordUnavailable(
                    f"a backup with the schema {version} is restored into a database in which there is no record yet"
                )
            _run_migrations(connection, version)
    except DATABASE_ERRORS as error:
        raise RecordUnavailable(
            f"the record at {url.render_as_string()} cannot be made: {database_error_reason(error)}"
        ) from error


def _run_migrations(connection: Connection, version: str = SCHEMA_VERSION) -> None:
    # imported here: a database that is up to date does not need alembic
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, version)


def open_decision_log(url: str) -> DecisionLog:
    """Returns the decision log of an SQLite or PostgreSQL URL, with its schema brought up to date.

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
