"""The load generator, a process of its own: `python -m benchmarks.load` reads an order from stdin, prints a tally.

Python, but not in the way: one asyncio Protocol a connection, ready-made request bytes, a search for the length and
nothing else on each answer. It keeps every latency (8 bytes each), so percentiles are exact.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from array import array
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import msgspec
import uvloop

from benchmarks.connection import ChangingRequest, LoadConnection, request_bytes

LOST = "connection lost"
"""How the count of broken connections begins among a tally's errors."""

_DECISION = re.compile(rb'"decision": ?"([^"]+)"')
_SAMPLE_EVERY = 50
"""One answer in so many is looked at."""


class Order(msgspec.Struct):
    """What to send where, and for how long."""

    port: int
    path: str
    bodies: list[str]  # files; connection n sends the n-th of them, from the start again where there are fewer
    seconds: float
    warm_up_seconds: float = 0.5
    connections: int = 8
    core: int | None = None
    keep_decisions: bool = False  # the ids of all answered calls go into the tally (kill test)
    announce_after: int = 0  # a line on stdout when so many calls have been answered
    expect_decision: bool = False
    times: int = 1  # so often each body is sent before its ids change


class Tally(msgspec.Struct):
    """What came back; latencies in nanoseconds, of the answers after the warm-up only."""

    answered: int = 0
    answered_in_all: int = 0  # with the warm-up
    seconds: float = 0.0
    p50_ns: int = 0
    p99_ns: int = 0
    errors: dict[str, int] = {}
    sampled: int = 0
    sampled_with_cards: int = 0
    decisions: list[str] = []

    @property
    def per_second(self) -> float:
        """Answers with status 200 per second."""
        return self.answered / self.seconds if self.seconds else 0.0


class Load:
    """One run of a load: counts, latencies and the decision ids, until the time is over or every connection broke."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._latencies = array("q")
        self._tally, self._errors = Tally(), Counter[str]()
        self._measuring = self._stopping = False
        self._open = order.connections
        self._over = asyncio.Event()

    async def run(self) -> Tally:
        """Return the tally of the whole run."""
        requests = [request_bytes(self._order.path, Path(body).read_bytes()) for body in self._order.bodies]
        for number in range(self._order.connections):
            await self._connect(requests[number % len(requests)])
        await self._wait(self._order.warm_up_seconds)
        self._measuring, started = True, perf_counter()
        await self._wait(self._order.seconds)
        tally, ordered = self._tally, sorted(self._latencies)
        tally.seconds = perf_counter() - started
        self._measuring, self._stopping = False, True
        tally.answered, tally.errors = len(ordered), dict(self._errors)
        tally.p50_ns, tally.p99_ns = percentile(ordered, 0.50), percentile(ordered, 0.99)
        return tally

    async def _connect(self, request: bytes) -> None:
        await asyncio.get_running_loop().create_connection(
            lambda: LoadConnection(ChangingRequest(request, self._order.times), self._take, self._lose),
            "127.0.0.1",
            self._order.port,
        )

    async def _wait(self, seconds: float) -> None:
        """Until the time is over, or every connection is gone."""
        try:
            await asyncio.wait_for(self._over.wait(), seconds)
        except TimeoutError:
            return

    def _take(self, nanoseconds: int, status: int, body: bytes) -> bool:
        if status != 200:
            self._errors[f"status {status}"] += 1
            return not self._stopping
        if self._measuring:
            self._latencies.append(nanoseconds)
        self._tally.answered_in_all += 1
        seen = self._tally.answered_in_all
        if seen == self._order.announce_after:
            print(seen, flush=True)
        if self._order.keep_decisions:
            self._keep_decision(body)
        if seen % _SAMPLE_EVERY == 1:
            self._look_at(body)
        return not self._stopping

    def _keep_decision(self, body: bytes) -> None:
        match = _DECISION.search(body)
        if match:
            self._tally.decisions.append(match[1].decode())
        else:
            self._errors["answer without decision id"] += 1

    def _look_at(self, body: bytes) -> None:
        self._tally.sampled += 1
        try:
            cards = msgspec.json.decode(body)["cards"]
        except (msgspec.DecodeError, KeyError, TypeError):
            self._errors["answer is not JSON with cards"] += 1
            return
        self._tally.sampled_with_cards += bool(cards)
        if self._order.expect_decision and not _DECISION.search(body):
            self._errors["answer without decision id"] += 1

    def _lose(self, reason: str) -> None:
        self._errors[f"{LOST}: {reason}"] += 1
        self._open -= 1
        if self._open == 0:
            self._over.set()


def percentile(ordered: list[int], share: float) -> int:
    """Return the nearest-rank percentile of sorted values; 0 where there are none."""
    if not ordered:
        return 0
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


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
    """Return the last core for the generator, the others for the server (one core only where there are two)."""
    if not pin or not hasattr(os, "sched_setaffinity"):
        return Cores(None, None)
    cores = sorted(os.sched_getaffinity(0))
    return Cores(set(cores[:-1]), cores[-1]) if len(cores) > 1 else Cores(None, None)


class RunningLoad:
    """A generator at work; `tally()` waits for its end."""

    def __init__(self, order: Order) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.load"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[1],
        )
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(order))
        self._process.stdin.close()
        self._output = b""

    def wait_for_answers(self) -> None:
        """Return when `order.announce_after` calls have been answered, or the load is over before that."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.endswith(b"\n"):  # already the tally, which has no line's end
            self._output = line

    def tally(self) -> Tally:
        """Return what came back, once the load is over; RuntimeError when the generator itself failed."""
        assert self._process.stdout is not None
        with self._process:  # waits for its end and closes the pipes
            output = self._output + self._process.stdout.read()
        if self._process.returncode != 0:
            raise RuntimeError("the load generator failed; what it printed stands above")
        return msgspec.json.decode(output, type=Tally)


def main() -> None:
    """Read the order, send the load, print the tally as JSON."""
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    if order.core is not None:
        os.sched_setaffinity(0, {order.core})
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(Load(order).run())))


if __name__ == "__main__":
    main()
