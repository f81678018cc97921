"""The simulations of one machine: each is a process of its own with a file, which every worker of the server reads.

One simulation runs at a time, with the lowest priority, so that no call waits for it. It ends with the worker that
started it, when somebody stops it, or after two hours. Its file holds counts and a few examples; it is encrypted where
the record is, only its owner can read it, and it is deleted after four weeks.
"""

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from time import time
from typing import Any, Final, Literal
from uuid import UUID, uuid4

import msgspec
import orjson
from msgspec import Struct
from pydantic import SecretStr

from cds_hooks.logs import log
from cds_hooks.pages.simulations.simulation import Result, Simulation
from cds_hooks.settings import Settings
from cds_hooks.storage.content import ContentUnreadable, load_content, store_content

_KEPT_SECONDS: Final = 28 * 86_400.0
_MOST_KEPT: Final = 100
_START_SECONDS: Final = 120.0
_SUFFIX: Final = ".simulation"


class Busy(Exception):
    """Another simulation is running."""


class Run(Struct):
    """One simulation: who started it when (ISO time, UTC), how far it is, and what came of it."""

    id: str
    at: str
    by: str
    simulation: Simulation
    state: Literal["waiting", "running", "done", "failed", "stopped"] = "waiting"
    judged: int = 0
    most: int = 0
    problem: str = ""
    result: Result | None = None

    @property
    def has_ended(self) -> bool:
        """Return whether nothing of it will change any more."""
        return self.state not in ("waiting", "running")


class Runs:
    """The simulations in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def all(self) -> list[Run]:
        """Return every simulation that can be read, the newest first."""
        runs = (self.get(path.stem) for path in self._folder.glob(f"*{_SUFFIX}"))
        return sorted((run for run in runs if run is not None), key=lambda run: run.at, reverse=True)

    def get(self, run_id: str) -> Run | None:
        """Return the simulation of this id; None where there is none, or its file cannot be read (any more)."""
        path = self._path(run_id)
        if path is None:
            return None
        run = _read(path)
        if run is None or run.has_ended or self.is_busy():
            return run
        again = _read(path)  # it may have ended just now
        if again is None or again.has_ended:
            return again
        since_start = time() - datetime.fromisoformat(again.at).timestamp()
        if again.state == "running" or since_start >= _START_SECONDS:
            again.state = "stopped"
        return again

    def write(self, run: Run) -> None:
        """Keeps the simulation as it is now."""
        path = self._folder / f"{run.id}{_SUFFIX}"
        beside = path.with_suffix(f".{os.getpid()}")
        descriptor = os.open(beside, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(store_content(msgspec.json.encode(run)))
        beside.replace(path)

    def ask_to_stop(self, run_id: str) -> None:
        """Has the simulation end at the next chart or decision."""
        path = self._path(run_id)
        if path is not None and path.exists():
            path.with_suffix(".stop").touch(0o600)

    def is_asked_to_stop(self, run_id: str) -> bool:
        """Return whether somebody asked the simulation to end."""
        return (self._folder / f"{run_id}.stop").exists()

    def is_busy(self) -> bool:
        """Return whether a simulation is running."""
        try:
            with self.alone():
                return False
        except Busy:
            return True

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While this lasts no other simulation of this machine runs; Busy where one does."""
        if not self._folder.is_dir():
            yield
            return
        with (self._folder / "running").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Busy from error
            yield

    def start(self, configured: Settings, simulation: Simulation, by: str, charts: Path | None) -> Run:
        """Starts a simulation.

        Raises:
            Busy: Another one is running.
            OSError: The folder cannot be written.
        """
        if self.is_busy():
            raise Busy
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._forget()
        run = Run(str(uuid4()), datetime.now(UTC).isoformat(timespec="seconds"), by, simulation)
        self.write(run)
        order = {"settings": _plain(configured), "run": run.id, "charts": str(charts) if charts is not None else None}
        _in_a_process(orjson.dumps(order, default=str))
        return run

    def _path(self, run_id: str) -> Path | None:
        with suppress(ValueError):
            return self._folder / f"{UUID(run_id)}{_SUFFIX}"
        return None

    def _forget(self) -> None:
        """Deletes what is older than four weeks, and the oldest of more than a hundred."""
        files = sorted(self._folder.glob(f"*{_SUFFIX}"), key=lambda path: path.stat().st_mtime, reverse=True)
        for number, path in enumerate(files):
            if number >= _MOST_KEPT or time() - path.stat().st_mtime > _KEPT_SECONDS:
                path.unlink(missing_ok=True)
                path.with_suffix(".stop").unlink(missing_ok=True)


def _read(path: Path) -> Run | None:
    try:
        return msgspec.json.decode(load_content(path.read_bytes()), type=Run)
    except FileNotFoundError:
        return None
    except (OSError, ContentUnreadable, msgspec.MsgspecError) as error:
        log().error("result of a simulation cannot be read", error_type=type(error).__name__)
        return None


def _plain(configured: Settings) -> dict[str, Any]:
    """Return the settings as another process takes them; secrets go through its standard input only."""
    values: Mapping[str, Any] = configured.model_dump()
    return {
        name: value.get_secret_value() if isinstance(value, SecretStr) else value
        for name, value in values.items()
        if value is not None
    }


def _in_a_process(order: bytes) -> None:
    """Runs the simulation beside the server, until it ends or this process does and with it the standard input."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CDS_")}
    child = subprocess.Popen(
        [sys.executable, "-m", "cds_hooks.pages.simulations.process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
    )

    def watch() -> None:
        assert child.stdin is not None  # noqa: S101 - it is a pipe
        with suppress(BrokenPipeError):
            child.stdin.write(order + b"\n")
            child.stdin.flush()
        child.wait()
        with suppress(BrokenPipeError):
            child.stdin.close()

    Thread(target=watch, daemon=True, name="simulation").start()
