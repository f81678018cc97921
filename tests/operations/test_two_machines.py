"""Two servers on one PostgreSQL, as on two machines: acts hold on both, one chain each, one record of both."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from cds_hooks.audit.verification import audit
from cds_hooks.storage.queries import list_decisions
from tests.cds_hooks.calls import ORDERS, PLANNING, request_for
from tests.cds_hooks.storage.conftest import postgres_server, postgres_url
from tests.live import serving
from tests.operations.test_switches import until
from tests.program import run_program

__all__ = ["postgres_server", "postgres_url"]


def _reasons(answer: dict[str, Any]) -> set[str]:
    return {each["reason"] for each in answer["extension"]["org.cds-hooks-onnx"].get("silence", [])}


@pytest.mark.slow
def test_a_kill_switch_and_a_clinicians_answer_hold_on_both_machines(postgres_url: str, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    order = request_for(ORDERS, "order-sign", "ckd4-metformin", now, "metformin-ckd4-coded")
    view = request_for(PLANNING, "patient-view", "planning-talk", now)
    record: dict[str, Any] = {"CDS_DATABASE_URL": postgres_url}
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
    with serving(folders[0], **record) as first, serving(folders[1], **record) as second:

        def call(address: str, service: str, request: dict[str, Any]) -> dict[str, Any]:
            answer = httpx.post(f"{address}/cds-services/{service}", json=request, timeout=60)
            found: dict[str, Any] = answer.raise_for_status().json()
            return found

        def act(*words: str) -> None:
            told = run_program("release", "set", *words, "--why", "a trial", environment=record)
            assert told.returncode == 0, told.stderr

        assert call(first, ORDERS, order)["cards"]
        act("off", "service", ORDERS)
        for address in (first, second):
            until(lambda address=address: _reasons(call(address, ORDERS, order)) == {"switched-off"})  # type: ignore[misc]
        act("on", "service", ORDERS)
        for address in (first, second):
            until(lambda address=address: bool(call(address, ORDERS, order)["cards"]))  # type: ignore[misc]

        (card,) = call(first, PLANNING, view)["cards"]
        item = {
            "card": card["uuid"],
            "outcome": "overridden",
            "overrideReason": {"reason": card["overrideReasons"][0]},
            "outcomeTimestamp": datetime.now(UTC).isoformat(),
        }
        sent = httpx.post(f"{first}/cds-services/{PLANNING}/feedback", json={"feedback": [item]}, timeout=60)
        assert sent.is_success
        until(lambda: call(second, PLANNING, view)["cards"] == [])
        assert call(first, PLANNING, view)["cards"] == []
    decisions = list_decisions(postgres_url, limit=1000)
    assert audit(postgres_url).findings == []
    assert {json.loads(each.basis)["config"] for each in decisions if each.service == ORDERS}
    assert len({each.id for each in decisions}) == len(decisions)
