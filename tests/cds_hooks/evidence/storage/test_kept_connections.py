"""A running server reads PostgreSQL over kept connections, which a restart of the database does not end for long."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import func, select

from cds_hooks.evidence.storage.database import kept_connections
from cds_hooks.evidence.storage.decision import RecordUnavailable
from cds_hooks.evidence.storage.queries import read_rows
from tests.postgres import postgres_folder, start_postgres

pytestmark = pytest.mark.slow


def backend(url: str) -> int:
    """The number of the PostgreSQL process that answers."""
    return int(read_rows(url, select(func.pg_backend_pid()))[0][0])


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
