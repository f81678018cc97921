"""Real servers for tests over real HTTP, in a process of their own or in this one, and an empty record for them."""

import gc
import json
import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from fcntl import LOCK_EX, LOCK_NB, flock
from functools import cache
from pathlib import Path
from random import SystemRandom
from threading import Thread
from time import sleep
from types import MappingProxyType
from typing import Any

import httpx

from cds_hooks.evidence.storage.database import parse_url
from cds_hooks.evidence.storage.opening import upgrade_schema
from tests.waiting import MOST_SECONDS, until

ONLY_IN_DEVELOPMENT = "rfc3987_syntax"
"""cyclonedx (make sbom) brings this package into the development environment. jsonschema loads it for 1.7 seconds where
it finds it, for a format that no schema of ours has; it is not in the runtime lock, and tests run without it, too."""
AS_INSTALLED = str(Path(__file__).parent / "as_installed")
_CHECKOUT = str(Path(__file__).parents[1])
PATIENCE = "cds_hooks.call.computing.PATIENCE_SECONDS"
_PATIENT = {":".join(PATIENCE.rsplit(".", 1)): MOST_SECONDS}
"""On a busy machine a server that takes its time is no fault; `refuse_late` has a test of its own."""
SHIPPED = str(Path(_CHECKOUT) / "cds_hooks" / "call" / "services" / "services.toml")
"""The services that a server has by default; most tests call each advisor as a service of its own."""


def record_in(folder: Path) -> str:
    """The URL of the record in a folder: an empty one is put there, so that the tables are made once for all tests."""
    file = folder / "decisions.sqlite3"
    if not file.exists():
        file.write_bytes(_empty_record())
    return f"sqlite:///{file}"


@cache
def _empty_record() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "decisions.sqlite3"
        upgrade_schema(parse_url(f"sqlite:///{file}"))
        with closing(sqlite3.connect(file)) as connection:
            return connection.serialize()


def free_port() -> int:
    """A port on which nobody listens, and which no other call of this function gives while this process lives.

    It is below those that a system gives to connections that go out: one of these could take it before it is used.
    """
    folder = Path(tempfile.gettempdir()) / f"cds-ports-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    given = Path("/proc/sys/net/ipv4/ip_local_port_range")
    lowest = max(int(given.read_text().split()[0]) if given.exists() else 32_768, 10_000)
    while True:
        port = SystemRandom().randrange(lowest - 8_000, lowest)
        reserved = os.open(folder / str(port), os.O_CREAT | os.O_RDWR)
        try:
            flock(reserved, LOCK_EX | LOCK_NB)
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            os.close(reserved)
            continue
        return port  # what was opened stays open, and locked, until this process ends


def is_listening(port: int) -> bool:
    """Whether a connection to the port is taken."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def serving(
    folder: Path,
    *options: str,
    before: Callable[[], None] | None = None,
    constants: Mapping[str, float] = MappingProxyType({}),
    **environment: str,
) -> Iterator[str]:
    """The address of a server that works in `folder` until the block ends; without `--port` it has a free one.

    `before` runs in its process first; `constants` replaces some of `cds_hooks.settings.constants`.
    """
    port = int(options[options.index("--port") + 1]) if "--port" in options else free_port()
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "tests.constants", "serve", "--port", str(port), *options]
    settings = {
        "CDS_PUBLIC_URL": address,
        "CDS_DATABASE_URL": record_in(folder),
        "CDS_DRAIN_SECONDS": "0",
        "CDS_CALL_SECONDS": "120",
        "PYTHONPATH": os.pathsep.join([AS_INSTALLED, _CHECKOUT, *filter(None, [os.environ.get("PYTHONPATH")])]),
    }
    with (folder / "server.log").open("w") as log:
        env = os.environ | settings | environment | {"CONSTANTS": json.dumps(_PATIENT | dict(constants))}
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log, preexec_fn=before)
        try:
            _wait(process, address, folder / "server.log")
            yield address
        finally:
            process.terminate()
            process.wait(timeout=180)


@contextmanager
def serving_here(folder: Path, **settings: Any) -> Iterator[str]:
    """The address of a server in a thread of this process, with its record in `folder`, until the block ends.

    For tests of what is answered over HTTP: a process of its own takes two seconds to start and shows nothing more.
    """
    # imported here: most tests need no server
    import uvicorn

    from cds_hooks.server.app import create_app
    from cds_hooks.server.edge import BoundedHttp
    from tests.constants import settings_with

    listening = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    configured = settings_with(database_url=record_in(folder), public_url=address, call_seconds=120, **settings)
    server = uvicorn.Server(uvicorn.Config(create_app(configured), http=BoundedHttp, ws="none", log_level="critical"))
    thresholds = gc.get_threshold()
    thread = Thread(target=server.run, kwargs={"sockets": [listening]}, name=address)
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise RuntimeError("the server ended before it was ready")
            sleep(0.01)
        gc.set_threshold(*thresholds)  # the server has set its own (`settle_memory`)
        yield address
    finally:
        server.should_exit = True
        thread.join(60)


def _wait(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    def is_ready() -> bool:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}: {log.read_text()[-2000:]}")
        try:
            return httpx.get(f"{address}/readyz").is_success
        except httpx.HTTPError:
            return False

    until(is_ready, f"the server was not ready in time: {log}")
