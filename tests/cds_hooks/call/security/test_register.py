"""The trust file is followed while the server runs: good changes at once, bad ones not at all."""

import asyncio
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from cds_hooks.call.security.addresses import KeySetUrl
from cds_hooks.call.security.register import WatchedTrustFile
from cds_hooks.call.security.replay import SqliteReplayStore, open_replay_store
from cds_hooks.call.security.trust import ANY_NAME, RegistrableNames
from cds_hooks.call.security.trust_file import TrustFile, read_usable_clients
from cds_hooks.errors import ReplayStoreFailed
from cds_hooks.telemetry.readings import hanging_readings
from tests.cds_hooks.call.security.trusting import CLIENT, Clock, Site
from tests.cds_hooks.logged import capture_logs
from tests.conftest import ROOT
from tests.waiting import until_async


async def _no_fetch(source: KeySetUrl) -> bytes:
    raise AssertionError(f"nothing is fetched here: {source}")


@pytest.fixture
def live(site: Site) -> WatchedTrustFile:
    return WatchedTrustFile(site.file, ANY_NAME, _no_fetch)


def _pass(live: WatchedTrustFile) -> None:
    """Two looks, after which a change has been taken."""
    for _ in range(2):
        asyncio.run(live.look())


def _names(live: WatchedTrustFile) -> list[str]:
    return [client.name for client in live.register.clients]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("version = ", "not-toml"),
        ("x = " + "[" * 5_000, "not-toml"),
        ("x = " + "9" * 5_000, "not-toml"),
        ("version = 2", "form"),
        (CLIENT + 'networks = ["x1"]\n', "content"),
    ],
)
def test_a_bad_file_changes_nothing_and_is_said_once(live: WatchedTrustFile, site: Site, text: str, kind: str) -> None:
    site.write(text)
    with capture_logs() as lines:
        for _ in range(3):
            _pass(live)
            assert _names(live) == ["Example"]
    assert [(line["level"], line["reason"]) for line in lines] == [("error", kind)]
    site.write(CLIENT.replace("Example", "Good again"))
    _pass(live)
    assert _names(live) == ["Good again"]


def test_a_file_that_is_taken_away_changes_nothing(live: WatchedTrustFile, site: Site) -> None:
    site.file.unlink()
    with capture_logs() as lines:
        _pass(live)
        assert _names(live) == ["Example"]
    assert [line["reason"] for line in lines] == ["unreadable"]


_SECOND = CLIENT.replace("Example", "Second").replace("https://ehr", "https://other").replace("version = 1\n", "")


def test_the_last_client_can_be_taken_out_of_the_file(site: Site) -> None:
    site.write(f"{CLIENT}\n{_SECOND}")
    live = WatchedTrustFile(site.file, ANY_NAME, _no_fetch)
    site.write(CLIENT)
    _pass(live)
    assert _names(live) == ["Example"]


def test_where_a_client_lists_its_services_one_without_a_list_may_call_none(site: Site) -> None:
    site.write(f'{CLIENT}services = ["*"]\n\n{_SECOND}')
    with capture_logs() as logs:
        live = WatchedTrustFile(site.file, ANY_NAME, _no_fetch)
    assert [client.may_call({"order-safety"}) for client in live.register.clients] == [True, False]
    assert [line["client"] for line in logs if line["event"] == "client without services may call none"] == ["Second"]
    site.write(f"{CLIENT}\n{_SECOND}")
    _pass(live)
    assert [client.may_call({"order-safety"}) for client in live.register.clients] == [True, True]


