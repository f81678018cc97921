"""A real server in a process of its own, for tests over real HTTP."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

import httpx


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def serving(folder: Path, *options: str, **environment: str) -> Iterator[str]:
    """The address of a server that works in `folder` until the block ends."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "cds_hooks", "serve", "--port", str(port), *options]
    settings = {"CDS_PUBLIC_URL": address, "CDS_DATABASE_URL": f"sqlite:///{folder}/decisions.sqlite3"}
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=os.environ | settings | environment, stdout=log, stderr=log)
        try:
            _wait(process, address, folder / "server.log")
            yield address
        finally:
            process.terminate()
            process.wait(timeout=20)


def _wait(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    end = monotonic() + 60
    while monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}: {log.read_text()[-2000:]}")
        try:
            httpx.get(f"{address}/readyz", timeout=2).raise_for_status()
        except httpx.HTTPError:
            sleep(0.1)
        else:
            return
    raise RuntimeError(f"the server was not ready within 60 s: {log.read_text()[-2000:]}")
