"""A server that drains before it ends, and the supervisor of its workers, in one process."""

import os
import signal
from typing import Any, cast

import pytest
import uvicorn

from cds_hooks.server import Supervisor
from tests.cds_hooks.logged import capture_logs


async def _app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await receive()
        scope["state"]["services"] = 17
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})


def _config(workers: int = 1) -> uvicorn.Config:
    return uvicorn.Config(_app, lifespan="on", log_config=None, ws="none", workers=workers)


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
