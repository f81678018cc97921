"""The views of a record in tests: everything that is on record, taken by the follower of a server."""

import sqlite3
from pathlib import Path
from typing import Any

from cds_hooks.decision_views.file import Views, make_tables
from cds_hooks.decision_views.follow import Batch, Follower
from cds_hooks.monitor.book import CountBook, Counts
from cds_hooks.record_views import open_follower
from cds_hooks.settings import Settings


def follow(url: str, **settings: Any) -> Views:
    """The views of the record as it is now; `settings` as a site sets them."""
    follower = open_follower(Settings(database_url=url, **settings))
    follower.catch_up()
    return follower.views


class Book(CountBook):
    """The counts alone, in a file of their own."""

    def __init__(self, file: Path) -> None:
        super().__init__(Views(file))
        if not file.is_file():
            with self.views.open() as connection:
                make_tables(connection, Counts.tables)
                version = Follower("", self.views, (Counts(),)).version
                connection.execute(f"PRAGMA user_version = {version}")

    def read(self, url: str, at_once: int = 500, most: int | None = None) -> int:
        """Counts what is new, up to about `most` rows, and gives how many decisions these were."""

        def stop(done: int) -> None:
            if most is not None and done >= most:
                raise _Stopped

        counted = 0
        take = Counts.take

        class Counting(Counts):
            def take(self, connection: sqlite3.Connection, batch: Batch) -> None:
                nonlocal counted
                counted += len(batch.decisions)
                take(self, connection, batch)

        follower = Follower(url, self.views, (Counting(),))
        try:
            follower.follow(stop, at_once)
        except _Stopped:
            pass
        finally:
            follower.close()
        return counted


class _Stopped(Exception):
    """So many are enough."""
