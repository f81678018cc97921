"""The load generator, a process of its own: `python -m benchmarks.generator` reads an order from stdin, prints a tally.

Python, but not in the way: one asyncio Protocol a connection, ready-made request bytes, a search for the length and
nothing else on each answer. It keeps every latency (8 bytes each), so percentiles are exact.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from array import array
from collections import Counter
from pathlib import Path
from time import perf_counter, perf_counter_ns

import msgspec
import uvloop

from benchmarks.connection import LoadConnection, request_bytes

LOST = "connection lost"
"""How the count of broken connections begins among a tally's errors."""

_DECISION = re.compile(rb'"decision": ?"([^"]+)"')


class Order(msgspec.Struct):
    """What to send where, and for how long."""

    port: int
    path: str
    bodies: list[str]  # files; connection n sends the n-th of them, from the start again where there are fewer
    seconds: float
    paths: list[str] = []  # where each body goes, where that is not `path` for all
    per_second: float = 0.0  # calls started per second, whatever became of those before; 0: each connection in turn
    warm_up_seconds: float = 0.5
    connections: int = 8
    core: int | None = None
    keep_decisions: bool = False  # the ids of all answered calls go into the tally (kill test)
    announce_after: int = 0  # a line on stdout when so many calls have been answered
    sample_every: int = 50  # one answer in so many is looked at
    expect_decision: bool = False


class Tally(msgspec.Struct):
    """What came back; latencies in nanoseconds, of the answers after the warm-up only."""

    answered: int = 0
    answered_in_all: int = 0  # with the warm-up
    seconds: float = 0.0
    p50_ns: int = 0
    p90_ns: int = 0
    p99_ns: int = 0
    max_ns: int = 0
    errors: dict[str, int] = {}
    sampled: int = 0
    sampled_with_cards: int = 0
    decisions: list[str] = []
    generator_cpu_share: float = 0.0

    @property
    def per_second(self) -> float:
        """Answers with status 200 per second."""
        return self.answered / self.seconds if self.seconds else 0.0


class Load:
    """One run of a load: counts, latencies and the decision ids, until the time is over or every connection broke."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._latencies = array("q")
        self._errors: Counter[str] = Counter()
        self._decisions: list[str] = []
        self._sampled = self._with_card = self._seen = 0
        self._measuring = self._stopping = False
        self._open = order.connections
        self._over = asyncio.Event()
        self._connections: list[LoadConnection] = []

    async def run(self) -> Tally:
        """The tally of the whole run."""
        bodies = self._order.bodies
        paths = self._order.paths or [self._order.path] * len(bodies)
        requests = [request_bytes(path, Path(body).read_bytes()) for path, body in zip(paths, bodies, strict=True)]
        for number in range(self._order.connections):
            await self._connect(requests[number % len(requests)])
        pacing = asyncio.ensure_future(self._pace()) if self._order.per_second else None
        await self._wait(self._order.warm_up_seconds)
        self._measuring = True
        started, cpu = perf_counter(), _cpu_seconds()
        await self._wait(self._order.seconds)
        if pacing:
            pacing.cancel()
        seconds, cpu = perf_counter() - started, _cpu_seconds() - cpu
        self._measuring, self._stopping = False, True
        return self._tally(seconds, cpu / seconds if seconds else 0.0)

    async def _connect(self, request: bytes) -> None:
        loop = asyncio.get_running_loop()
        address = "127.0.0.1", self._order.port
        paced = self._order.per_second > 0
        _, connection = await loop.create_connection(
            lambda: LoadConnection(request, self._take, self._lose, waits=paced), *address
        )
        self._connections.append(connection)

    async def _pace(self) -> None:
        """Starts calls at even distances, in turn over the connections; a late start counts as waiting.

        With a core of its own it looks at the clock and the sockets all the time instead of sleeping: a core that
        sleeps wakes up late, on a virtual machine by milliseconds, and that would be counted as the server's time.
        """
        is_alone = self._order.core is not None
        started, number = perf_counter_ns(), 0
        while True:
            due = started + int(1e9 * number / self._order.per_second)
            while (early := due - perf_counter_ns()) > 0:
                await asyncio.sleep(0 if is_alone else early / 1e9)
            connection = self._connections[number % len(self._connections)]
            connection.send_due(due)
            number += 1

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
        self._seen += 1
        if self._seen == self._order.announce_after:
            print(self._seen, flush=True)
        if self._order.keep_decisions:
            self._keep_decision(body)
        if self._seen % self._order.sample_every == 1:
            self._look_at(body)
        return not self._stopping

    def _keep_decision(self, body: bytes) -> None:
        match = _DECISION.search(body)
        if match:
            self._decisions.append(match[1].decode())
        else:
            self._errors["answer without decision id"] += 1

    def _look_at(self, body: bytes) -> None:
        self._sampled += 1
        try:
            cards = msgspec.json.decode(body)["cards"]
        except (msgspec.DecodeError, KeyError, TypeError):
            self._errors["answer is not JSON with cards"] += 1
            return
        self._with_card += bool(cards)
        if self._order.expect_decision and not _DECISION.search(body):
            self._errors["answer without decision id"] += 1

    def _lose(self, reason: str) -> None:
        self._errors[f"{LOST}: {reason}"] += 1
        self._open -= 1
        if self._open == 0:
            self._over.set()

    def _tally(self, seconds: float, cpu_share: float) -> Tally:
        ordered = sorted(self._latencies)
        return Tally(
            answered=len(ordered),
            answered_in_all=self._seen,
            seconds=seconds,
            p50_ns=percentile(ordered, 0.50),
            p90_ns=percentile(ordered, 0.90),
            p99_ns=percentile(ordered, 0.99),
            max_ns=ordered[-1] if ordered else 0,
            errors=dict(self._errors),
            sampled=self._sampled,
            sampled_with_cards=self._with_card,
            decisions=self._decisions,
            generator_cpu_share=cpu_share,
        )


def percentile(ordered: list[int], share: float) -> int:
    """The nearest-rank percentile of sorted values; 0 where there are none."""
    if not ordered:
        return 0
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system


def main() -> None:
    """Read the order, send the load, print the tally as JSON."""
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    if order.core is not None:
        os.sched_setaffinity(0, {order.core})
    tally = uvloop.run(Load(order).run())
    sys.stdout.buffer.write(msgspec.json.encode(tally))


if __name__ == "__main__":
    main()
