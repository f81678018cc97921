"""Switches while 200 calls a second come in: none is lost, none is mixed, and each answer is of one state.

The calls are sent at their times whether or not earlier ones were answered (an open loop), so a server that stops
answering is not spared any. The record is in PostgreSQL; with SQLite the switches of test_switches.py and
test_model_versions.py are made under load. Nothing here is asserted about time: the rate that was reached, the
latencies, and how long the older state was still answered are printed (`pytest -s`).
"""

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import quantiles
from time import perf_counter
from typing import Any

import pytest

from cds_hooks.audit.verification import audit
from cds_hooks.storage.queries import DecisionFilter, find_decisions
from tests.cds_hooks.calls import ORDERS, PLANNING, request_for
from tests.cds_hooks.conftest import postgres_server, postgres_url
from tests.live import serving
from tests.operations.test_model_versions import NEW_VERSION, SALT, models, site, version_of
from tests.operations.test_rolling_restart import PATIENT
from tests.operations.test_switches import is_switched_off, switch

__all__ = ["models", "postgres_server", "postgres_url", "site"]

_RATE, _CALLS_BETWEEN, _SWITCHES = 200, 150, 8
_OURS = "org.cds-hooks-onnx"
_IDLE_SECONDS = 2
"""A server closes a connection that was idle for 5 s, and a call that is on its way to it then is lost."""
_AS_MANY_AS_COME = {"concurrent_calls": 20_000, "calls_per_second": 20_000, **PATIENT}


@dataclass(frozen=True)
class Answered:
    """A call: when it was sent and answered (seconds), and the answer."""

    sent: float
    answered: float
    status: int
    body: dict[str, Any]


