"""A card about the patient that was answered is not shown again within its period, unless the finding became worse."""

import asyncio
import copy
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

from tests.cds_hooks.calls import client, ours, request_for
from tests.cds_hooks.services.equation_calls import NOW, valued

SERVICE = "nephrology-referral"


async def _call(calls: httpx.AsyncClient, change: Any = None, user: str | None = None) -> httpx.Response:
    request = copy.deepcopy(request_for(SERVICE, "patient-view", "ckd4-metformin", NOW))
    if change is not None:
        change(request)
    if user is not None:
        request["context"]["userId"] = user
    answered = await calls.post(f"/cds-services/{SERVICE}", json=request)
    assert answered.status_code == 200, answered.text
    return answered


async def _override(calls: httpx.AsyncClient, card: str, code: str) -> None:
    reason = {"code": code, "system": "https://cds-hooks-onnx.org/override-reasons", "display": "A reason"}
    item = {"card": card, "outcome": "overridden", "overrideReason": {"reason": reason}}
    item["outcomeTimestamp"] = NOW.isoformat()
    sent = await calls.post(f"/cds-services/{SERVICE}/feedback", json={"feedback": [item]})
    assert sent.status_code == 200, sent.text


def test_an_answered_card_waits_for_its_period_and_speaks_again_when_it_is_worse(tmp_path: Path) -> None:
    async def story() -> None:
        async with client(tmp_path, as_of=NOW) as calls:
            first = (await _call(calls)).json()["cards"]
            assert len(first) == 1
            await _override(calls, first[0]["uuid"], "wrong-time-workflow")
            again = await _call(calls, user="Practitioner/somebody-else")
            assert again.json()["cards"] == []
            assert [each["reason"] for each in ours(again)["silence"]] == ["said-once"]
            worse = await _call(calls, valued("2160-0", 5.0))
            assert len(worse.json()["cards"]) == 1
        later = NOW + timedelta(days=31)
        async with client(tmp_path, as_of=later) as calls:
            assert len((await _call(calls)).json()["cards"]) == 1

    asyncio.run(story())
