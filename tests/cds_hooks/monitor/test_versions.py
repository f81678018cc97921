"""A version of a model against the one in use, over invented decisions."""

import asyncio
import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cds_hooks.monitor.versions import LEAST_PREDICTIONS, compare, why_too_early
from cds_hooks.storage import Decision, new_decision_id, open_decision_log
from tests.live import record_in

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
IN_USE, VERSION = "aa" * 32, "bb" * 32


def decision(is_due: bool, beside: Iterable[dict[str, Any]], answered: str = IN_USE, hours: float = 1) -> Decision:
    """One of a woman of 70 whose estimate is 0.4 by the one that answered."""
    scores = {"id": "model", "version": "1", "sha256": answered, "probability": 0.4, "beside": list(beside)}
    silence = [] if is_due else [["model", "below-threshold", "Not among the highest."]]
    features = {"sex_male": [0, "", ""], "age_years": [70, "", ""]}
    models = [{"id": "model", "version": "1", "sha256": each} for each in (IN_USE, VERSION)]
    return Decision(
        id=new_decision_id(), decided_at=int((NOW - timedelta(hours=hours)).timestamp() * 1e6), hook="patient-view",
        service="planning-conversation", hook_instance="1", client="north", patient="p", outcome="silent",
        input_digest="ab" * 32, models=json.dumps(models).encode(), response=b"{}",
        basis=json.dumps({"scores": scores, "silence": silence, "features": features}).encode(),
    )  # fmt: skip


def _computed(probability: float, is_due: bool, sha256: str = VERSION) -> dict[str, Any]:
    return {"id": "model", "version": "2", "sha256": sha256, "probability": probability, "is_due": is_due}


def test_cards_more_and_fewer_and_the_mean_difference_are_counted_by_group() -> None:
    more, same = decision(False, [_computed(0.6, True)]), decision(True, [_computed(0.5, True)])
    found = compare([more, same], VERSION)
    assert set(found.groups) == {"all", "women", "65 and over"}
    counted = found.groups["women"]
    assert (counted.predictions, counted.due_version, counted.due_other) == (2, 2, 1)
    assert (counted.only_version, counted.only_other) == (1, 0)
    assert counted.mean_difference == pytest.approx(0.15)
    assert found.examples == [more.id]


def test_in_canary_the_version_that_answered_is_compared_the_same_way_round() -> None:
    found = compare([decision(True, [_computed(0.3, False, IN_USE)], VERSION)], VERSION).groups["all"]
    assert (found.due_other, found.only_version) == (0, 1)
    assert found.mean_difference == pytest.approx(0.1)


def test_what_could_not_be_computed_is_counted_by_kind_and_other_decisions_are_passed_over() -> None:
    failed = {"id": "model", "version": "2", "sha256": VERSION, "error": "ExplanationMismatch"}
    other = {"id": "model", "version": "3", "sha256": "cc" * 32, "probability": 0.1, "is_due": False}
    found = compare([decision(True, [failed]), decision(True, [other]), decision(True, [])], VERSION)
    assert found.errors == {"ExplanationMismatch": 1}
    assert found.groups == {}


def test_a_canary_waits_for_seven_days_and_five_hundred_estimates(tmp_path: Path) -> None:
    url = record_in(tmp_path)
    assert "for 6.0 of at least 7 days" in str(_early(url, days=6))
    _write(url, LEAST_PREDICTIONS - 1)
    assert f"computed {LEAST_PREDICTIONS - 1} of at least 500" in str(_early(url, days=8))
    _write(url, 1, hours=9 * 24)
    assert _early(url, days=8) is not None, "what came before the shadow does not count"
    _write(url, 1)
    assert _early(url, days=8) is None


def _early(url: str, days: int) -> str | None:
    return why_too_early(url, VERSION, (NOW - timedelta(days=days)).isoformat(), NOW)


def _write(url: str, times: int, hours: float = 1) -> None:
    async def write() -> None:
        log = open_decision_log(url)
        await asyncio.gather(*(log.append(decision(True, [], hours=hours)) for _ in range(times)))
        await log.close()

    asyncio.run(write())
