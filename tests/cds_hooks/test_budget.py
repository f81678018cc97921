"""The work of a call has a budget: limits with clear errors, and a time after which it is answered with one."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cds_hooks.calls import ORDERS, client, request_for
from tests.hardening.two_clients import body_of

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
