"""The hook endpoint: right answers, honest errors, never a traceback."""

import asyncio
import json
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from cds_hooks.call.routes.entrance import BodyReader, CallBudgets
from cds_hooks.errors import BadRequest, HookError, PayloadTooLarge, RequestTimeout, TooManyCalls, UnsupportedMediaType
from tests.cds_hooks.calls import ORDERS, PLANNING, client, ours, request_for
from tests.each import for_rows
from tests.recorded import list_decisions

JSON = {"content-type": "application/json"}


async def _post(
    folder: Path, path: str, content: bytes, headers: dict[str, str] = JSON, **settings: Any
) -> httpx.Response:
    async with client(folder, **settings) as calls:
        return await calls.post(path, content=content, headers=headers)


def _outcome(answer: httpx.Response) -> str:
    document = answer.json()
    assert document["resourceType"] == "OperationOutcome"
    text: str = document["issue"][0]["details"]["text"]
    assert "Traceback" not in text
    return text


async def test_another_patients_resource_stops_the_call(tmp_path: Path, as_of: datetime) -> None:
    request = request_for(PLANNING, "patient-view", "planning-talk", as_of)
    request["context"]["patientId"] = "somebody-else"
    answer = await _post(tmp_path, f"/cds-services/{PLANNING}", json.dumps(request).encode(), as_of=as_of)
    assert answer.status_code == 400
    assert "another patient" in _outcome(answer)
    assert "planning-talk" not in answer.text


async def test_the_page_of_a_refused_call_does_not_look_like_nothing_found(tmp_path: Path, as_of: datetime) -> None:
    request = request_for(PLANNING, "patient-view", "planning-talk", as_of)
    del request["prefetch"]["labs"]
    async with client(tmp_path, as_of=as_of) as calls:
        await calls.post(f"/cds-services/{PLANNING}", json=request)
        (kept,) = list_decisions(f"sqlite:///{tmp_path}/decisions.sqlite3")
        answer = await calls.get(f"/explain/{kept.id}")
    assert answer.status_code == 200
    assert "prefetch.labs" in answer.text
    assert "nothing was looked at" in answer.text
    assert "nothing to recommend" not in answer.text


async def test_timings_come_when_asked_for(tmp_path: Path, as_of: datetime) -> None:
    request = request_for(PLANNING, "patient-view", "planning-talk", as_of)
    request["extension"] = {"org.cds-hooks-onnx": {"timings": True}}
    answer = await _post(tmp_path, f"/cds-services/{PLANNING}", json.dumps(request).encode(), as_of=as_of)
    assert {"decode", "facts", "decide"} <= set(ours(answer)["timings"])


async def test_what_was_looked_for_is_said_once_for_two_orders_of_a_drug(tmp_path: Path, as_of: datetime) -> None:
    request = request_for(ORDERS, "order-sign", "af-no-anticoagulant", as_of, "rivaroxaban-20-af")
    entries = request["context"]["draftOrders"]["entry"]
    entries.append({"resource": {**entries[0]["resource"], "id": "again"}})
    answer = await _post(tmp_path, f"/cds-services/{ORDERS}", json.dumps(request).encode(), as_of=as_of)
    assert ours(answer)["looked"].count("rivaroxaban: looked for") == 1


