"""Orders a load from the generator process and reads its tally."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass

import msgspec

from benchmarks.charts import ROOT
from benchmarks.generator import Order, Tally


@dataclass(frozen=True)
class Cores:
    """Which core is whose; None: the operating system decides."""

    server: set[int] | None
    generator: int | None

    @property
    def words(self) -> str:
        """For the report."""
        if self.server is None:
            return "no core is reserved (this system cannot pin a process, has one core, or --no-pin was given)"
        return f"server pinned to core {', '.join(map(str, sorted(self.server)))}, generator to core {self.generator}"


def share_out_cores(pin: bool) -> Cores:
    """The last core for the generator, the others for the server (one core only where there are two)."""
    if not pin or not hasattr(os, "sched_setaffinity"):
        return Cores(None, None)
    cores = sorted(os.sched_getaffinity(0))
    return Cores(set(cores[:-1]), cores[-1]) if len(cores) > 1 else Cores(None, None)


class RunningLoad:
    """A generator at work; `tally()` waits for its end."""

    def __init__(self, order: Order) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.generator"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(order))
        self._process.stdin.close()
        self._output = b""

    def wait_for_answers(self) -> None:
        """Returns when `order.announce_after` calls have been answered, or the load is over before that."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.endswith(b"\n"):  # already the tally, which has no line's end
            self._output = line

    def tally(self) -> Tally:
        """What came back, once the load is over; RuntimeError when the generator itself failed."""
        assert self._process.stdout is not None
        with self._process:  # waits for its end and closes the pipes
            output = self._output + self._process.stdout.read()
        if self._process.returncode != 0:
            raise RuntimeError("the load generator failed; what it printed stands above")
        return msgspec.json.decode(output, type=Tally)


def send_load(order: Order) -> Tally:
    """The tally of a whole load."""
    return RunningLoad(order).tally()
