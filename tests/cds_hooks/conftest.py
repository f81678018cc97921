"""Fixtures: an empty record in SQLite, and in a real PostgreSQL."""

import shutil
from collections.abc import Iterator
from functools import cache
from itertools import count
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from cds_hooks.evidence.storage.database import parse_url
from cds_hooks.evidence.storage.opening import upgrade_schema
from tests.cds_hooks.passwords import hash_quickly
from tests.postgres import postgres_folder, start_postgres

_numbers = count(1)
hash_quickly()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A PostgreSQL of this test run."""
    folder = postgres_folder()
    server = start_postgres(folder)
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        # Its files do not outlive the run. With fsync the end alone took 95 s on a busy machine.
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
    yield server.get_uri()
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres_server: str) -> str:
    """An empty record in PostgreSQL."""
    return _new_database(postgres_server, _database_with_an_empty_record(postgres_server))


@pytest.fixture
def bare_postgres_url(postgres_server: str) -> str:
    """A PostgreSQL database without a record."""
    return _new_database(postgres_server, "template1")


@cache
def _database_with_an_empty_record(server: str) -> str:
    """The name of a database that others are copied from: the tables are made once for all tests."""
    url = make_url(_new_database(server, "template1"))
    upgrade_schema(parse_url(url.render_as_string(hide_password=False)))
    return str(url.database)


def _new_database(server: str, template: str) -> str:
    name = f"record_{next(_numbers)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    return make_url(server).set(database=name).render_as_string(hide_password=False)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A SQLite file that is not there yet."""
    return f"sqlite:///{tmp_path}/decisions.sqlite3"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest) -> str:
    """An empty record, once in each database; PostgreSQL in the slow tier (what differs there: test_postgres.py)."""
    return str(request.getfixturevalue(f"{request.param}_url"))
