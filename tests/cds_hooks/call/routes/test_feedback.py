"""Feedback over HTTP: the old forms are for clients of 1.x, and what is too long is not decoded."""

import asyncio
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from cds_hooks.call.protocol.feedback import MOST_BYTES
from cds_hooks.evidence.storage.queries import feedback_on
from tests.cds_hooks.calls import PLANNING, client, counted_request_for, ours

Make = Callable[[dict[str, Any]], Any]


def _item(card: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"card": card["uuid"], "outcome": "overridden", "outcomeTimestamp": "2026-11-20T09:05:00Z"} | changes


def _accepted(card: dict[str, Any], *ids: str) -> dict[str, Any]:
    suggestions = [{"id": each} for each in ids or [card["suggestions"][0]["uuid"]]]
    return _item(card, outcome="accepted", acceptedSuggestions=suggestions)


def _report(
    folder: Path, as_of: datetime, make: Make, service: str = PLANNING, **settings: Any
) -> tuple[list[httpx.Response], str, list[Any], str]:
    """Calls planning, sends the reports that `make` gives for its card; answers, decision, what is stored, metrics."""

    async def run() -> tuple[list[httpx.Response], str, str]:
        async with client(folder, as_of=as_of, **settings) as calls:
            request = counted_request_for(PLANNING, "patient-view", "planning-talk", as_of)
            answer = await calls.post(f"/cds-services/{PLANNING}", json=request)
            card = answer.json()["cards"][0]
            reports = make(card)
            answers = [await calls.post(f"/cds-services/{service}/feedback", json=each) for each in reports]
            return answers, ours(answer)["decision"], (await calls.get("/metrics")).text

    answers, decision, metrics = asyncio.run(run())
    url = f"sqlite:///{folder}/decisions.sqlite3"
    return answers, decision, feedback_on(url, decision), metrics


def test_the_old_forms_are_for_clients_of_1_x(tmp_path: Path, as_of: datetime) -> None:
    def strings(card: dict[str, Any]) -> list[Any]:
        return [json.loads(json.dumps(_accepted(card)).replace("[{", "[").replace('"id": ', "").replace("}]", "]"))]

    for version, status in (("1.1", 200), ("2.0", 400)):
        folder = tmp_path / version
        folder.mkdir()
        answers, _, stored, _ = _report(folder, as_of, strings, protocol_version=version)
        assert answers[0].status_code == status
        assert len(stored) == (1 if status == 200 else 0)


def test_a_report_that_is_too_long_is_refused_without_being_decoded(tmp_path: Path, as_of: datetime) -> None:
    comment = {"userComment": "x" * MOST_BYTES}
    answers, _, stored, _ = _report(tmp_path, as_of, lambda card: [{"feedback": [_item(card, overrideReason=comment)]}])
    assert answers[0].status_code == 413
    assert stored == []
