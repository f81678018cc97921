"""A lint over the sentences of every service: the cards and silences of all samples, and what none may say twice."""

import asyncio
import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from cards.card import SUMMARY_LIMIT
from cds_hooks.kit.samples.loader import list_samples
from tests.cards.sentences import faults
from tests.cds_hooks.calls import client, ours, request_for
from tests.cds_hooks.services.test_every_service import CALLS, answers_to, requests_of

_PERCENTILE = re.compile(r"Higher than (?:about )?\d+ in 100")


@pytest.mark.slow
@pytest.mark.parametrize(("service", "hook"), CALLS)
def test_every_sentence_of_a_service_is_one_for_a_clinician(
    service: str, hook: str, tmp_path: Path, as_of: datetime
) -> None:
    answers = answers_to(requests_of(service, hook, as_of), service, tmp_path, as_of)
    answered = [one for one in answers if one.status_code == 200]
    assert answered
    assert [fault for one in answered for fault in _faults(one)] == []


def _faults(answered: Any) -> Iterator[str]:
    for card in answered.json()["cards"]:
        detail = card.get("detail", "")
        if len(card["summary"]) > SUMMARY_LIMIT:
            yield f"{len(card['summary'])} characters: {card['summary']}"
        if len(_PERCENTILE.findall(detail)) > 1:
            yield f"the percentile stands twice: {detail[:200]}"
        labels = [suggestion["label"] for suggestion in card.get("suggestions", ())]
        for text in (card["summary"], *detail.split("\n"), *labels):
            yield from faults(text)
    for silence in ours(answered).get("silence", ()):
        yield from faults(silence["text"])


def test_low_kidney_values_raise_no_estimate_without_a_reason(tmp_path: Path, as_of: datetime) -> None:
    """Low creatinine and urea nitrogen: a line that says that they raise the estimate says that they are low."""
    request = request_for("planning-conversation", "patient-view", "planning-talk", as_of)
    text = json.dumps(request)
    for code, value in (("2160-0", 0.35), ("3094-0", 4.0)):
        text = _valued(json.loads(text), code, value)

    async def call() -> Any:
        async with client(tmp_path, as_of=as_of) as calls:
            return await calls.post("/cds-services/planning-conversation", json=json.loads(text))

    details = [card.get("detail", "") for card in asyncio.run(call()).json()["cards"]]
    lines = [line for detail in details for line in detail.split("\n") if "raises" in line]
    named = [line for line in lines if "Creatinine" in line or "(BUN)" in line]
    assert all("lower than the average" in line for line in named)


def _valued(request: Any, code: str, value: float) -> str:
    """The request as text with this value in every result of the code."""
    for bundle in request["prefetch"].values():
        for entry in (bundle or {}).get("entry", ()):
            resource = entry["resource"]
            coded = [one.get("code") for one in resource.get("code", {}).get("coding", ())]
            if resource["resourceType"] == "Observation" and code in coded:
                resource["valueQuantity"]["value"] = value
    return json.dumps(request)


def test_there_are_samples_for_every_service() -> None:
    assert len(list(list_samples())) > 10
