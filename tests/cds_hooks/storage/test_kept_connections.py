"""A running server reads PostgreSQL over kept connections, which a restart of the database does not end for long."""

import shutil
from collections.abc import Iterator
from time import sleep
from typing import Any

import psycopg
import pytest
from sqlalchemy import func, select

from cds_hooks.storage.database import kept_connections
from cds_hooks.storage.decision import RecordUnavailable
from cds_hooks.storage.queries import read_rows
from tests.postgres import postgres_folder, start_postgres


def backend(url: str) -> int:
    """The number of the PostgreSQL process that answers."""
    return int(read_rows(url, select(func.pg_backend_pid()))[0][0])


def connections(url: str) -> int:
    """How many others are connected to this database."""
    with psycopg.connect(url) as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])


def _wait_until_none_is_left(url: str) -> None:
    """A process of PostgreSQL ends some milliseconds after its connection was closed."""
    for _ in range(200):
        if connections(url) == 0:
            return
        sleep(0.05)
    raise AssertionError("a connection is left after 10 s")


@pytest.mark.slow
def test_readings_share_a_connection_which_is_closed_with_the_last_server(postgres_url: str) -> None:
    with kept_connections(postgres_url):
        with kept_connections(postgres_url):
            first = backend(postgres_url)
            assert [backend(postgres_url) for _ in range(5)] == [first] * 5
        assert backend(postgres_url) == first
        assert connections(postgres_url) == 1
    _wait_until_none_is_left(postgres_url)
    assert backend(postgres_url) != first
    _wait_until_none_is_left(postgres_url)


@pytest.fixture
def restarted() -> Iterator[Any]:
    """A PostgreSQL of this test alone: `start` starts it and gives its URL, `stop` stops it."""
    folder = postgres_folder()

    class Restarted:
        server: Any = None

        def start(self) -> str:
            self.server = start_postgres(folder)
            found: str = self.server.get_uri()
            return found

        def stop(self) -> None:
            self.server.cleanup()

    one = Restarted()
    yield one
    one.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow
def test_after_a_restart_of_postgresql_reading_goes_on(restarted: Any) -> None:
    url = restarted.start()
    with kept_connections(url):
        before = backend(url)
        restarted.stop()
        with pytest.raises(RecordUnavailable):
            backend(url)
        assert restarted.start() == url
        assert backend(url) != before
        assert backend(url) == backend(url)