class _Connections:
    """Kept connections to a server; a call opens another one where all are in use. httpx would take most of a core."""

    def __init__(self, address: str) -> None:
        self._host, _, port = address.removeprefix("http://").partition(":")
        self._port = int(port)
        self._idle: list[tuple[float, asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Status and body of the answer; OSError or EOFError where the connection ends before it."""
        reader, writer = self._taken() or await asyncio.open_connection(self._host, self._port)
        head = f"POST {path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        (length,) = re.findall(rb"(?i)\r\ncontent-length: (\d+)", answer)
        content = await reader.readexactly(int(length))
        self._idle.append((perf_counter(), reader, writer))
        return int(answer.split()[1]), content

    def _taken(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """An idle connection that the server has not closed and is not about to close."""
        while self._idle:
            since, reader, writer = self._idle.pop()
            if not reader.at_eof() and perf_counter() - since < _IDLE_SECONDS:
                return reader, writer
            writer.close()
        return None

    def close(self) -> None:
        for _, _, writer in self._idle:
            writer.close()


async def _at_rate(
    address: str, service: str, body: bytes, switching: Iterator[Callable[[], None]]
) -> tuple[list[Answered], list[tuple[float, float]]]:
    """Sends `_RATE` calls a second and makes a switch each second; the answers, and begin and end of each switch."""
    switched: list[tuple[float, float]] = []
    calls = _Connections(address)

    async def call() -> tuple[float, float, int, bytes]:
        sent = perf_counter()
        status, content = await calls.post(f"/cds-services/{service}", body)
        return sent, perf_counter(), status, content

    def act(make: Callable[[], None]) -> None:
        begun = perf_counter()
        make()
        switched.append((begun, perf_counter()))

    begun, sent = perf_counter(), list[asyncio.Task[tuple[float, float, int, bytes]]]()
    under_way: asyncio.Task[None] | None = None
    for make in (*switching, None):
        for _ in range(_CALLS_BETWEEN):
            await asyncio.sleep(max(0.0, begun + len(sent) / _RATE - perf_counter()))
            sent.append(asyncio.create_task(call()))
        if under_way is not None:
            await under_way
        under_way = asyncio.create_task(asyncio.to_thread(act, make)) if make is not None else None
    answered = await asyncio.gather(*sent)
    calls.close()
    assert [content for _, _, status, content in answered if status != 200] == []
    return [Answered(at, then, status, json.loads(content)) for at, then, status, content in answered], switched


def _off_and_on(url: str) -> Iterator[Callable[[], None]]:
    for number in range(_SWITCHES):
        yield partial(switch, url, "on" if number % 2 else "off")


def _other_version(url: str, sha256: str) -> Iterator[Callable[[], None]]:
    """Active and back to shadow; a version comes through canary before it answers everybody."""

    def make(number: int) -> None:
        if number % 2:
            switch(url, "shadow", "model", NEW_VERSION, version=sha256)
            return
        if number:
            switch(url, "canary", "model", NEW_VERSION, version=sha256, share=50, salt=SALT)
        switch(url, "active", "model", NEW_VERSION, version=sha256)

    switch(url, "shadow", "model", NEW_VERSION, version=sha256)
    switch(url, "canary", "model", NEW_VERSION, version=sha256, share=50, salt=SALT)
    yield from (partial(make, number) for number in range(_SWITCHES))


def _is_whole(answers: list[Answered], url: str, state_of: Callable[[dict[str, Any]], str]) -> None:
    """Every call was answered once, is on record as it was answered, and what was in force decided its state alone."""
    said = {each.body["extension"][_OURS]["decision"]: state_of(each.body) for each in answers}
    assert len(said) == len(answers)
    assert len(set(said.values())) == 2, "both states were answered"
    by_digest: dict[str, set[str]] = {}
    for decision in find_decisions(url, DecisionFilter()):
        state = said.pop(decision.id)
        assert state_of(json.loads(decision.response)) == state
        by_digest.setdefault(json.loads(decision.basis)["config"], set()).add(state)
    assert not said, "every answer is in the record"
    assert {len(states) for states in by_digest.values()} == {1}, "no answer was mixed of two states"
    assert audit(url).findings == []


def _tell(
    what: str, answers: list[Answered], switched: list[tuple[float, float]], state_of: Callable[[dict[str, Any]], str]
) -> None:
    """Prints the rate, the latencies, and how long after each switch a call was sent that got the state before it."""
    seconds = max(each.sent for each in answers) - min(each.sent for each in answers)
    cuts = quantiles([1000 * (each.answered - each.sent) for each in answers], n=100)
    first, late = state_of(answers[0].body), [0.0]
    ends = [*(begun for begun, _ in switched[1:]), float("inf")]
    for number, ((_, made), end) in enumerate(zip(switched, ends, strict=True)):
        older = [each for each in answers if (state_of(each.body) == first) is (number % 2 == 0)]
        late += [each.sent - made for each in older if made < each.sent and each.answered < end]
    print(
        f"\n{what}: {len(answers)} calls at {len(answers) / seconds:.0f} a second, p50 {cuts[49]:.1f} ms, "
        f"p99 {cuts[98]:.1f} ms; the last call with the older state was sent {1000 * max(late):.0f} ms after a switch"
    )


@pytest.mark.slow
def test_a_service_is_switched_off_and_on(postgres_url: str, tmp_path: Path) -> None:
    body = json.dumps(request_for(ORDERS, "order-sign", "ckd4-metformin", datetime.now(UTC), "metformin-ckd4-coded"))
    folder = tmp_path / "server"
    folder.mkdir()
    with serving(folder, "--workers", "2", constants=_AS_MANY_AS_COME, CDS_DATABASE_URL=postgres_url) as address:
        answers, switched = asyncio.run(_at_rate(address, ORDERS, body.encode(), _off_and_on(postgres_url)))

    def state_of(answer: dict[str, Any]) -> str:
        return "off" if is_switched_off(answer) else "on"

    assert len(answers) == (_SWITCHES + 1) * _CALLS_BETWEEN
    _tell("kill switch", answers, switched, state_of)
    _is_whole(answers, postgres_url, state_of)


@pytest.mark.slow
def test_two_versions_of_a_model_take_turns(postgres_url: str, site: dict[str, Any], tmp_path: Path) -> None:
    body = json.dumps(request_for(PLANNING, "patient-view", "planning-talk", datetime.now(UTC)))
    sha256 = json.loads((tmp_path / "models" / NEW_VERSION / "manifest.json").read_text())["file"]["sha256"]
    folder = tmp_path / "server"
    folder.mkdir()
    settings, switching = site | {"CDS_DATABASE_URL": postgres_url}, _other_version(postgres_url, sha256)
    with serving(folder, "--workers", "2", constants=_AS_MANY_AS_COME, **settings) as address:
        answers, switched = asyncio.run(_at_rate(address, PLANNING, body.encode(), switching))
    assert len(answers) == (_SWITCHES + 1) * _CALLS_BETWEEN
    _tell("versions", answers, switched, version_of)
    _is_whole(answers, postgres_url, version_of)
