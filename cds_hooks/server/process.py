"""Server processes: a server that drains before it ends, and a supervisor whose workers never outlive it."""

import asyncio
import multiprocessing
import os
import signal
import socket
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
"""One call is computed in a turn, so this holds for eight times as many new connections as calls can be answered. Each
copy of a socket costs a new connection some 0.004 ms, as every worker looks at every copy."""


class DrainingServer(uvicorn.Server):
    """On SIGTERM it goes on answering for CDS_DRAIN_SECONDS, says 503 at /readyz and closes each connection it answers.

    Clients and load balancers go elsewhere in that time, so that no request meets a socket that is being closed. SIGINT
    (Ctrl-C) ends it at once, after the calls that are under way.
    """

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the sockets, say so in the log, and end with its supervisor where it is a worker."""
        # uvloop takes one connection of each socket in a turn of the loop: through copies it takes several, so that
        # new connections, also those of probes, do not wait in the kernel for as many turns as stand before them
        for sock in sockets or ():
            sock.setblocking(False)  # `dup` makes it block again, also for a worker that answers already and would stop
        self._copies = [sock.dup() for sock in sockets or () for _ in range(_ACCEPTED_IN_A_TURN - 1)]
        await super().startup([*sockets, *self._copies] if sockets else None)
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
        await super().shutdown([*(sockets or ()), *self._copies])
        log().info("stopped", pid=os.getpid())

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
        supervisor = multiprocessing.parent_process()
        if supervisor is not None:
            # a supervisor that was killed cannot tell its workers; the end of this pipe does
            asyncio.get_running_loop().add_reader(supervisor.sentinel, self._supervisor_is_gone)

    def _supervisor_is_gone(self) -> None:
        supervisor = multiprocessing.parent_process()
        if supervisor is not None:
            asyncio.get_running_loop().remove_reader(supervisor.sentinel)
        log().error("supervisor is gone, this worker ends", pid=os.getpid())
        self._captured_signals.append(signal.SIGTERM)
        self.should_exit = True


class _Worker(multiprocess.Process):
    @property
    def server(self) -> uvicorn.Server:
        """The server that runs in the worker's process."""
        if self._server is None:
            self._server = DrainingServer(config=self.config)
        return self._server


class Supervisor(multiprocess.Multiprocess):
    """Starts the workers, and starts a worker again that has ended."""

    def init_processes(self) -> None:
        """Start all workers."""
        configure_logs(settings().log_level)
        for _ in range(self.processes_num):
            self.processes.append(self._started())

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
            self.processes[index] = self._started()
            log().info("worker started again", pid=self.processes[index].pid)

    def handle_hup(self) -> None:
        """Do nothing: a new version is started beside the old one (docs/operations/install.md)."""
        log().warning("SIGHUP is not used", pid=os.getpid())

    def _started(self) -> _Worker:
        process = _Worker(self.config, self.sockets)
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
