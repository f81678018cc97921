"""Server processes: a server that drains before it ends, and a supervisor whose workers never outlive it."""

import asyncio
import multiprocessing
import os
import signal
import socket
from collections.abc import MutableSequence
from functools import partial
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any, Final

import uvicorn
from uvicorn.supervisors import multiprocess

from cds_hooks.call.protocol.body import SCANS_IN_C
from cds_hooks.call.routes.health import DRAINING
from cds_hooks.server.edge import BoundedHttp
from cds_hooks.settings import settings
from cds_hooks.telemetry.logs import configure_logs, log

_CLOSE: Final = (b"connection", b"close")
_TURN_SECONDS: Final = 0.05
_ACCEPTED_IN_A_TURN: Final = 8
"""One call is computed in a turn, so this holds for eight times as many new connections as calls can be answered."""
_OTHERS_FIRST_SECONDS: Final = 0.01
_NO_ROOM_SECONDS: Final = 1.0


class DrainingServer(uvicorn.Server):
    """On SIGTERM it goes on answering for CDS_DRAIN_SECONDS, says 503 at /readyz and closes each connection it answers.

    Clients and load balancers go elsewhere in that time, so that no request meets a socket that is being closed. SIGINT
    (Ctrl-C) ends it at once, after the calls that are under way. On SIGHUP it does what `hung_up` says; a worker leaves
    that to its supervisor.

    It takes new connections itself. uvloop takes one in a turn of the loop, so that those of probes waited for as many
    turns as stood before them; and of idle workers the same one wakes first and takes nearly every connection of a
    client, for as long as it is kept: of 200 calls a second one of two workers had 164.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        open_in: MutableSequence[int] | None = None,
        place: int = 0,
        *,
        ends_with_terminal: bool = False,
    ) -> None:
        """`open_in`: how many connections each worker has, in memory that they share; `place` is that of this one."""
        super().__init__(config)
        self._ends_with_terminal = ends_with_terminal
        self._open_in = [0] if open_in is None else open_in
        self._place = place
        self._beginning = set[asyncio.Task[None]]()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the sockets, say so in the log, and end with its supervisor where it is a worker."""
        await super().startup([])
        for sock in sockets or ():
            # A worker gets it from its supervisor open for its children, too, and uvloop closes nothing in these: one
            # that outlived a server that was killed would keep its port.
            sock.set_inheritable(False)
            sock.setblocking(False)
            sock.listen(self.config.backlog)
            asyncio.get_running_loop().add_reader(sock, self._take, sock)
        self._follow_supervisor()
        configured = settings()
        log().info(
            "serving",
            version=installed_version("cds-hooks-onnx"),
            address=_address(sockets),
            pid=os.getpid(),
            workers=self.config.workers,
            database=configured.database_url.partition(":")[0].partition("+")[0],
            services=self.lifespan.state.get("services"),
            body_scan="c" if SCANS_IN_C else "python",
            profile="development" if configured.trust_file is None else "trust-file",
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drains and closes."""
        await self._drain(settings().drain_seconds if signal.SIGTERM in self._captured_signals else 0.0)
        for sock in sockets or ():
            asyncio.get_running_loop().remove_reader(sock)
        await super().shutdown(sockets)
        log().info("stopped", pid=os.getpid())

    async def on_tick(self, counter: int) -> bool:
        """Say how many connections this worker has, ten times a second."""
        self._open_in[self._place] = len(self.server_state.connections)
        return await super().on_tick(counter)

    def _take(self, sock: socket.socket, *, has_waited: bool = False) -> None:
        """Take the new connections of a socket; a worker that has fewer may take them first."""
        for _ in range(_ACCEPTED_IN_A_TURN):
            if not has_waited and self._open_in[self._place] > min(self._open_in):
                self._look_again(sock, _OTHERS_FIRST_SECONDS)
                return
            try:
                connection, _address = sock.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:  # no descriptor is free
                log().error("no connection can be taken", reason=error.strerror)
                self._look_again(sock, _NO_ROOM_SECONDS)
                return
            self._open_in[self._place] += 1
            begun = asyncio.create_task(self._begin(connection))
            self._beginning.add(begun)
            begun.add_done_callback(self._beginning.discard)

    def _look_again(self, sock: socket.socket, seconds: float) -> None:
        """Take, after so long in which others can, what is still there."""
        loop = asyncio.get_running_loop()

        def look() -> None:
            if sock.fileno() >= 0:  # it was not closed meanwhile
                loop.add_reader(sock, self._take, sock)
                self._take(sock, has_waited=True)

        loop.remove_reader(sock)
        loop.call_later(seconds, look)

    async def _begin(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        state = {"config": self.config, "server_state": self.server_state, "app_state": self.lifespan.state}
        await asyncio.get_running_loop().connect_accepted_socket(partial(BoundedHttp, **state), connection)

    async def _drain(self, seconds: float) -> None:
        if not seconds:
            return
        self.lifespan.state[DRAINING] = True
        self.server_state.default_headers = [*self.server_state.default_headers, _CLOSE]
        log().info("draining", pid=os.getpid(), count=len(self.server_state.connections))
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while loop.time() < end and not self.force_exit:
            await asyncio.sleep(_TURN_SECONDS)

    def _follow_supervisor(self) -> None:
        supervisor, loop = multiprocessing.parent_process(), asyncio.get_running_loop()
        if supervisor is not None:
            # a supervisor that was killed cannot tell its workers; the end of this pipe does
            loop.add_reader(supervisor.sentinel, self._supervisor_is_gone)
        else:
            loop.add_signal_handler(signal.SIGHUP, hung_up, self._ends_with_terminal)

    def _supervisor_is_gone(self) -> None:
        supervisor = multiprocessing.parent_process()
        if supervisor is not None:
            asyncio.get_running_loop().remove_reader(supervisor.sentinel)
        log().error("supervisor is gone, this worker ends", pid=os.getpid())
        self._captured_signals.append(signal.SIGTERM)
        self.should_exit = True


def hung_up(ends_with_terminal: bool) -> None:
    """End in order where the terminal of the server was closed; without one SIGHUP asks for files to be read again.

    They are read when they change, and a new version is started beside the old one (docs/operations/install.md).
    """
    if ends_with_terminal:
        os.kill(os.getpid(), signal.SIGTERM)
    else:
        log().warning("SIGHUP is not used", pid=os.getpid())


class _Worker(multiprocess.Process):
    def __init__(
        self, config: uvicorn.Config, sockets: list[socket.socket], open_in: MutableSequence[int], place: int
    ) -> None:
        super().__init__(config, sockets)
        self._open_in, self._place = open_in, place

    @property
    def server(self) -> uvicorn.Server:
        """The server that runs in the worker's process."""
        if self._server is None:
            self._server = DrainingServer(self.config, self._open_in, self._place)
        return self._server


class Supervisor(multiprocess.Multiprocess):
    """Starts the workers, and starts a worker again that has ended."""

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket], *, ends_with_terminal: bool) -> None:
        """`ends_with_terminal`: it was started in a terminal, without which it ends."""
        super().__init__(config, sockets)
        self._ends_with_terminal = ends_with_terminal

    def init_processes(self) -> None:
        """Start all workers."""
        configure_logs(settings().log_level)
        self._open_in = multiprocessing.get_context("spawn").RawArray("q", self.processes_num)
        for place in range(self.processes_num):
            self.processes.append(self._started(place))

    def keep_subprocess_alive(self) -> None:
        """Start workers anew that have ended or do not answer; both are logged."""
        for index, process in enumerate(self.processes):
            if self.should_exit.is_set() or process.is_alive(timeout=self.config.timeout_worker_healthcheck):
                continue
            process.kill()
            process.join()
            if process.exitcode == uvicorn.config.STARTUP_FAILURE:
                log().error("worker cannot start, the server ends", pid=process.pid)
                self.should_exit.set()
                return
            log().error("worker died", pid=process.pid, status=process.exitcode)
            self.processes[index] = self._started(index)
            log().info("worker started again", pid=self.processes[index].pid)

    def handle_hup(self) -> None:
        """End with the terminal, or do nothing."""
        hung_up(self._ends_with_terminal)

    def handle_ttin(self) -> None:
        """Do nothing: the number of workers is that of the start (uvicorn would add one that does not drain)."""

    handle_ttou = handle_ttin

    def _started(self, place: int) -> _Worker:
        process = _Worker(self.config, self.sockets, self._open_in, place)
        process.start()
        return process


