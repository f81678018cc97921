"""Every answered decision survives `kill -9` under load; the judgment itself is tested without a kill."""

import json
from datetime import UTC, datetime

import pytest

from tests.cds_hooks.calls import PLANNING, request_for
from tests.hardening.killing import kill_many_times

pytestmark = pytest.mark.slow


def test_no_answered_decision_is_lost_when_the_server_is_killed_under_load() -> None:
    body = json.dumps(request_for(PLANNING, "patient-view", "planning-talk", datetime.now(UTC))).encode()
    result = kill_many_times(2, f"/cds-services/{PLANNING}", body, 300)
    assert result.faults == []
    assert result.lost == []
    assert len(result.answered) == 2
