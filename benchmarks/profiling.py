"""Where the time of a call goes in process, without HTTP: stage by stage, function by function, beside yardsticks."""

from __future__ import annotations

import asyncio
import cProfile
import hashlib
import json
import pstats
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from io import StringIO
from pathlib import Path
from time import process_time
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

from benchmarks.bare import decode_by_key, decode_in_one_pass
from benchmarks.charts import load_stays
from benchmarks.connection import ChangingRequest
from benchmarks.servers import WrongAnswer
from benchmarks.stages import LoadedStages
from benchmarks.subject import find_subject
from cds_hooks.app import create_app
from cds_hooks.settings import Settings

_SECONDS = 1.0
_TOGETHER = 16  # calls in flight, as with 16 connections, so that the record commits groups
_LINES = 30


class InProcess:
    """The service's ASGI app, called without a socket."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._loop = asyncio.new_event_loop()

    def call(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """The body of the answer; WrongAnswer when its status is not 200."""
        return self._loop.run_until_complete(self._one(method, path, body or b""))

    def call_json(self, method: str, path: str, body: bytes | None = None) -> Any:
        """The JSON of the answer."""
        return json.loads(self.call(method, path, body))

    def many(self, path: str, requests: list[ChangingRequest]) -> None:
        """All requests at once, each at other times than before."""

        async def together() -> None:
            await asyncio.gather(*(self._one("POST", path, bytes(request.next())) for request in requests))

        self._loop.run_until_complete(together())

    async def _one(self, method: str, path: str, body: bytes) -> bytes:
        sent: list[Any] = []
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        scope = {"type": "http", "method": method, "path": path, "headers": headers, "query_string": b""}

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        answer = b"".join(message.get("body", b"") for message in sent)
        if sent[0]["status"] != 200:
            raise WrongAnswer(f"{method} {path} was answered {sent[0]['status']}: {answer[:500].decode()}")
        return answer


def profile(sizes_kb: list[int], console: Console) -> None:
    """Prints the microseconds of a call and of each stage, yardsticks on the same bytes, and the dearest functions."""
    with tempfile.TemporaryDirectory(prefix="cds-profile-") as name:
        database = f"sqlite:///{Path(name) / 'decisions.sqlite3'}"
        service = InProcess(create_app(Settings(database_url=database, log_level="error")))
        subject = find_subject(service.call_json, load_stays(), datetime.now(UTC))
        bodies = {size: subject.bodies(size) for size in sizes_kb}
        console.print(f"Patient: {subject.window.words}; model card: {'yes' if subject.has_model_card else 'NO'}")
        table = Table("processor µs a call", *(f"{size} KB" for size in bodies))
        for row, figures in _rows(service, subject.path, bodies).items():
            table.add_row(row, *(f"{figure:,.1f}" for figure in figures))
        console.print(table)
        for size, variants in bodies.items():
            console.print(f"Dearest functions at {size} KB (cProfile: read the order, not the times)")
            console.print(_dearest(service, subject.path, in_flight(variants)), highlight=False)


def in_flight(variants: list[bytes]) -> list[ChangingRequest]:
    """As many requests as are under way at once under load, from the bodies in turn."""
    return [ChangingRequest(variants[number % len(variants)]) for number in range(_TOGETHER)]


def _rows(service: InProcess, path: str, bodies: dict[int, list[bytes]]) -> dict[str, list[float]]:
    rows: dict[str, list[float]] = {}
    for variants in bodies.values():
        requests = in_flight(variants)
        stages = LoadedStages(lambda: service.call("GET", "/metrics").decode(), path)
        whole = _microseconds(partial(service.many, path, requests)) / _TOGETHER
        figures = {f"the call, {_TOGETHER} in flight": whole}
        figures |= {f"  stage {stage} (wall, with waiting)": mean for stage, mean in stages.means().items()}
        for step, function in _YARDSTICKS.items():
            figures[step] = _microseconds(partial(function, variants[0]))
        for step, figure in figures.items():
            rows.setdefault(step, []).append(figure)
    return rows


_YARDSTICKS: dict[str, Callable[[bytes], object]] = {
    "yardstick: orjson.loads": orjson.loads,
    "yardstick: lean decode in one pass": decode_in_one_pass,
    "yardstick: lean decode key by key": decode_by_key,
    "yardstick: SHA-256 of the body": lambda body: hashlib.sha256(body).digest(),
}


def _microseconds(function: Callable[[], object]) -> float:
    """Processor time of one call: the best of five runs, which together last about a second."""
    best, repeat = float("inf"), 1
    started = process_time()
    while process_time() - started < _SECONDS:
        before = process_time()
        for _ in range(repeat):
            function()
        taken = process_time() - before
        best = min(best, taken / repeat)
        if taken < _SECONDS / 5:
            repeat = max(repeat + 1, int(repeat * min(10.0, _SECONDS / 5 / max(taken, 1e-6))))
    return 1e6 * best


def _dearest(service: InProcess, path: str, requests: list[ChangingRequest]) -> str:
    profiler = cProfile.Profile()
    profiler.enable()
    for _ in range(30):
        service.many(path, requests)
    profiler.disable()
    text = StringIO()
    pstats.Stats(profiler, stream=text).strip_dirs().sort_stats("tottime").print_stats(_LINES)
    return text.getvalue()
