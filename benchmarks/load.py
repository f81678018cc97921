"""The load generator, a process of its own: `python -m benchmarks.load` reads an order from stdin, prints a tally.

Python, but not in the way: one asyncio Protocol a connection, ready-made request bytes, and llhttp reads the answers.
"""

import asyncio
import os
import re
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import cast

import msgspec
import uvloop
from httptools import HttpParserError, HttpResponseParser

from benchmarks.connection import ChangingRequest, request_bytes

LOST = "connection lost"
"""How the count of broken connections begins among a tally's errors."""

_DECISION = re.compile(rb'"decision": ?"([^"]+)"')
_CARD = b'"indicator"'


class Order(msgspec.Struct):
    """What to send where, and for how long."""

    port: int
    path: str
    body: str  # a file
    seconds: float
    warm_up_seconds: float = 0.5
    connections: int = 8
    core: int | None = None
    keep_decisions: bool = False  # the ids of all answered calls go into the tally
    announce_after: int = 0  # a line on stdout when so many calls have been answered
    times: int = 1  # so often each body is sent before its ids change


class Tally(msgspec.Struct):
    """What came back."""

    answered: int = 0  # after the warm-up
    answered_in_all: int = 0  # with the warm-up
    seconds: float = 0.0
    errors: dict[str, int] = {}
    with_cards: int = 0
    decisions: list[str] = []

    @property
    def per_second(self) -> float:
        """Answers with status 200 per second."""
        return self.answered / self.seconds if self.seconds else 0.0


class Load:
    """One run of a load: counts and the decision ids, until the time is over or every connection broke."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._tally, self._errors = Tally(), Counter[str]()
        self._measuring = self._stopping = False
        self._open = order.connections
        self._over = asyncio.Event()

    async def run(self) -> Tally:
        """Return the tally of the whole run."""
        request = request_bytes(self._order.path, Path(self._order.body).read_bytes())
        for _ in range(self._order.connections):
            await asyncio.get_running_loop().create_connection(
                lambda: _Connection(ChangingRequest(request, self._order.times), self),
                "127.0.0.1",
                self._order.port,
            )
        await self._wait(self._order.warm_up_seconds)
        self._measuring, started = True, perf_counter()
        await self._wait(self._order.seconds)
        self._tally.seconds = perf_counter() - started
        self._measuring, self._stopping = False, True
        self._tally.errors = dict(self._errors)
        return self._tally

    async def _wait(self, seconds: float) -> None:
        """Until the time is over, or every connection is gone."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), seconds)

    def take(self, status: int, body: bytes) -> bool:
        """Count an answer; return whether the connection goes on."""
        if status != 200:
            self._errors[f"status {status}"] += 1
            return not self._stopping
        self._tally.answered += self._measuring
        self._tally.answered_in_all += 1
        self._tally.with_cards += _CARD in body
        if self._tally.answered_in_all == self._order.announce_after:
            print(self._order.announce_after, flush=True)
        if self._order.keep_decisions:
            self._keep_decision(body)
        return not self._stopping

    def _keep_decision(self, body: bytes) -> None:
        match = _DECISION.search(body)
        if match:
            self._tally.decisions.append(match[1].decode())
        else:
            self._errors["answer without decision id"] += 1

    def lose(self, reason: str) -> None:
        """Count a broken connection; the load is over when none is left."""
        self._errors[f"{LOST}: {reason}"] += 1
        self._open -= 1
        if self._open == 0:
            self._over.set()


class _Connection(asyncio.Protocol):
    """A closed loop of one: the next request leaves when the load has taken the answer."""

    def __init__(self, request: ChangingRequest, load: Load) -> None:
        self._request, self._load = request, load
        self._parser = HttpResponseParser(self)
        self._body = b""
        self._done = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own type is not derived from asyncio's
        self._transport.write(self._request.next())

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except HttpParserError as error:
            self.connection_lost(error)
            self._transport.close()

    def on_body(self, part: bytes) -> None:
        self._body += part

    def on_message_complete(self) -> None:
        body, self._body = self._body, b""
        if self._load.take(self._parser.get_status_code(), body):
            self._transport.write(self._request.next())
        else:
            self._done = True
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done:
            self._load.lose(str(exc) if exc else "the server closed the connection")
        self._done = True


@dataclass(frozen=True)
class Cores:
    """Which core is whose; None: the operating system decides."""

    server: set[int] | None
    generator: int | None


def share_out_cores() -> Cores:
    """Return the last core for the generator, the others for the server (one core only where there are two)."""
    if not hasattr(os, "sched_setaffinity"):
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
