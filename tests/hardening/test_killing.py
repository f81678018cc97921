"""Every answered decision survives `kill -9` under load; the judgement itself is tested without a kill."""

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmarks.load import LOST, Cores, Tally
from tests.cds_hooks.calls import PLANNING, request_for
from tests.hardening.killing import faults_of, kill_many_times, recorded_decisions


def test_broken_connections_are_no_fault_but_every_other_error_is() -> None:
    tally = Tally(decisions=["a", "b"], errors={f"{LOST}: reset": 16, "status 500": 3})
    assert faults_of(0, tally, least_answered=2) == ["kill 1: status 500 (3 times)"]


def test_too_few_answered_calls_are_a_fault() -> None:
    assert "only 1 calls" in faults_of(4, Tally(decisions=["a"]), least_answered=1000)[0]


def test_one_id_in_two_answers_is_a_fault() -> None:
    assert "same decision id" in faults_of(0, Tally(decisions=["a", "a"]), least_answered=2)[0]


def test_decisions_are_read_from_the_file_with_sqlite_alone(tmp_path: Path) -> None:
    file = tmp_path / "decisions.sqlite3"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE decisions (id TEXT)")
        connection.execute("INSERT INTO decisions VALUES ('a')")
    assert recorded_decisions(file) == {"a"}


@pytest.mark.slow
def test_no_answered_decision_is_lost_when_the_server_is_killed_under_load(tmp_path: Path) -> None:
    body = tmp_path / "body.json"
    body.write_text(json.dumps(request_for(PLANNING, "patient-view", "planning-talk", datetime.now(UTC))))
    result = kill_many_times(2, f"/cds-services/{PLANNING}", str(body), 300, Cores(None, None))
    assert result.faults == []
    assert result.lost == []
    assert len(result.answered) == 2
