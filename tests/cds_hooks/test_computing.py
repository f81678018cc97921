"""Large calls are computed beside the event loop, small ones in turns: no client waits for all that another sent."""

import asyncio
import re
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from math import inf
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import pytest

from cds_hooks.computing import LARGE_BYTES, MIDDLING_BYTES, MIDDLING_ORDER_BYTES, CallUnderWay, Computing, refuse_late
from cds_hooks.errors import CallTimedOut, Overloaded
from fhir.terminology.time_limit import check_time
from tests.cds_hooks.calls import ORDERS, client, request_for
from tests.hardening.two_clients import body_of

Work = Callable[[], str]


def _work(name: str, log: list[str]) -> Work:
    def work() -> str:
        log.append(name)
        return name

    return work


async def _call(computing: Computing, client: str, work: Work, *, is_large: bool = False) -> str:
    async with CallUnderWay(computing, client, LARGE_BYTES if is_large else 0) as turn:
        return await turn.compute(work)


async def test_the_small_calls_of_clients_take_turns_however_many_each_has_sent() -> None:
    computing, log = Computing(60), list[str]()
    async with CallUnderWay(computing, "b"):  # b's call has come, and its body is being read
        calls = [_call(computing, "a", _work(f"a{n}", log)) for n in range(4)]
        await asyncio.gather(*calls, *(_call(computing, "b", _work(f"b{n}", log)) for n in range(2)))
    assert log == ["a0", "b0", "a1", "b1", "a2", "a3"]


async def test_a_middling_call_is_large_while_another_client_calls_and_for_a_second_after() -> None:
    alone, beside = [False, False, False], [True, True, False]
    now = 100.0
    computing = Computing(60, lambda: now)
    seen = []
    for caller, seconds in (("a", 0.0), ("a", 0.1), ("b", 0.1), ("a", 0.9), ("a", 0.9), ("a", 0.2)):
        now += seconds
        async with CallUnderWay(computing, caller):
            sizes = (MIDDLING_BYTES, 0), (1_000, MIDDLING_ORDER_BYTES), (1_000, 1_000)
            seen.append([computing.is_large(*size) for size in sizes])
    assert seen == [alone, alone, beside, beside, beside, alone]
    assert Computing(60).is_large(LARGE_BYTES)


async def test_a_call_that_came_large_is_computed_beside_the_loop_whatever_is_fetched_for_it() -> None:
    async with CallUnderWay(Computing(60), "a", LARGE_BYTES) as turn:
        turn.weigh(0, 0)
        assert await turn.compute(threading.get_ident) != threading.get_ident()


async def test_a_call_whose_time_is_over_ends_with_an_error_for_its_caller() -> None:
    with pytest.raises(CallTimedOut, match=r"No answer within 0\.01 seconds"):
        async with CallUnderWay(Computing(0.01), "a"):
            await asyncio.sleep(60)


async def test_a_cancellation_by_somebody_else_is_no_timeout() -> None:
    async def wait() -> None:
        async with CallUnderWay(Computing(60), "a"):
            await asyncio.sleep(60)

    waiting = asyncio.ensure_future(wait())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_what_fails_by_itself_fails_with_its_own_error() -> None:
    with pytest.raises(TimeoutError, match="of a database"):
        async with CallUnderWay(Computing(60), "a"):
            raise TimeoutError("of a database")


async def test_a_work_that_takes_too_long_on_the_loop_is_begun_again_beside_it_and_after_three_so_are_the_next() -> (
    None
):
    places: list[str] = []

    def slow() -> str:
        places.append(threading.current_thread().name)
        end = time.thread_time() + 0.2
        while time.thread_time() < end:
            check_time()
        return "computed"

    async def slow_async() -> str:
        return slow()

    computing = Computing(60)
    async with CallUnderWay(computing, "a") as turn:
        assert await turn.compute(slow) == "computed"
        assert await turn.compute_async(slow_async) == "computed"
        assert await turn.compute(slow) == "computed"
    assert await _call(computing, "a", _work_in(places)) == "computed"
    assert await _call(computing, "b", _work_in(places)) == "computed"
    assert [name.startswith("large-call") for name in places] == [*[False, True] * 3, True, False]


