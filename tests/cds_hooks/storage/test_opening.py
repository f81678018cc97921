"""The schema: up from nothing, once, and as `tables.py` says."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from cds_hooks.storage import opening
from cds_hooks.storage.database import engine_for, parse_url, reading_engine
from cds_hooks.storage.decision import RecordUnavailable
from cds_hooks.storage.opening import upgrade_schema
from cds_hooks.storage.tables import SCHEMA_VERSION, metadata


@pytest.fixture
def postgres_url(bare_postgres_url: str) -> str:
    """Here without a record."""
    return bare_postgres_url


def test_from_nothing_and_again(url: str) -> None:
    for _ in range(2):
        opening.upgrade_schema(parse_url(url))
        with reading_engine(parse_url(url)).connect() as connection:
            assert opening.schema_version(connection) == SCHEMA_VERSION


def test_a_new_record_has_the_tables_that_the_code_uses(url: str) -> None:
    opening.upgrade_schema(parse_url(url))
    with engine_for(parse_url(url)).begin() as connection:
        found: list[Any] = compare_metadata(MigrationContext.configure(connection), metadata)
    assert found == []


def test_a_record_of_the_first_release_gets_the_charts(url: str) -> None:
    opening.upgrade_schema(parse_url(url))
    with engine_for(parse_url(url)).begin() as connection:
        for statement in (
            "DROP TABLE charts",
            "DROP INDEX decisions_by_chart",
            "ALTER TABLE decisions DROP COLUMN chart",
            "UPDATE alembic_version SET version_num = '0001'",
        ):
            connection.execute(text(statement))
        if not url.startswith("sqlite"):
            for function in ("charts_refuse", "charts_refuse_row"):
                connection.execute(text(f"DROP FUNCTION {function}"))
    opening.upgrade_schema(parse_url(url))
    with engine_for(parse_url(url)).begin() as connection:
        assert opening.schema_version(connection) == SCHEMA_VERSION
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        connection.execute(text("INSERT INTO charts (hash, content) VALUES ('a', 'b')"))
    with pytest.raises(Exception, match="charts is append-only"), engine_for(parse_url(url)).begin() as connection:
        connection.execute(text("UPDATE charts SET content = 'c'"))


def test_alembic_is_not_loaded_for_a_new_sqlite_file(sqlite_url: str) -> None:
    opened = f"from cds_hooks.storage.opening import open_decision_log as o; o({sqlite_url!r}); import sys; "
    shown = subprocess.run([sys.executable, "-c", opened + "print('alembic' in sys.modules)"], capture_output=True)
    assert shown.stdout.strip() == b"False", shown.stderr


def test_the_newest_migration_is_the_one_the_code_asks_for() -> None:
    scripts = ScriptDirectory(str(Path(opening.__file__).parent / "migrations"))
    assert scripts.get_heads() == [SCHEMA_VERSION]


def test_the_sqlite_file_is_in_wal_mode_with_the_page_size_that_was_measured(sqlite_url: str) -> None:
    opening.upgrade_schema(parse_url(sqlite_url))
    with reading_engine(parse_url(sqlite_url)).connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA page_size").scalar() == 8192


def test_the_folder_of_a_record_is_not_made_because_its_volume_may_not_be_mounted(tmp_path: Path) -> None:
    folder = tmp_path / "volume" / "record"
    with pytest.raises(RecordUnavailable, match="mount its volume"):
        upgrade_schema(parse_url(f"sqlite:///{folder}/decisions.sqlite3"))
    assert not folder.exists()
    folder.mkdir(parents=True)
    upgrade_schema(parse_url(f"sqlite:///{folder}/decisions.sqlite3"))
