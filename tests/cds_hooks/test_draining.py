"""A server that drains before it ends, and the supervisor of its workers, in one process."""

import asyncio
import multiprocessing
import os
import signal
import socket
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import uvicorn

from cds_hooks import server
from cds_hooks.protocol.body import SCANS_IN_C
from cds_hooks.routes.health import DRAINING
from cds_hooks.server import DrainingServer, Supervisor, _Worker
from cds_hooks.settings import Settings
from tests.cds_hooks.logged import capture_logs


def _settings(monkeypatch: pytest.MonkeyPatch, **changed: Any) -> None:
    configured = Settings(**changed)
    monkeypatch.setattr(server, "settings", lambda: configured)


async def _app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await receive()
        scope["state"]["services"] = 17
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})


def _config(workers: int = 1) -> uvicorn.Config:
    return uvicorn.Config(_app, lifespan="on", log_config=None, ws="none", workers=workers)


class _Ending(DrainingServer):
    """Ends at once, after the signals that are given."""

    signals: tuple[int, ...] = ()
    seconds = -1.0

    async def main_loop(self) -> None:
        self._captured_signals.extend(self.signals)

    async def _drain(self, seconds: float) -> None:
        self.seconds = seconds
        await super()._drain(0)


def _served(ending: _Ending) -> tuple[list[dict[str, Any]], str]:
    """The lines of the log, and the address that the server listened on."""
    with capture_logs() as lines, socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        asyncio.run(ending._serve([listening]))
    return lines, address


def test_a_server_logs_what_it_serves_and_that_it_stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for trust_file, url, profile, database in (
        (None, "sqlite:///x.sqlite3", "development", "sqlite"),
        (tmp_path / "trust.toml", "postgresql+psycopg://u@h/d", "trust-file", "postgresql"),
    ):
        _settings(monkeypatch, trust_file=trust_file, database_url=url)
        lines, address = _served(_Ending(_config(workers=3)))
        assert [{key: line[key] for key in line if key not in {"timestamp", "level"}} for line in lines] == [
            {"event": "serving", "version": version("cds-hooks-onnx"), "address": address, "pid": os.getpid(),
             "workers": 3, "database": database, "services": 17, "profile": profile,
             "body_scan": "c" if SCANS_IN_C else "python"},
            {"event": "stopped", "pid": os.getpid()},
        ]  # fmt: skip


def test_only_a_server_that_is_told_to_end_by_sigterm_drains(monkeypatch: pytest.MonkeyPatch) -> None:
    _settings(monkeypatch, drain_seconds=7)
    for signals, seconds in (((), 0.0), ((signal.SIGINT,), 0.0), ((signal.SIGTERM,), 7.0)):
        ending = _Ending(_config())
        ending.signals = signals
        _served(ending)
        assert ending.seconds == seconds
        assert DRAINING not in ending.lifespan.state


class _Clock:
    """The time of a loop that passes only while something waits."""

    def __init__(self) -> None:
        self.now = 100.0
        self.waits: list[float] = []
        self.after: Any = lambda: None

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds
        self.after()


def _draining(monkeypatch: pytest.MonkeyPatch) -> tuple[DrainingServer, _Clock]:
    clock = _Clock()
    monkeypatch.setattr(
        server, "asyncio", SimpleNamespace(get_running_loop=lambda: clock, sleep=clock.sleep), raising=True
    )
    draining = DrainingServer(_config())
    draining.lifespan = cast("Any", SimpleNamespace(state={}))
    draining.server_state.default_headers = [(b"date", b"today")]
    draining.server_state.connections.update(cast("Any", {1, 2}))
    return draining, clock


def test_while_a_server_drains_it_is_not_ready_and_closes_what_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    draining, clock = _draining(monkeypatch)
    with capture_logs() as lines:
        asyncio.run(draining._drain(0.1))
    assert draining.lifespan.state == {DRAINING: True}
    assert draining.server_state.default_headers == [(b"date", b"today"), (b"connection", b"close")]
    assert clock.waits == [0.05, 0.05]
    assert [(line["event"], line["pid"], line["count"]) for line in lines] == [("draining", os.getpid(), 2)]


def test_a_server_that_may_not_drain_or_is_forced_to_end_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    draining, clock = _draining(monkeypatch)
    asyncio.run(draining._drain(0.0))
    assert (draining.lifespan.state, clock.waits) == ({}, [])
    clock.after = lambda: setattr(draining, "force_exit", True)
    asyncio.run(draining._drain(600.0))
    assert clock.waits == [0.05]


