"""How long a version of a model is in shadow before it may be shown, over invented decisions."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cds_hooks.pages.rules.views import LEAST_PREDICTIONS, why_too_early
from cds_hooks.storage import Decision, new_decision_id, open_decision_log
from tests.live import record_in

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
IN_USE, VERSION = "aa" * 32, "bb" * 32


def decision(hours: float) -> Decision:
    """One in which both versions computed."""
    models = [{"id": "model", "version": "1", "sha256": each} for each in (IN_USE, VERSION)]
    return Decision(
        id=new_decision_id(), decided_at=int((NOW - timedelta(hours=hours)).timestamp() * 1e6), hook="patient-view",
        service="planning-conversation", hook_instance="1", client="north", patient="p", outcome="silent",
        input_digest="ab" * 32, models=json.dumps(models).encode(), response=b"{}", basis=b"{}",
    )  # fmt: skip


async def test_a_canary_waits_for_seven_days_and_five_hundred_estimates(tmp_path: Path) -> None:
    url = record_in(tmp_path)
    assert "for 6.0 of at least 7 days" in str(_early(url, days=6))
    await _write(url, LEAST_PREDICTIONS - 1)
    assert f"computed {LEAST_PREDICTIONS - 1} of at least 500" in str(_early(url, days=8))
    await _write(url, 1, hours=9 * 24)
    assert _early(url, days=8) is not None, "what came before the shadow does not count"
    await _write(url, 1)
    assert _early(url, days=8) is None


def _early(url: str, days: int) -> str | None:
    return why_too_early(url, VERSION, (NOW - timedelta(days=days)).isoformat(), NOW)


async def _write(url: str, times: int, hours: float = 1) -> None:
    log = open_decision_log(url)
    await asyncio.gather(*(log.append(decision(hours)) for _ in range(times)))
    await log.close()