def _address(sockets: list[socket.socket] | None) -> str:
    name: Any = sockets[0].getsockname() if sockets else ""
    return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else str(name)


def server_config(workers: int) -> uvicorn.Config:
    """Return what uvicorn is told of every server of this program."""
    # No access log: the decision record and /metrics say more. No proxy headers: nothing here depends on the address
    # a request says it comes from.
    return uvicorn.Config(
        "cds_hooks.server.app:create_app",
        factory=True,
        workers=workers,
        access_log=False,
        http=BoundedHttp,
        ws="none",
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=10,
        # a worker on a busy machine is no hung one: with the 5 s of the default, one that still started was killed
        timeout_worker_healthcheck=30,
    )


def tcp_socket(host: str, port: int) -> socket.socket:
    """Return a bound socket of this address; OSError where it cannot be had."""
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return _bound(listening, (host, port))


def unix_socket(path: Path) -> socket.socket:
    """Return a bound socket file, for the server's own user; OSError where it cannot be had."""
    if path.is_socket():  # of a server that ended without taking it away
        path.unlink()
    before = os.umask(0o177)  # who may connect is who may read and write the file: the server's own user
    try:
        return _bound(socket.socket(socket.AF_UNIX), str(path))
    finally:
        os.umask(before)


def _bound(listening: socket.socket, address: tuple[str, int] | str) -> socket.socket:
    try:
        listening.bind(address)
    except OSError:
        listening.close()
        raise
    return listening
