"""A lint over the sentences of every service: the cards and silences of all samples, and what none may say twice."""

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from cards.card import SUMMARY_LIMIT
from tests.cards.sentences import faults
from tests.cds_hooks.call.services.test_every_service import CALLS, answers_to, requests_of
from tests.cds_hooks.calls import ours

pytestmark = pytest.mark.slow

_PERCENTILE = re.compile(r"Higher than (?:about )?\d+ in 100")


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
