"""No act of the record is missed: whatever fails while it is read, it is in effect after the next reading."""

import asyncio
import random
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from cds_hooks.hold_back import acts
from cds_hooks.hold_back.acts import Act, Entry
from cds_hooks.hold_back.releases import Releases
from cds_hooks.storage import queries
from cds_hooks.storage.decision import RecordUnavailable
from cds_hooks.storage.entries import add_event
from tests.cds_hooks.hold_back.clicking import put_command
from tests.live import record_in


def _act(url: str, state: Any, name: str) -> None:
    put_command(url, state, "service", name)


def _write_history(url: str, chance: random.Random, entries: int) -> None:
    off: set[str] = set()
    for number in range(entries):
        name = f"service-{chance.randrange(8)}"
        if number % 5 == 0:
            add_event(url, "legal-hold", "a test", {"why": "an event of another kind"})
        _act(url, "on" if name in off else "off", name)
        off ^= {name}


def _failing(function: Callable[..., Any], chance: random.Random, faults: Sequence[Exception]) -> Callable[..., Any]:
    def fail_at_times(*arguments: Any, **more: Any) -> Any:
        if chance.random() < 0.3:
            raise chance.choice(faults)
        return function(*arguments, **more)

    return fail_at_times


_DATABASE_FAULTS = (RecordUnavailable("busy"), MemoryError("no memory"), RuntimeError("a fault that nobody expected"))


@pytest.mark.parametrize("seed", range(2))
def test_two_readers_whose_readings_fail_at_any_point_have_every_act_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    url, chance = record_in(tmp_path), random.Random(seed)
    monkeypatch.setattr(acts, "_ROWS_AT_ONCE", 7)
    monkeypatch.setattr(acts, "_MOST_TRIES", 10_000)
    releases = Releases(None)
    with monkeypatch.context() as faulty:
        faulty.setattr(acts, "read_rows", _failing(queries.read_rows, chance, _DATABASE_FAULTS))
        faulty.setattr(Releases, "_act", _failing(Releases._act, chance, [KeyError("missing"), TypeError("a type")]))

        def read_again_and_again() -> None:
            for _ in range(150):
                with suppress(Exception):
                    releases.read(url)

        readers = [Thread(target=read_again_and_again) for _ in range(2)]
        for reader in readers:
            reader.start()
        _write_history(url, chance, 40)
        for reader in readers:
            reader.join()
    releases.read(url)
    undisturbed = Releases(None)
    undisturbed.read(url)
    assert not releases.refused
    assert [act.at for act in releases.acts] == [act.at for act in undisturbed.acts]
    assert releases.current == undisturbed.current


def test_an_entry_that_always_fails_does_not_stop_those_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, releases, take = record_in(tmp_path), Releases(None), Releases._act

    def fail_at_first(releases: Releases, entry: Entry) -> Act:
        act = take(releases, entry)
        if act.name == "first":
            raise ZeroDivisionError
        return act

    monkeypatch.setattr(Releases, "_act", fail_at_first)
    _act(url, "off", "before")
    _act(url, "off", "first")
    _act(url, "off", "second")
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            releases.read(url)
        assert releases.current.words == {"service before": "off"}, "what was read before the fault is in effect"
    releases.read(url)
    assert releases.current.words == {"service before": "off", "service second": "off"}
    assert releases.refused == ["entry 2 of the record does not count: reading it failed with ZeroDivisionError"]


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


def test_acts_that_took_the_numbers_of_lost_ones_count(tmp_path: Path) -> None:
    url, releases = record_in(tmp_path), Releases(None)
    _act(url, "off", "kept")
    with standby_that_takes_over(tmp_path):
        _act(url, "off", "lost")
        _act(url, "off", "lost too")
        releases.read(url)
        assert len(releases.current.states) == 3
    _act(url, "off", "new")
    releases.read(url)
    assert set(releases.current.words) == {"service kept", "service new"}
    assert not releases.refused
    _act(url, "on", "kept")
    releases.read(url)
    assert set(releases.current.words) == {"service new"}


async def test_acts_do_not_wait_behind_uploads_and_messages(tmp_path: Path) -> None:
    """Uploads, feedback and reports are read on the threads of the loop, of which there are few."""
    url, releases, ended = record_in(tmp_path), Releases(None), Event()
    uploads = [asyncio.create_task(asyncio.to_thread(ended.wait)) for _ in range(64)]
    reading = asyncio.create_task(releases.keep_reading(url))
    _act(url, "off", "switched")
    try:
        async with asyncio.timeout(10):
            while not releases.current.states:
                await asyncio.sleep(0.01)
    finally:
        ended.set()
        reading.cancel()
        await asyncio.gather(*uploads)
    assert releases.current.words == {"service switched": "off"}


def test_a_pool_without_a_free_connection_is_a_record_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = record_in(tmp_path)
    for fault in (PoolTimeout("no connection is free"), OperationalError("SELECT", None, Exception("gone"))):
        engine = create_engine("sqlite://")
        monkeypatch.setattr(engine, "connect", _failing(engine.connect, _Always(), [fault]))
        monkeypatch.setattr(queries, "reading_engine", lambda _, engine=engine: engine)
        with pytest.raises(RecordUnavailable):
            Releases(None).read(url)


class _Always(random.Random):
    def random(self) -> float:
        return 0.0


@pytest.mark.parametrize(("until", "read"), [(99.0, []), (100.0, ["a"]), (100.5, ["a"]), (200.0, ["a", "b"])])
def test_an_entry_of_the_last_instant_is_still_read(
    tmp_path: Path, until: float, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, taken = record_in(tmp_path), list[str]()
    for second, name in ((100, "a"), (200, "b")):
        monkeypatch.setattr("cds_hooks.storage.entries.time_ns", lambda second=second: second * 10**9)
        add_event(url, "made", name, {})
    acts.ActLog(("made",), lambda entry: taken.append(entry.actor), taken.clear).read(url, until)
    assert taken == read
