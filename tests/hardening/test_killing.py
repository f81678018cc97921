"""Every answered decision survives `kill -9` under load; the judgment itself is tested without a kill."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmarks.load import Cores
from tests.cds_hooks.calls import PLANNING, request_for
from tests.hardening.killing import kill_many_times

pytestmark = pytest.mark.slow


def test_no_answered_decision_is_lost_when_the_server_is_killed_under_load(tmp_path: Path) -> None:
    body = tmp_path / "body.json"
    body.write_text(json.dumps(request_for(PLANNING, "patient-view", "planning-talk", datetime.now(UTC))))
    result = kill_many_times(2, f"/cds-services/{PLANNING}", str(body), 300, Cores(None, None))
    assert result.faults == []
    assert result.lost == []
    assert len(result.answered) == 2
