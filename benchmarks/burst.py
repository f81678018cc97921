"""What a burst of one client, at twice the capacity or more, leaves to another client and to probes.

`python -m benchmarks.burst [times] [workers] [seconds]`: the server has one core, this generator the other. A request
is due at its time whether or not earlier ones were answered, has a connection of its own, and its time begins when it
is due.
"""

import asyncio
import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, process_time

import uvloop

from benchmarks.load import share_out_cores
from benchmarks.servers import Server, program, running
from cds_hooks.tools.kit.simulator.signing import SigningKey, sign_token
from tests.hardening.two_clients import body_of, write_site

_PATH = "/cds-services/order-safety-sign"
_CAPACITY_SECONDS, _AT_ONCE = 4.0, 16
_BESIDE_SHARE = 0.05
"""Another client and each probe ask so often, as a share of the capacity."""
_MOST_SECONDS = 30.0
_PROBES = ("livez", "readyz")


class _Answer(asyncio.Protocol):
    """Sends one request when it is connected, and keeps the head of the answer."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._received = b""
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.write(self._request)  # type: ignore[attr-defined] # uvloop's own type is not derived from asyncio's

    def data_received(self, data: bytes) -> None:
        if b"\r\n\r\n" not in self._received:
            self._received += data

    def connection_lost(self, exc: Exception | None) -> None:
        head = self._received.partition(b"\r\n\r\n")[0].lower()
        status = head[9:12].decode() or type(exc).__name__
        if not self.ended.done():
            self.ended.set_result(f"{status} with Retry-After" if b"\nretry-after:" in head else status)


class Burst:
    """One run against a server."""

    def __init__(self, server: Server, seconds: float, times: float, mine: SigningKey, other: SigningKey) -> None:
        self._server, self._port, self._seconds, self._times = server, server.port, seconds, times
        self._mine, self._other = mine, other
        self._body = body_of(drafts=3, medications=20, conditions=5, results=30)

    async def run(self) -> None:
        """Print the capacity, what became of the burst, and the times beside it."""
        await self._at_capacity(1.0)
        used = self._server.cpu_seconds()
        answered = await self._at_capacity(_CAPACITY_SECONDS)
        cost, capacity = (self._server.cpu_seconds() - used) / answered, answered / _CAPACITY_SECONDS
        rate = self._times * capacity
        burst = [self._call(self._mine) for _ in range(int(rate * self._seconds))]
        beside = {"another client": lambda: self._call(self._other)}
        for name in _PROBES:
            beside[f"/{name}"] = lambda name=name: self._get(name)  # type: ignore[misc] # a lambda with a default
        used, begun = process_time(), monotonic()
        asked = [
            asyncio.create_task(self._keep_asking(begun, make, _BESIDE_SHARE * capacity)) for make in beside.values()
        ]
        late, answers = await self._send(begun, burst, rate)
        print(f"capacity {capacity:.0f} calls/s at {cost * 1000:.2f} ms of processor time; {rate:.0f}/s for ", end="")
        print(f"{self._seconds:g} s, all answered after {monotonic() - begun:.1f} s")
        print(f"generator late p99 {_at(late, 0.99) * 1000:.0f} ms, ", end="")
        print(f"its processor {(process_time() - used) / (monotonic() - begun):.2f} of a core")
        _print("the burst", answers)
        for name, task in zip(beside, asked, strict=True):
            _print(name, await task)

    def _call(self, key: SigningKey) -> bytes:
        token = sign_token(key, f"http://127.0.0.1:{self._port}{_PATH}")
        head = f"POST {_PATH} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nConnection: close\r\n"
        head += f"Content-Type: application/json\r\nAuthorization: Bearer {token}\r\nContent-Length: {len(self._body)}"
        return f"{head}\r\n\r\n".encode() + self._body

    def _get(self, name: str) -> bytes:
        return f"GET /{name} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nConnection: close\r\n\r\n".encode()

    async def _one(self, request: bytes, due: float) -> tuple[str, float]:
        try:
            async with asyncio.timeout(_MOST_SECONDS):
                loop = asyncio.get_running_loop()
                _, answer = await loop.create_connection(lambda: _Answer(request), "127.0.0.1", self._port)
                status = await answer.ended
        except (OSError, TimeoutError) as error:
            status = type(error).__name__
        return status, monotonic() - due

    async def _at_capacity(self, seconds: float) -> int:
        end, answered = monotonic() + seconds, Counter[str]()

        async def keep_calling() -> None:
            while monotonic() < end:
                answered[(await self._one(self._call(self._mine), 0.0))[0]] += 1

        await asyncio.gather(*(keep_calling() for _ in range(_AT_ONCE)))
        return answered["200"]

    async def _send(
        self, begun: float, requests: list[bytes], rate: float
    ) -> tuple[list[float], list[tuple[str, float]]]:
        late, sent = [], []
        for number, request in enumerate(requests):
            due = begun + number / rate
            if (wait := due - monotonic()) > 0:
                await asyncio.sleep(wait)
            late.append(monotonic() - due)
            sent.append(asyncio.create_task(self._one(request, due)))
        return late, await asyncio.gather(*sent)

    async def _keep_asking(self, begun: float, make: Callable[[], bytes], rate: float) -> list[tuple[str, float]]:
        """Ask at fixed times during the burst, also while earlier requests wait."""
        sent = []
        for number in range(int(self._seconds * rate)):
            request, due = make(), begun + number / rate
            await asyncio.sleep(max(0.0, due - monotonic()))
            sent.append(asyncio.create_task(self._one(request, due)))
        return await asyncio.gather(*sent)


def _at(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def _print(name: str, answers: list[tuple[str, float]]) -> None:
    for status in sorted({status for status, _ in answers}):
        times = [seconds * 1000 for answer, seconds in answers if answer == status]
        of_all = f"{name}: {len(times)} of {len(answers)} × {status}"
        print(f"{of_all}, p50 {_at(times, 0.5):.0f}, p99 {_at(times, 0.99):.0f}, longest {max(times):.0f} ms")


def main(times: str = "2", workers: str = "1", seconds: str = "8") -> None:
    """Start a server with a trust file of two clients, and run."""
    cores = share_out_cores()
    with TemporaryDirectory(prefix="cds-burst-") as folder:
        mine, other, trust_file = write_site(Path(folder), "http://127.0.0.1:9")
        database = f"sqlite:///{folder}/decisions.sqlite3"
        command = [program(), "serve", "--port", "{port}", "--workers", workers]
        environment = {"CDS_TRUST_FILE": str(trust_file), "CDS_DATABASE_URL": database, "CDS_DRAIN_SECONDS": "0"}
        with running("burst", command, Path(folder), cores.server, **environment) as server:
            if cores.generator is not None:
                os.sched_setaffinity(0, {cores.generator})
            uvloop.run(Burst(server, float(seconds), float(times), mine, other).run())


if __name__ == "__main__":
    main(*sys.argv[1:])