def test_a_client_is_slow_for_ten_seconds_after_three_slow_calls_each_within_ten_of_the_one_before() -> None:
    now = [100.0]
    computing = Computing(60, lambda: now[0])
    for pause in (0.0, 9.9, 9.9):
        assert not computing.is_slow("a")
        now[0] += pause
        computing.note_slow("a")
    for pause, is_slow in ((0.0, True), (9.75, True), (0.25, False)):
        now[0] += pause
        assert computing.is_slow("a") is is_slow
    computing.note_slow("a")
    assert not computing.is_slow("a"), "ten seconds later it is the first one again"
    assert not computing.is_slow("b")


def _work_in(places: list[str]) -> Work:
    def work() -> str:
        places.append(threading.current_thread().name)
        return "computed"

    return work


async def test_what_is_computed_beside_the_loop_ends_with_the_time_of_its_call() -> None:
    ended = threading.Event()

    def endless() -> str:
        try:
            while True:
                check_time()
        finally:
            ended.set()

    computing = Computing(0.1)
    with pytest.raises(CallTimedOut):
        await _call(computing, "a", endless, is_large=True)
    assert await asyncio.to_thread(ended.wait, 30)


def test_a_request_that_arrived_too_long_ago_is_refused() -> None:
    refuse_late(monotonic() - 1)
    refuse_late(inf)  # a caller without a server
    with pytest.raises(Overloaded, match="again in a second"):
        refuse_late(monotonic() - 3)


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


def _more_drafts(request: Json) -> None:
    request["context"]["draftOrders"]["entry"] *= 3


def _more_selections(request: Json) -> None:
    request["context"]["selections"] *= 3


@pytest.mark.parametrize(
    ("change", "place", "setting"),
    [
        (_more_entries, "prefetch.labs", "100 of a key are read"),
        (_more_in_all, "prefetch", "150 are read"),
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
    active = re.findall(r"There are (\d+) active", answer.text)[0]
    async with client(tmp_path, as_of=as_of, max_drafts=int(active)) as calls:
        answer = await calls.post("/cds-services/discharge-medications", json=request)
    assert answer.status_code == 200


@pytest.mark.parametrize("seconds", [0.000_001, 0.4])
async def test_a_call_that_takes_too_long_hears_so_and_is_recorded_as_a_failure(tmp_path: Path, seconds: float) -> None:
    answer = await _post(tmp_path, body_of(200, 3000, 3000, 3000), call_seconds=seconds)
    outcome = answer.json()
    assert (answer.status_code, outcome["issue"][0]["code"]) == (503, "timeout")
    assert int(answer.headers["retry-after"]) > 0
    assert "cards" not in outcome
    with closing(sqlite3.connect(tmp_path / "decisions.sqlite3")) as record:
        rows = record.execute("SELECT id, outcome, client FROM decisions").fetchall()
    assert rows == [(answer.headers["x-call-id"], "error", "anonymous")]


async def test_the_page_of_a_call_that_took_too_long_says_so(tmp_path: Path) -> None:
    async with client(tmp_path, call_seconds=0.000_001) as calls:
        body = body_of(200, 1000, 1000, 1000)
        headers = {"content-type": "application/json"}
        refused = await calls.post(f"/cds-services/{ORDERS}", content=body, headers=headers)
        page = await calls.get(f"/explain/{refused.headers['x-call-id']}")
    assert page.status_code == 200
    assert "No answer within" in page.text


async def test_so_many_drafts_that_not_every_suggestion_can_be_named_are_answered(tmp_path: Path) -> None:
    answer = await _post(tmp_path, body_of(200, 100, 10, 10))
    assert answer.status_code == 200
    assert answer.json()["cards"]
