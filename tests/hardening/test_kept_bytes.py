"""What strangers and charts send is not kept: paths, tokens, keys, long texts; and short texts only within bounds.

Junk tokens on long paths kept 233 MB once, long texts of charts 355 MB. What is counted is what the process still holds
after the flood, by `tracemalloc`; a part of the flood goes before, so that what is made once is not counted.
"""

import asyncio
import base64
import gc
import json
import tracemalloc
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir.terminology.caching import LONGEST_KEY_TEXT
from tests.cds_hooks.calls import PLANNING, client, request_for
from tests.hardening.two_clients import write_site

pytestmark = pytest.mark.slow

Json = dict[str, Any]
Send = Callable[[httpx.AsyncClient, int], Awaitable[httpx.Response]]

WARM, FLOOD = 20, 150
KEPT_BYTES = 200_000
"""Of the flood at most this is kept; each of its requests brings 2 to 30 KB that no other brings, 600 KB in all."""

# The test's own client remembers the addresses that it called.
_CLIENT = [tracemalloc.Filter(inclusive=False, filename_pattern=name) for name in ("*/httpx/*", "*/urllib/*")]


def _junk(number: int, length: int) -> str:
    """A text that no other number has, letters and digits only."""
    return f"{number:06d}" + "x" * (length - 6)


def _segment(value: Json) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _token(number: int, path: str) -> str:
    """A token in good form whose key, issuer, id and audience nobody knows."""
    header = {"typ": "JWT", "alg": "EdDSA", "kid": _junk(number, 180), "jku": f"https://e.vil/{_junk(number, 900)}"}
    claims = {"iss": f"https://{number}.example", "aud": path, "jti": _junk(number, 200), "exp": 2e9, "iat": 1e9}
    return f"{_segment(header)}.{_segment(claims)}.{_junk(number, 86)}"


async def _unknown_path(calls: httpx.AsyncClient, number: int) -> httpx.Response:
    return await calls.get(f"/{_junk(number, 4_000)}")


async def _unknown_service(calls: httpx.AsyncClient, number: int) -> httpx.Response:
    return await calls.post(f"/cds-services/{_junk(number, 4_000)}", json={})


async def _token_on_a_long_path(calls: httpx.AsyncClient, number: int) -> httpx.Response:
    path = f"/cds-services/{_junk(number, 2_000)}"
    return await calls.post(path, json={}, headers={"authorization": f"Bearer {_token(number, path)}"})


async def _token_on_a_short_path(calls: httpx.AsyncClient, number: int) -> httpx.Response:
    path = f"/cds-services/{number}/feedback"
    return await calls.post(path, json={}, headers={"authorization": f"Bearer {_token(number, path)}"})


async def _headers(calls: httpx.AsyncClient, number: int) -> httpx.Response:
    trace = f"00-{number:032x}-{number:016x}-01"
    sent = {"traceparent": trace, "tracestate": f"a={_junk(number, 250)}", "origin": f"https://{_junk(number, 180)}.e"}
    return await calls.get("/cds-services", headers=sent | {"user-agent": _junk(number, 3_000)})


STRANGERS = (_unknown_path, _unknown_service, _token_on_a_long_path, _token_on_a_short_path, _headers)


async def _kept(calls: httpx.AsyncClient, send: Send, most: int) -> tuple[int, set[int]]:
    """The bytes that are still held after the flood, and the statuses of its answers.

    Servers of other tests may live in this process and allocate meanwhile: what is held is held after each of three
    floods, what they need only after one.
    """
    statuses = {(await send(calls, number)).status_code for number in range(WARM)}
    kept = most
    for first in range(WARM, WARM + 3 * FLOOD, FLOOD):
        kept = await _kept_of_one_flood(calls, send, first, statuses)
        if kept < most:
            break
    return kept, statuses


async def _kept_of_one_flood(calls: httpx.AsyncClient, send: Send, first: int, statuses: set[int]) -> int:
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(first, first + FLOOD):
            statuses.add((await send(calls, number)).status_code)
        gc.collect()
        held = tracemalloc.take_snapshot().filter_traces(_CLIENT).statistics("filename")
        return sum(each.size for each in held)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("send", STRANGERS, ids=[send.__name__.strip("_") for send in STRANGERS])
async def test_what_a_stranger_sends_is_not_kept(send: Send, tmp_path: Path) -> None:
    _, _, trust_file = write_site(tmp_path, "http://127.0.0.1:9/fhir")
    async with client(tmp_path, trust_file=trust_file) as calls:
        kept, statuses = await _kept(calls, send, KEPT_BYTES)
    assert statuses <= {401, 404}
    assert kept < KEPT_BYTES


@pytest.mark.parametrize("length", [LONGEST_KEY_TEXT + 1, 1_900])
def test_long_texts_of_charts_are_not_kept(length: int, tmp_path: Path, as_of: datetime) -> None:
    request = request_for(PLANNING, "patient-view", "planning-talk", as_of)
    most = 4 * KEPT_BYTES + 3 * len(json.dumps(_with_texts(request["prefetch"], lambda: _junk(0, length))))
    """The last prefetch of a visit, its bytes and what was read of them, stays for five minutes."""

    async def send(calls: httpx.AsyncClient, number: int) -> httpx.Response:
        junk = iter(range(number * 100, number * 100 + 100))
        prefetch = _with_texts(request["prefetch"], lambda: _junk(next(junk, number), length))
        return await calls.post(f"/cds-services/{PLANNING}", json=request | {"prefetch": prefetch})

    async def run() -> tuple[int, set[int]]:
        async with client(tmp_path, as_of=as_of) as calls:
            # What the server said about each patient is remembered for its rests; none of it is the text of the chart.
            return await _kept(calls, send, most)

    kept, statuses = asyncio.run(run())
    assert statuses == {200}
    assert kept < most


def _with_texts(value: Any, text: Callable[[], str]) -> Any:
    """The resources with another text in every name, code system and unit in words."""
    if isinstance(value, list):
        return [_with_texts(each, text) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: text() if key in ("text", "display", "system") and isinstance(each, str) else _with_texts(each, text)
        for key, each in value.items()
    }
