"""Each stage of a call can be called alone and timed alone: it takes a typed value and gives one."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

import orjson
import pytest

from cds_hooks.answer import (
    Advised,
    Answered,
    Received,
    ReceivedBody,
    Selected,
    Understood,
    advise,
    complete,
    hold_back,
    read,
    understand,
    write,
)
from cds_hooks.call import Call, open_call
from cds_hooks.errors import BadRequest
from cds_hooks.kit.samples import SHOWCASE_DRAFT
from tests.cds_hooks.calls import ORDERS, request_for
from tests.cds_hooks.replay.answered import site


def _call_and_body() -> tuple[Call, ReceivedBody]:
    request = request_for(ORDERS, "order-sign", "ckd4-metformin", datetime.now(UTC), SHOWCASE_DRAFT)
    body = ReceivedBody(orjson.dumps(request))
    (client,) = site().clients.values()
    return open_call(site().services[ORDERS], client, site().components, "decision", body.size), body


async def _timed(stage: Callable[..., Any], call: Call, value: object) -> tuple[Any, float]:
    started = perf_counter()
    result = stage(call, value)
    if isinstance(result, Awaitable):
        result = await result
    return result, perf_counter() - started


STAGES = (
    (read, Received),
    (complete, Received),
    (understand, Understood),
    (advise, Advised),
    (hold_back, Selected),
    (write, Answered),
)


def test_the_stages_called_one_by_one_give_the_answer_and_the_time_of_each() -> None:
    async def run() -> tuple[list[float], Answered]:
        call, value = _call_and_body()
        seconds: list[float] = []
        for stage, result_type in STAGES:
            value, took = await _timed(stage, call, value)
            assert isinstance(value, result_type), stage
            seconds.append(took)
        assert isinstance(value, Answered)
        return seconds, value

    seconds, answer = asyncio.run(run())
    assert len(orjson.loads(answer.decision.response)["cards"]) == 1
    assert all(took > 0 for took in seconds)


def test_read_alone_refuses_what_is_no_request() -> None:
    call, _ = _call_and_body()
    with pytest.raises(BadRequest):
        read(call, ReceivedBody(b"{}"))


def test_understand_alone_gives_the_memory_of_the_body_back() -> None:
    call, body = _call_and_body()
    received = read(call, body)
    chart = understand(call, received)
    assert chart.record.patient_id == received.request.context.patient_id
    assert received.request.prefetch == {}
    assert received.filled.state is chart.prefetch
