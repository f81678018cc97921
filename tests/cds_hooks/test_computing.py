"""Large calls are computed beside the event loop, small ones in turns: no client waits for all that another sent."""

import asyncio
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from itertools import pairwise
from math import inf
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import pytest

from cds_hooks.call.computing import LARGE_BYTES, CallUnderWay, Computing, refuse_late
from cds_hooks.errors import CallTimedOut, Overloaded
from tests.cds_hooks.calls import ORDERS, client, request_for
from tests.hardening.two_clients import body_of
from tests.waiting import MOST_SECONDS

Work = Callable[[], str]


def _work(name: str, log: list[str]) -> Work:
    def work() -> str:
        log.append(name)
        return name

    return work


async def _call(computing: Computing, client: str, work: Work, *, is_large: bool = False) -> str:
    async with CallUnderWay(computing, client, LARGE_BYTES if is_large else 0) as turn:
        return await turn.compute(work)


async def test_one_small_call_goes_on_in_each_turn_of_the_loop_and_clients_take_turns_however_many_each_sent() -> None:
    computing, log = Computing(60), list[str]()

    async def probe() -> None:
        while len(log) < 11:
            log.append("probe")  # is answered between any two calls
            await asyncio.sleep(0)

    calls = [
        _call(computing, client, _work(f"{client}{n}", log))
        for client, many in (("a", 4), ("b", 2))
        for n in range(many)
    ]
    await asyncio.gather(*calls, probe())
    assert [name for name in log if name != "probe"] == ["a0", "a1", "b0", "a2", "b1", "a3"]
    assert all("probe" in pair for pair in pairwise(log))


async def test_a_call_whose_time_is_over_ends_with_an_error_for_its_caller() -> None:
    with pytest.raises(CallTimedOut, match=r"No answer within 0\.01 seconds"):
        async with CallUnderWay(Computing(0.01), "a"):
            await asyncio.sleep(60)


def test_a_request_that_arrived_too_long_ago_is_refused() -> None:
    refuse_late(monotonic())
    refuse_late(inf)  # a caller without a server
    with pytest.raises(Overloaded, match="again in a second"):
        refuse_late(monotonic() - 3 * MOST_SECONDS)


Json = dict[str, Any]


async def _post(folder: Path, request: Json | bytes, **settings: Any) -> httpx.Response:
    async with client(folder, **settings) as calls:
        path = f"/cds-services/{ORDERS}"
        if isinstance(request, bytes):
            return await calls.post(path, content=request, headers={"content-type": "application/json"})
        return await calls.post(path, json=request)


def _more_entries(request: Json) -> None:
    entry = request["prefetch"]["labs"]["entry"][0]
    request["prefetch"]["labs"]["entry"] = [entry] * 101


def _more_in_all(request: Json) -> None:
    entries = request["prefetch"]["labs"]["entry"]
    request["prefetch"] |= {f"labs{n}": {"resourceType": "Bundle", "entry": entries[:1] * 90} for n in range(2)}


def _more_keys(request: Json) -> None:
    request["prefetch"] |= {f"labs{n}": None for n in range(1001)}


def _more_drafts(request: Json) -> None:
    request["context"]["draftOrders"]["entry"] *= 3


def _more_selections(request: Json) -> None:
    request["context"]["selections"] *= 3


@pytest.mark.parametrize(
    ("change", "place", "setting"),
    [
        (_more_entries, "prefetch.labs", "at most 100 of one key are read"),
        (_more_in_all, "prefetch", "150 are read"),
        (_more_keys, "prefetch", "at most 1000 are read"),
        (_more_drafts, "context.draftOrders", "at most 2 are checked"),
        (_more_selections, "context.selections", "at most 2 are checked"),
    ],
)
async def test_what_is_beyond_a_limit_is_answered_413_with_the_place_and_the_setting(
    tmp_path: Path, as_of: datetime, change: Callable[[Json], None], place: str, setting: str
) -> None:
    request = request_for(ORDERS, "order-select", "ckd4-metformin", as_of, "metformin-ckd4-coded")
    settings = {"as_of": as_of, "max_entries_per_key": 100, "max_entries": 150, "max_drafts": 2}
    assert (await _post(tmp_path, request, **settings)).status_code == 200
    change(request)
    answer = await _post(tmp_path, request, **settings)
    issue = answer.json()["issue"][0]
    assert (answer.status_code, issue["code"], issue["expression"]) == (413, "too-long", [place])
    assert setting in issue["details"]["text"]


async def test_a_key_of_the_client_that_is_no_plain_name_is_not_repeated(tmp_path: Path, as_of: datetime) -> None:
    request = request_for(ORDERS, "order-select", "ckd4-metformin", as_of, "metformin-ckd4-coded")
    entry = request["prefetch"]["labs"]["entry"][0]
    request["prefetch"]["<Miller, Anna>"] = {"resourceType": "Bundle", "entry": [entry] * 101}
    answer = await _post(tmp_path, request, as_of=as_of, max_entries_per_key=100)
    assert answer.status_code == 413
    assert "Miller" not in answer.text


async def test_at_discharge_more_active_orders_than_the_limit_are_answered_413(tmp_path: Path, as_of: datetime) -> None:
    request = request_for("discharge-medications", "encounter-discharge", "going-home", as_of)
    async with client(tmp_path, as_of=as_of, max_drafts=1) as calls:
        answer = await calls.post("/cds-services/discharge-medications", json=request)
    assert answer.status_code == 413
    assert answer.json()["issue"][0]["expression"] == ["prefetch.medications"]
    active = re.findall(r"has (\d+) orders", answer.text)[0]
    async with client(tmp_path, as_of=as_of, max_drafts=int(active)) as calls:
        answer = await calls.post("/cds-services/discharge-medications", json=request)
    assert answer.status_code == 200


@pytest.mark.parametrize("seconds", [0.000_001, 0.1])
async def test_a_call_that_takes_too_long_hears_so_and_is_recorded_as_a_failure(tmp_path: Path, seconds: float) -> None:
    answer = await _post(tmp_path, body_of(66, 3000, 3000, 3000), call_seconds=seconds)
    outcome = answer.json()
    assert (answer.status_code, outcome["issue"][0]["code"]) == (503, "timeout")
    assert int(answer.headers["retry-after"]) > 0
    assert "cards" not in outcome
    with closing(sqlite3.connect(tmp_path / "decisions.sqlite3")) as record:
        rows = record.execute("SELECT id, outcome, client FROM decisions").fetchall()
    assert rows == [(answer.headers["x-call-id"], "error", "anonymous")]