async def test_a_worker_ends_like_on_sigterm_when_its_supervisor_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.pipe()
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: SimpleNamespace(sentinel=ours))
    worker = DrainingServer(_config())
    with capture_logs() as lines:
        worker._follow_supervisor()
        await asyncio.sleep(0)
        assert not worker.should_exit
        os.close(theirs)
        async with asyncio.timeout(60):
            while not worker.should_exit:
                await asyncio.sleep(0)
        assert not asyncio.get_running_loop().remove_reader(ours), "removed already"
    os.close(ours)
    assert worker._captured_signals == [signal.SIGTERM]
    assert [(line["level"], line["event"], line["pid"]) for line in lines] == [
        ("error", "supervisor is gone, this worker ends", os.getpid())
    ]


async def test_a_server_without_a_supervisor_follows_none() -> None:
    assert multiprocessing.parent_process() is None or os.environ.get("PYTEST_XDIST_WORKER")
    DrainingServer(_config())._follow_supervisor()


class _Process:
    """A worker's process as its supervisor sees it."""

    def __init__(self, pid: int, *, alive: bool = True, exitcode: int = -9) -> None:
        self.pid, self.alive, self.exitcode = pid, alive, exitcode
        self.calls: list[Any] = []

    def is_alive(self, timeout: float) -> bool:
        self.calls.append(timeout)
        return self.alive

    def kill(self) -> None:
        self.calls.append("kill")

    def join(self) -> None:
        self.calls.append("join")


class _Supervisor(Supervisor):
    """Starts processes with the next of the ids 10, 11, …"""

    def _started(self) -> Any:
        self.last = getattr(self, "last", 9) + 1
        return _Process(self.last)


def _supervising(monkeypatch: pytest.MonkeyPatch, *processes: _Process) -> _Supervisor:
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    supervisor = _Supervisor(_config(workers=3), [])
    supervisor.processes = cast("Any", list(processes))
    return supervisor


def _logged(supervisor: _Supervisor) -> list[tuple[Any, ...]]:
    with capture_logs() as lines:
        supervisor.keep_subprocess_alive()
    return [(line["level"], line["event"], line["pid"], line.get("status")) for line in lines]


def test_a_supervisor_starts_as_many_workers_as_are_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    _settings(monkeypatch)
    supervisor = _supervising(monkeypatch)
    supervisor.init_processes()
    assert [process.pid for process in supervisor.processes] == [10, 11, 12]


def test_a_worker_that_died_is_started_again_in_its_position(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = _Process(1), _Process(2, alive=False), _Process(3)
    supervisor = _supervising(monkeypatch, first, second, third)
    assert _logged(supervisor) == [("error", "worker died", 2, -9), ("info", "worker started again", 10, None)]
    assert [process.pid for process in supervisor.processes] == [1, 10, 3]
    assert (first.calls, second.calls, third.calls) == ([5], [5, "kill", "join"], [5])
    assert not supervisor.should_exit.is_set()
    assert _logged(supervisor) == []


def test_a_worker_that_cannot_start_ends_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = _Process(1, alive=False, exitcode=3), _Process(2, alive=False)
    supervisor = _supervising(monkeypatch, first, second)
    assert _logged(supervisor) == [("error", "worker cannot start, the server ends", 1, None)]
    assert supervisor.should_exit.is_set()
    assert (first.calls, second.calls) == ([5, "kill", "join"], [])
    assert _logged(supervisor) == []


def test_a_supervisor_that_ends_starts_no_worker_again(monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor = _supervising(monkeypatch, _Process(1, alive=False))
    supervisor.should_exit.set()
    assert _logged(supervisor) == []
    assert [process.pid for process in supervisor.processes] == [1]


def test_sighup_changes_nothing_and_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor = _supervising(monkeypatch, _Process(1))
    with capture_logs() as lines:
        supervisor.handle_hup()
    assert [(line["level"], line["event"], line["pid"]) for line in lines] == [
        ("warning", "SIGHUP is not used", os.getpid())
    ]
    assert [process.pid for process in supervisor.processes] == [1]


def test_a_worker_is_started_with_one_draining_server(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[_Worker] = []
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(_Worker, "start", lambda self: started.append(self))
    worker = Supervisor(_config(), [])._started()
    try:
        assert started == [worker]
        assert type(worker.server) is DrainingServer
        assert worker.server is worker.server
        assert worker.server.config is worker.config
    finally:
        worker.parent_conn.close()
        worker.child_conn.close()