async def test_a_reading_that_hangs_is_told_and_stops_neither_calls_nor_the_end(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, answers = [0], threading.Event()

    def read_slowly(path: Path, known: RegistrableNames) -> TrustFile:
        begun[0] += 1
        answers.wait()
        return read_usable_clients(path, known)

    monkeypatch.setattr("cds_hooks.call.security.register.read_usable_clients", read_slowly)
    monkeypatch.setattr("cds_hooks.call.security.register.LOOK_SECONDS", 0.01)
    monkeypatch.setattr("cds_hooks.telemetry.readings._LONGEST_SECONDS", 0.1)
    fetched: list[int] = []
    look = "cds_hooks.call.security.register.WatchedTrustFile.keep_fresh"
    monkeypatch.setattr(look, lambda _: fetched.append(1))
    trust = site.open()
    site.write(CLIENT.replace("Example", "Other"))
    looking = asyncio.create_task(trust.keep_looking())
    await until_async(lambda: list(hanging_readings()))
    told = list(hanging_readings())
    assert [name for name, _ in told] == ["CDS_TRUST_FILE"]
    assert "UTC without an end" in told[0][1]
    fetched.clear()
    await until_async(lambda: fetched, "key sets are not fetched meanwhile")
    assert [client.name for client in trust.clients] == ["Example"]
    answers.set()
    await until_async(lambda: [client.name for client in trust.clients] == ["Other"])
    assert (begun, list(hanging_readings())) == ([1], [])
    looking.cancel()
    await trust.aclose()


NOW = 1_795_000_000.0

_WORKER = """
import asyncio, os, sys
from pathlib import Path
from cds_hooks.call.security.replay import SqliteReplayStore
from cds_hooks.errors import ReplayStoreFailed

async def is_first(store, token):
    try:
        return await store.first_use("https://ehr", token, 2e9, 1.7e9)
    except ReplayStoreFailed:  # another process held the file for longer than a call waits: the client calls again
        return await is_first(store, token)

async def main():
    store = SqliteReplayStore(Path(sys.argv[1]))
    print("ready", flush=True)
    sys.stdin.readline()
    print(sum([await is_first(store, f"jti-{at}") for at in range(300)]), flush=True)
    sys.stdin.readline()

asyncio.run(main())
"""


def _worker(file: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _WORKER, file], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def _say(worker: subprocess.Popen[str]) -> None:
    assert worker.stdin
    worker.stdin.write("\n")
    worker.stdin.flush()


def _hear(worker: subprocess.Popen[str]) -> str:
    assert worker.stdout
    return worker.stdout.readline().strip()


@pytest.mark.slow
def test_processes_that_get_the_same_tokens_at_once_take_each_once(tmp_path: Path) -> None:
    workers = [_worker(tmp_path / "used.sqlite3") for _ in range(3)]
    assert [_hear(worker) for worker in workers] == ["ready"] * 3
    for worker in workers:
        _say(worker)
    assert sum(int(_hear(worker)) for worker in workers) == 300
    for worker in workers:
        _say(worker)
        worker.communicate(timeout=180)


async def test_a_token_that_was_used_before_a_kill_is_not_taken_after_it(tmp_path: Path) -> None:
    worker = _worker(tmp_path / "used.sqlite3")
    assert _hear(worker) == "ready"
    _say(worker)
    assert _hear(worker) == "300"
    worker.kill()
    worker.communicate(timeout=180)
    store = SqliteReplayStore(tmp_path / "used.sqlite3")
    first = await store.first_use("https://ehr", "jti-7", 2e9, 1.7e9)
    await store.aclose()
    assert first is False


@pytest.mark.parametrize("ahead", [60, 1800, 3600, 86_400])
@pytest.mark.slow
async def test_a_clock_that_was_ahead_lets_no_used_token_in_again(tmp_path: Path, ahead: int) -> None:
    uptime = Clock(0)
    idle = SqliteReplayStore(tmp_path / "used.sqlite3", uptime)  # of a worker that had no call for an hour
    store = SqliteReplayStore(tmp_path / "used.sqlite3")
    assert await store.first_use("https://ehr", "used", NOW + 30, NOW)
    uptime.now = 4000
    for number in range(64 * 256):  # once around the table
        await idle.first_use("https://ehr", f"ahead-{number}", NOW + ahead + 60, NOW + ahead)
    is_first = await store.first_use("https://ehr", "used", NOW + 30, NOW + 5)
    await idle.aclose()
    await store.aclose()
    assert is_first is False


@pytest.mark.slow
async def test_a_token_that_ended_is_forgotten_when_its_server_has_run_for_an_hour(tmp_path: Path) -> None:
    file, uptime = tmp_path / "used.sqlite3", Clock(0)
    store, kept = SqliteReplayStore(file, uptime), []
    for uptime.now in (0, 3700, 3800):
        for number in range(64 * 256):
            await store.first_use("https://ehr", f"{number}", NOW - 10_000, NOW)
        with closing(sqlite3.connect(file)) as connection:
            kept += connection.execute("SELECT count(*) / (64 * 256) FROM used").fetchone()
    await store.aclose()
    assert kept == [1, 1, 0]


@pytest.mark.slow
async def test_a_file_that_is_deleted_takes_no_token_until_the_server_starts_again(tmp_path: Path) -> None:
    store = SqliteReplayStore(tmp_path / "used.sqlite3")
    assert await store.first_use("ehr", "a", 4e9, 1)
    (tmp_path / "used.sqlite3").unlink()
    with pytest.raises(ReplayStoreFailed):
        await store.first_use("ehr", "b", 4e9, 1)
    await store.aclose()


async def test_machines_that_share_a_postgresql_take_each_token_once(postgres_url: str) -> None:
    machines = [open_replay_store(postgres_url) for _ in range(3)]
    asked = [each.first_use("https://ehr", f"jti-{at}", NOW + 60, NOW) for at in range(100) for each in machines]
    twice = [machines[0].first_use("https://ehr", "twice", NOW + 60, NOW) for _ in range(2)]
    answers = await asyncio.gather(*asked, *twice)
    for machine in machines:
        await machine.aclose()
    restarted = open_replay_store(postgres_url)
    again = await restarted.first_use("https://ehr", "jti-7", NOW + 60, NOW)
    new = await restarted.first_use("https://ehr", "new", NOW + 60, NOW)
    await restarted.aclose()
    answered = sum(answers), again, new
    assert answered == (101, False, True)


@pytest.mark.slow
async def test_the_call_of_a_tokens_first_use_is_there_for_a_machine_that_has_asked_nothing_yet(
    postgres_url: str,
) -> None:
    first = open_replay_store(postgres_url)
    uses = [await first.first_use("https://ehr", "a", NOW + 60, NOW, call) for call in ("call-1", "call-2", "")]
    await first.aclose()
    other = open_replay_store(postgres_url)
    by = [await other.was_used_by("https://ehr", jti, call)
          for jti, call in (("a", "call-1"), ("a", "call-2"), ("b", "call-1"))]  # fmt: skip
    await other.aclose()
    assert (uses, by) == ([True, False, False], [True, False, False])


async def test_a_connection_that_the_database_ended_while_it_rested_costs_no_call(postgres_url: str) -> None:
    store = open_replay_store(postgres_url)
    assert await store.first_use("https://ehr", "rested-1", NOW + 60, NOW)
    with psycopg.connect(postgres_url, autocommit=True) as administrator:  # as a restart at night does
        ended = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        administrator.execute(f"{ended} AND datname = current_database()")
    assert await store.first_use("https://ehr", "rested-2", NOW + 60, NOW)
    await store.aclose()


async def test_without_its_postgresql_nobody_is_let_in_and_nobody_waits() -> None:
    store = open_replay_store("postgresql://nobody@127.0.0.1:1/nothing")
    for _ in range(2):
        with pytest.raises(ReplayStoreFailed):
            await store.first_use("https://ehr", "x", NOW + 60, NOW)
    await store.aclose()
