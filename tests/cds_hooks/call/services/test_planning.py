"""The planning conversation: for whom, in which words, and why not."""

import asyncio
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.cds_hooks.calls import PLANNING, client, ours, request_for


def _answer(folder: Path, sample: str, as_of: datetime, change: Any = None, **settings: Any) -> Any:
    async def call() -> Any:
        request = request_for(PLANNING, "patient-view", sample, as_of)
        if change is not None:
            change(request["prefetch"])
        async with client(folder, as_of=as_of, **settings) as calls:
            return await calls.post(f"/cds-services/{PLANNING}", json=request)

    return asyncio.run(call())


def _replace(prefetch: dict[str, Any], code: str, value: float | None) -> None:
    for entry in prefetch["labs"]["entry"]:
        resource = entry["resource"]
        if any(coding["code"] == code for coding in resource["code"]["coding"]):
            if value is None:
                resource["status"] = "cancelled"
            else:
                resource["valueQuantity"]["value"] = value


def test_an_input_outside_the_trained_range_gives_no_score_and_is_named(tmp_path: Path, as_of: datetime) -> None:
    answer = _answer(tmp_path, "planning-talk", as_of, lambda prefetch: _replace(prefetch, "2345-7", 900.0))
    (silence,) = ours(answer)["silence"]
    assert silence["reason"] == "out-of-range"
    assert "Glucose" in silence["text"]


def test_a_missing_input_is_named_on_the_card(tmp_path: Path, as_of: datetime) -> None:
    (card,) = _answer(tmp_path, "planning-talk", as_of, lambda prefetch: _replace(prefetch, "2345-7", None)).json()[
        "cards"
    ]
    assert "**Not recorded:** Glucose" in card["detail"]
    assert card["extension"]["org.cds-hooks-onnx"]["missing"] == ["glucose_mg_dl"]


@pytest.mark.parametrize("status", ["final", "entered-in-error"])
def test_a_refused_newer_value_is_named_on_the_card(tmp_path: Path, as_of: datetime, status: str) -> None:
    def impossible(prefetch: dict[str, Any]) -> None:
        first = next(
            entry for entry in prefetch["labs"]["entry"]
            if any(coding["code"] == "2160-0" for coding in entry["resource"]["code"]["coding"])
        )  # fmt: skip
        copy = json.loads(json.dumps(first))
        copy["resource"] |= {"id": "impossible", "effectiveDateTime": "2026-11-19", "status": status}
        copy["resource"]["valueQuantity"]["value"] = 190
        prefetch["labs"]["entry"].append(copy)

    (card,) = _answer(tmp_path, "planning-talk", as_of, impossible).json()["cards"]
    is_named = status == "final"  # what was entered in error was never a value
    assert ("Newer but not used" in card["detail"]) is is_named
    assert ("190" in card["detail"]) is is_named
