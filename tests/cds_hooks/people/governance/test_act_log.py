"""No act of the record is missed: whatever fails while it is read, it is in effect after the next reading."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from cds_hooks.evidence.storage.decision import RecordUnavailable
from cds_hooks.people.governance.acts import READ_SECONDS, keep_reading
from cds_hooks.people.governance.releases import Releases
from tests.cds_hooks.people.governance.clicking import put_command
from tests.live import record_in
from tests.waiting import until_async


def _act(url: str, state: Any, name: str) -> None:
    put_command(url, state, "service", name)


@contextmanager
def standby_that_takes_over(folder: Path) -> Iterator[None]:
    """What is written meanwhile is lost: the standby has not the last commits of the database that failed."""
    standby = folder / "standby"
    with closing(sqlite3.connect(folder / "decisions.sqlite3")) as record:
        standby.write_bytes(record.serialize())
    yield
    for file in folder.glob("decisions.sqlite3-*"):
        file.unlink()
    standby.replace(folder / "decisions.sqlite3")


def test_acts_that_took_the_numbers_of_lost_ones_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url, releases = record_in(tmp_path), Releases(None)
    _act(url, "off", "kept")
    with standby_that_takes_over(tmp_path):
        _act(url, "off", "lost")
        _act(url, "off", "lost too")
        releases.read(url)
        assert (len(releases.current.states), releases.lost) == (3, "")
    _act(url, "off", "new")
    answers: Iterator[list[Any]] = iter([[]])

    def goes_away(*_: Any) -> Any:
        for rows in answers:
            return rows
        raise RecordUnavailable("away")

    with monkeypatch.context() as patched:
        patched.setattr("cds_hooks.people.governance.acts.read_rows", goes_away)
        with pytest.raises(RecordUnavailable):
            releases.read(url)
    assert "service kept" in releases.current.words, "nothing is let speak while the record is read anew"
    releases.read(url)
    assert set(releases.current.words) == {"service kept", "service new"}
    assert not releases.refused
    assert "gone since" in releases.lost
    _act(url, "on", "kept")
    releases.read(url)
    assert set(releases.current.words) == {"service new"}


async def test_acts_do_not_wait_behind_uploads_and_messages(tmp_path: Path) -> None:
    """Uploads, feedback and reports are read on the threads of the loop, of which there are few."""
    url, releases, ended = record_in(tmp_path), Releases(None), Event()
    uploads = [asyncio.create_task(asyncio.to_thread(ended.wait)) for _ in range(64)]
    reading = asyncio.create_task(keep_reading(partial(releases.read, url), READ_SECONDS))
    _act(url, "off", "switched")
    try:
        await until_async(lambda: releases.current.states)
    finally:
        ended.set()
        reading.cancel()
        await asyncio.gather(*uploads)
    assert releases.current.words == {"service switched": "off"}