async def test_an_answer_lists_what_was_not_judged_and_in_version_1_every_rule_that_was_asked(
    tmp_path: Path, as_of: datetime
) -> None:
    """What an answer leaves out is on record, in words on the page of the decision, and a replay compares it."""
    request = request_for(ORDERS, "order-sign", "af-no-anticoagulant", as_of, "rivaroxaban-20-af")
    wanted: list[object] = [1, 2, None, "1", 3]
    asked = [{"extension": {"org.cds-hooks-onnx": {"version": version}}} if version else {} for version in wanted]
    async with client(tmp_path, as_of=as_of) as calls:
        answers = [await calls.post(f"/cds-services/{ORDERS}", json=request | more) for more in asked]
    first, second, unasked, *refused = answers
    assert [(answer.status_code, "version must be 1 or 2" in answer.text) for answer in refused] == [(400, True)] * 2
    every, listed = ours(first)["silence"], ours(second)["silence"]
    assert {"version", "looked"}.isdisjoint(ours(first))
    assert ours(second)["version"] == ours(unasked)["version"] == 2
    assert ours(second)["looked"] == next(silence["text"] for silence in every if silence["reason"] == "scope")
    assert [silence for silence in every if silence in listed] == listed
    assert {"within-limits", "scope"} <= {silence["reason"] for silence in every if silence not in listed}
    assert all(silence["text"] for silence in every)
    assert len(json.dumps(ours(second))) <= 1024 < len(json.dumps(ours(first)))


async def test_a_browser_of_another_origin_cannot_read_the_pages(tmp_path: Path) -> None:
    async with client(tmp_path) as calls:
        answer = await calls.get("/models", headers={"origin": "https://elsewhere.example"})
    assert answer.status_code == 200
    assert "access-control-allow-origin" not in answer.headers


INTAKE_JSON = [(b"content-type", b"application/json")]
Message = dict[str, Any]


def _part(body: bytes, more: bool = False) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def _read(messages: Iterable[Message], headers: Iterable[tuple[bytes, bytes]] = INTAKE_JSON, limit: int = 100) -> bytes:
    coming = iter(messages)

    async def receive() -> Message:
        message = next(coming, None)
        if message is None:
            await asyncio.Event().wait()  # for ever
        return message or {}

    return asyncio.run(BodyReader(limit, 0.05).read(headers, receive))


@for_rows(
    ("messages", "headers", "error"),
    [
        ([], INTAKE_JSON, RequestTimeout),
        ([_part(b"{", True)], INTAKE_JSON, RequestTimeout),
        ([_part(b"{", True), {"type": "http.disconnect"}], INTAKE_JSON, BadRequest),
        ([_part(b"x" * 60, True), _part(b"x" * 60)], INTAKE_JSON, PayloadTooLarge),
        ([_part(b"{}")], [(b"content-length", b"101")], PayloadTooLarge),
        ([_part(b"{}")], [(b"content-type", b"text/x+json")], UnsupportedMediaType),
    ],
)
def test_what_is_not_read_is_refused_in_a_sentence(
    messages: list[Message], headers: list[tuple[bytes, bytes]], error: type[HookError]
) -> None:
    with pytest.raises(error) as caught:
        _read(messages, headers)
    assert caught.value.text.endswith(".")


def test_a_client_has_so_many_calls_at_the_same_time_and_others_are_not_counted_with_it() -> None:
    budgets = CallBudgets()
    budgets.enter("a", 2)
    budgets.enter("a", 2)
    budgets.enter("b", 2)
    with pytest.raises(TooManyCalls) as caught:
        budgets.enter("a", 2)
    assert (b"retry-after", b"1") in caught.value.headers
    budgets.leave("a")
    budgets.enter("a", 2)


class _Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = 7.25

    def __call__(self) -> float:
        return self.now


def _passed(budgets: CallBudgets, client: str, calls: int, most: int) -> int:
    """How many of so many calls at one moment were let in."""
    passed = 0
    for _ in range(calls):
        with suppress(TooManyCalls):
            budgets.enter(client, 1_000, most)
            budgets.leave(client)
            passed += 1
    return passed


def test_a_client_that_begins_more_calls_in_a_second_than_it_may_is_told_to_wait() -> None:
    clock = _Clock()
    budgets = CallBudgets(clock)
    assert _passed(budgets, "a", 3, 3) == 3
    with pytest.raises(TooManyCalls) as refused:
        budgets.enter("a", 1_000, 3)
    assert (b"retry-after", b"1") in refused.value.headers
    assert _passed(budgets, "b", 4, 3) == 3
    clock.now += 1  # what Retry-After says
    assert _passed(budgets, "a", 4, 3) == 3
